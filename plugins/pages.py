"""The home page, the search page, and the pages of records (templates/row-DATABASE-TABLE.html).

Datasette's own home page stays at `/-/`, and as JSON at `/.json`.
"""

from __future__ import annotations

import sqlite3
from typing import Any
from urllib.parse import unquote, urlencode

from datasette import Forbidden, NotFound, Request, Response, hookimpl
from datasette.app import Datasette
from datasette.plugins import pm
from datasette.utils import await_me_maybe, tilde_decode

from dailies.datasette_compat import BadRequest, escape_fts, make_slot_function, urlsafe_components
from dailies.storage.availability import require_available, unavailable
from dailies.web.page import refuse_method, render, versioned
from dailies.web.pages import (
    activity,
    campaigns,
    home,
    image_library,
    metrics,
    queues,
    search,
    trends,
)
from dailies.web.pages.viewer import Viewer
from loaders.errors import DomainError

RECORD_PAGES = {
    ("campaigns", "jobs"): campaigns.read,
    ("image_library", "image_library"): image_library.read,
    ("metrics", "video_metadata"): metrics.read,
    ("presentation_jobs", "presentation_jobs"): queues.read_presentation,
    ("trends", "trending_topics"): trends.read,
    ("yt-builder", "jobs"): queues.read_build,
}
NO_WORDS = '""'
DASHBOARD_SCRIPT = versioned("dashboard.js")


@hookimpl(tryfirst=True)
def register_routes() -> list[tuple[str, Any]]:
    return [
        (r"/\Z", home_page),
        (r"/-/search\Z", search_page),
        (r"/-/activity\Z", activity_page),
        (r"/-/videos/(?P<video>[^/]+)\Z", video_page),
    ]


async def home_page(request: Request, datasette: Datasette) -> Response:
    if refused := refuse_method(request):
        return refused
    await datasette.ensure_permission(action="view-instance", actor=request.actor)
    context = {
        **await home.read(datasette, request.actor),
        "metadata": await datasette.get_instance_metadata(),
        "unavailable": unavailable(datasette),
        "private": not await datasette.allowed(action="view-instance", actor=None),
        "top_homepage": make_slot_function("top_homepage", datasette, request),
        "homepage_actions": await homepage_actions(datasette, request),
        "across": await queries_across(datasette, request),
        "dashboard_script": DASHBOARD_SCRIPT,
    }
    return await render(datasette, request, "home.html", context, view_name="index")


async def homepage_actions(datasette: Datasette, request: Request) -> list[dict[str, Any]]:
    """The links that plugins add to the menu of Datasette's own home page."""
    hooks = pm.hook.homepage_actions(datasette=datasette, actor=request.actor, request=request)
    return [link for links in hooks for link in await await_me_maybe(links) or []]


async def queries_across(datasette: Datasette, request: Request) -> list[dict[str, str]]:
    """The cross-database queries that this actor may see."""
    found = await datasette.list_queries("_memory", actor=request.actor)
    return [
        {
            "href": str(datasette.urls.query("_memory", query.name)),
            "title": query.title or query.name,
            "description": query.description or "",
        }
        for query in found.queries
    ]


async def search_page(request: Request, datasette: Datasette) -> Response:
    if refused := refuse_method(request):
        return refused
    await datasette.ensure_permission(action="view-instance", actor=request.actor)
    text = request.args.get("q") or ""
    context = {"q": text, "results": await search.read(datasette, request.actor, text)}
    return await render(datasette, request, "search.html", context)


async def activity_page(request: Request, datasette: Datasette) -> Response:
    if refused := refuse_method(request):
        return refused
    await datasette.ensure_permission(action="view-instance", actor=request.actor)
    try:
        filters = activity.parse({name: request.args[name] for name in request.args})
    except DomainError as error:
        raise BadRequest(str(error)) from error
    viewer = Viewer(datasette, request.actor, activity.TIME_LIMIT_MS)
    base = str(datasette.urls.path("/-/activity"))
    context = {"base": base, **await activity.read(viewer, filters)}
    return await render(datasette, request, "activity.html", context, view_name="activity")


@hookimpl(trylast=True)
def prepare_connection(conn: sqlite3.Connection) -> None:
    """Replace Datasette's SQL function, which its own search box uses too."""
    conn.create_function("escape_fts", 1, escape_words, deterministic=True)


def escape_words(text: str | None) -> str:
    """An FTS5 query for all words of `text`, without NULs; valid also if there is no word."""
    return escape_fts(str(text or "").replace("\0", " ")) or NO_WORDS


@hookimpl
def extra_template_vars(
    datasette: Datasette,
    request: Request | None,
    view_name: str,
    database: str | None,
    table: str | None,
) -> Any:
    """`record`: the data of the page of a row, for tables with a page of their own."""
    read = RECORD_PAGES.get((database or "", table or ""))
    if view_name != "row" or request is None or read is None:
        return None

    async def variables() -> dict[str, Any]:
        [key] = urlsafe_components(request.url_vars["pks"])
        return {"record": await read(Viewer(datasette, request.actor), key)}

    return variables


async def video_page(request: Request, datasette: Datasette) -> Response:
    """Redirect from a video's id to its page, or to its metrics if it has no metadata."""
    video_id = tilde_decode(unquote(request.url_vars["video"]))
    if not video_id.isprintable():
        raise NotFound("There is no such video")
    require_available(datasette, "metrics")
    viewer = Viewer(datasette, request.actor)
    if not await viewer.can_view("metrics", "video_metadata"):
        raise Forbidden("Permission denied: need view-table")
    row_id = await metrics.row_id(viewer, video_id)
    if row_id is not None:
        return Response.redirect(str(datasette.urls.row("metrics", "video_metadata", str(row_id))))
    latest = datasette.urls.table("metrics", "latest_video_metrics")
    return Response.redirect(f"{latest}?{urlencode({'video_id__exact': video_id})}")
