"""The page of a row tells of the thing before its columns: templates/row-DATABASE-TABLE.html."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from datasette import Forbidden, Request, Response, hookimpl
from datasette.app import Datasette
from datasette.utils import tilde_decode

from dailies.datasette_compat import urlsafe_components
from dailies.web.pages import (
    campaigns,
    image_library,
    metrics,
    presentation_jobs,
    trends,
    yt_builder,
)
from dailies.web.pages.viewer import Viewer

READERS = {
    ("campaigns", "jobs"): campaigns.read,
    ("image_library", "image_library"): image_library.read,
    ("metrics", "video_metadata"): metrics.read,
    ("presentation_jobs", "presentation_jobs"): presentation_jobs.read,
    ("trends", "trending_topics"): trends.read,
    ("yt-builder", "jobs"): yt_builder.read,
}


@hookimpl
def extra_template_vars(
    datasette: Datasette,
    request: Request | None,
    view_name: str,
    database: str | None,
    table: str | None,
) -> Any:
    """`thing`, for a row that has a page of its own."""
    read = READERS.get((database or "", table or ""))
    if view_name != "row" or request is None or read is None:
        return None

    async def variables() -> dict[str, Any]:
        [key] = urlsafe_components(request.url_vars["pks"])
        return {"thing": await read(Viewer(datasette, request.actor), key)}

    return variables


@hookimpl
def register_routes() -> list[tuple[str, Any]]:
    return [(r"/-/videos/(?P<video>[^/]+)\Z", video_page)]


async def video_page(request: Request, datasette: Datasette) -> Response:
    """The way from a video's id to its page, or to its numbers where nothing describes it."""
    video_id = tilde_decode(request.url_vars["video"])
    viewer = Viewer(datasette, request.actor)
    if not await viewer.may_see("metrics", "video_metadata"):
        raise Forbidden("You may not see videos")
    row = await metrics.row_of(viewer, video_id)
    if row is not None:
        return Response.redirect(str(datasette.urls.row("metrics", "video_metadata", str(row))))
    numbers = datasette.urls.table("metrics", "latest_video_metrics")
    return Response.redirect(f"{numbers}?{urlencode({'video_id__exact': video_id})}")
