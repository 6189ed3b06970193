"""Who may use Datasette's own pages and actions.

What is not served of a file is the work of dailies/storage: it has no page for anyone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from datasette import NotFound, Request, Response, hookimpl
from datasette.app import Datasette
from datasette.permissions import PermissionSQL
from datasette.utils import tilde_decode

from dailies import datasette_compat
from dailies.auth.derived import checking_sources, closed_names, databases_without_sql
from dailies.auth.permissions import cached
from dailies.datasette_compat import add_cors_headers
from dailies.storage.availability import require_available
from dailies.storage.databases import ServedDatabase

# The schema is the migrations' alone, SQL that writes would go past each table's permissions,
# and a stored query would answer others with its author's rights.
REFUSED_ACTIONS = frozenset(
    {
        "alter-table",
        "create-table",
        "create-view",
        "delete-query",
        "drop-table",
        "drop-view",
        "execute-write-sql",
        "set-column-type",
        "store-query",
        "update-query",
        "view-database-download",
    }
)

DEBUGGING_PAGES = re.compile(
    r"/-/(?:actions|allow-debug|allowed|check|config|debug/autocomplete|messages|patterns"
    r"|permissions|rules|settings|tasks|threads)(?:\.json)?\Z"
)
# Tokens are created on the command line only; a session of a root link could not be revoked.
ABSENT_PAGES = re.compile(r"/-/(?:create-token|auth-token)\Z")
DATABASES_PAGE = re.compile(r"/-/databases(?:\.(?P<format>json))?\Z")
SHOWN = ("name", "route", "size", "is_mutable", "is_memory", "hash")
SCHEMA_PAGES = tuple(
    re.compile(rf"{path}/-/schema(?:\.(?P<format>json|md))?\Z")
    for path in ("", "/(?P<database>[^/.]+)", "/(?P<database>[^/.]+)/(?P<table>[^/.]+)")
)

CLOSED = """
select
  value ->> 0 as parent,
  value ->> 1 as child,
  0 as allow,
  'reads a table that is closed' as reason
from json_each(:closed)
"""


async def answer(
    datasette: Datasette, actor: dict[str, Any] | None, question: tuple[str, ...], ask: Any
) -> Any:
    """The answer to a question about permissions, at most a second old."""
    if checking_sources.get():  # another answer, about a table alone
        return await ask()
    return await cached(datasette, actor, question, ask)


datasette_compat.answer_permissions_with(answer)


@hookimpl
async def permission_resources_sql(
    datasette: Datasette, actor: dict[str, Any] | None, action: str
) -> PermissionSQL | None:
    if action in REFUSED_ACTIONS:
        return PermissionSQL(restriction_sql="select null as parent, null as child where 0")
    closed = await closed_resources(datasette, actor, action)
    return PermissionSQL(sql=CLOSED, params={"closed": json.dumps(closed)}) if closed else None


async def closed_resources(
    datasette: Datasette, actor: dict[str, Any] | None, action: str
) -> Sequence[tuple[str, str | None]]:
    if action != "execute-sql":
        return await closed_names(datasette, actor, action)

    async def ask() -> list[tuple[str, None]]:
        return await databases_without_sql(datasette, actor)

    return await cached(datasette, actor, ("SQL",), ask)


@hookimpl
def register_routes() -> list[tuple[Any, Any]]:
    return [
        (DEBUGGING_PAGES, debugging_page),
        *((pattern, schema_page) for pattern in SCHEMA_PAGES),
        (ABSENT_PAGES, absent_page),
        (DATABASES_PAGE, databases_page),
    ]


async def debugging_page(request: Request, send: Any, datasette: Datasette) -> Any:
    """A page of Datasette's own, for those who may debug permissions."""
    await datasette.ensure_permission(action="permissions-debug", actor=request.actor)
    return await datasette_compat.core_page(datasette, request, send, (DEBUGGING_PAGES,))


async def schema_page(request: Request, send: Any, datasette: Datasette) -> Any:
    """Definitions that name columns which are not served are for root alone."""
    if "database" in request.url_vars:
        require_available(datasette, tilde_decode(request.url_vars["database"]))
    if "table" in request.url_vars:
        await datasette.resolve_table(request)  # NotFound for a table that is not served
    for database in datasette.databases.values():
        if isinstance(database, ServedDatabase) and await database.tables_with_hidden_columns():
            await datasette.ensure_permission(action="permissions-debug", actor=request.actor)
    return await datasette_compat.core_page(datasette, request, send, SCHEMA_PAGES)


def absent_page(request: Request) -> Response:
    raise NotFound("Page not found")


async def databases_page(request: Request, datasette: Datasette) -> Response:
    """The databases as Datasette lists them, without the paths of their files."""
    await datasette.ensure_permission(action="view-instance", actor=request.actor)
    visible = await datasette.allowed_resources("view-database", request.actor)
    names = {database.parent async for database in visible.all()}
    databases = [
        {key: getattr(database, key) for key in SHOWN} | {"path": None}
        for name, database in datasette.databases.items()
        if name in names
    ]
    data = {"ok": True, "databases": databases}
    if request.url_vars.get("format"):
        headers: dict[str, str] = {}
        if datasette.cors:
            add_cors_headers(headers)
        return Response.json(data, headers=headers)
    context = {"filename": "databases.json", "data": data, "data_json": json.dumps(data, indent=2)}
    return Response.html(
        await datasette.render_template("show_json.html", context, request=request)
    )
