"""The page that searches everything, and FTS5 queries that any text is fit for.

The page works without scripts, and finds the beginnings of words too.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from datasette import Request, Response, hookimpl
from datasette.app import Datasette

from dailies.datasette_compat import escape_fts
from dailies.web.methods import refuse_method
from dailies.web.pages import search
from dailies.web.pages.viewer import PRIVATE

NO_WORDS = '""'


@hookimpl(trylast=True)
def prepare_connection(conn: sqlite3.Connection) -> None:
    """Replaces Datasette's SQL function of this name, which its search box uses too."""
    conn.create_function("escape_fts", 1, quoted_words, deterministic=True)


def quoted_words(text: str | None) -> str:
    """`text` as an FTS5 query for all of its words; FTS5 would end it at a NUL.

    What holds no word finds nothing, rather than failing.
    """
    return escape_fts(str(text or "").replace("\0", " ")) or NO_WORDS


@hookimpl(tryfirst=True)
def register_routes() -> list[tuple[str, Any]]:
    return [(r"/-/search\Z", search_page)]


async def search_page(request: Request, datasette: Datasette) -> Response:
    if refused := refuse_method(request):
        return refused
    await datasette.ensure_permission(action="view-instance", actor=request.actor)
    text = request.args.get("q") or ""
    context = {"q": text, "found": await search.read(datasette, request.actor, text)}
    body = await datasette.render_template("search.html", context, request=request)
    return Response.html(body, headers=PRIVATE)
