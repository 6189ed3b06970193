"""The page that imports campaigns from an uploaded file or pasted text.

Without scripts, the page of a long import reloads itself.
"""

from __future__ import annotations

from typing import Any

from datasette import NotFound, Request, Response, hookimpl
from datasette.app import Datasette

from dailies.errors import FAILURES, RequestError, request_error
from dailies.web import campaign_import
from dailies.web.access import actor_id, check_request
from dailies.web.forms import read_form
from dailies.web.page import render
from dailies.web.row_actions import IMPORT_JOBS

PATH = f"/campaigns/-/{IMPORT_JOBS.name}"


@hookimpl
def register_routes() -> list[tuple[str, Any]]:
    return [(rf"{PATH}\Z", import_page)]


async def import_page(request: Request, datasette: Datasette) -> Response:
    if refused := await check_request(datasette, request, IMPORT_JOBS):
        return refused
    if "upload" in request.args:
        return await upload_page(request, datasette)
    if request.method != "POST":
        return await show(datasette, request)
    try:
        upload = await campaign_import.receive(datasette, request, actor_id(request))
    except FAILURES as error:
        return await show(datasette, request, request_error(error))
    await campaign_import.start_preview(datasette, upload)
    return redirect(datasette, upload)


async def upload_page(request: Request, datasette: Datasette) -> Response:
    """The preview, progress or report of an upload; a POST imports it."""
    key = request.args["upload"]
    upload = campaign_import.find(datasette, key, actor_id(request))
    if upload is None:
        raise NotFound("This file is not kept any more: upload it again")
    if request.method != "POST":
        return await show(datasette, request, upload=upload)
    form = await read_form(request)
    on_conflict = "update" if form.get("update") else "skip"
    await campaign_import.start_import(datasette, upload, on_conflict)
    return redirect(datasette, upload)


def redirect(datasette: Datasette, upload: campaign_import.Upload) -> Response:
    return Response.redirect(datasette.urls.path(f"{PATH}?upload={upload.id}"), status=303)


async def show(
    datasette: Datasette,
    request: Request,
    error: RequestError | None = None,
    upload: campaign_import.Upload | None = None,
) -> Response:
    context = {
        "action": request.full_path,
        "start": datasette.urls.path(PATH),
        "upload": upload,
        "errors": error.messages if error else [],
        "formats": campaign_import.FORMATS,
        "max_bytes": campaign_import.MAX_BYTES,
    }
    return await render(datasette, request, "import.html", context, error.status if error else 200)
