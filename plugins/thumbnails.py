"""Thumbnails: /image_library/-/thumbnail/{id}, for actors who may see the table."""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

from datasette import NotFound, Request, Response, hookimpl
from datasette.app import Datasette
from datasette.resources import TableResource
from markupsafe import Markup

from dailies.storage.availability import require_available
from dailies.web.page import refuse_method
from dailies.web.thumbnails import CONTENT_TYPE, Thumbnails, images_dir

DATABASE = "image_library"
TABLE = "image_library"
FIND_FILE = "select file_path from image_library where id = :id"
DATABASES = (DATABASE, "_memory")
PLACEHOLDER = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 160 120" role="img"
 aria-label="No image"><rect width="160" height="120" fill="#8883"/><path fill="none"
 stroke="#888" stroke-width="4" d="m20 100 40-50 25 30 20-24 35 44zm80-70a8 8 0 1 0 .1 0z"/>
</svg>"""

stores: WeakKeyDictionary[Datasette, Thumbnails] = WeakKeyDictionary()


@hookimpl
def startup(datasette: Datasette) -> None:
    stores[datasette] = Thumbnails(images_dir().absolute())


@hookimpl
def register_routes() -> list[tuple[str, Any]]:
    return [(rf"/{DATABASE}/-/thumbnail/(?P<image>[^/]+)\Z", thumbnail)]


@hookimpl(tryfirst=True)
def render_cell(
    datasette: Datasette, row: Any, column: str, value: Any, database: str
) -> Markup | None:
    """Show the thumbnail before its path in lists of images."""
    if column != "file_path" or database not in DATABASES or row is None:
        return None
    columns = row.keys()
    key = next((name for name in ("image_id", "id") if name in columns), None)
    if key is None:
        return None
    source = datasette.urls.path(f"/{DATABASE}/-/thumbnail/{row[key]}")
    return Markup('<img class="thumbnail" loading="lazy" alt="" src="{}"> {}').format(source, value)


async def thumbnail(request: Request, datasette: Datasette) -> Response:
    await datasette.ensure_permission(
        action="view-table", resource=TableResource(DATABASE, TABLE), actor=request.actor
    )
    if refused := refuse_method(request):
        return refused
    file_path = await find_file(datasette, request.url_vars["image"])
    found = await asyncio.to_thread(stores[datasette].find, file_path)
    if found is None:
        headers = {"Cache-Control": "private, no-store"}
        return Response(PLACEHOLDER, headers=headers, content_type="image/svg+xml")
    headers = {"Cache-Control": "private, max-age=60", "ETag": found.etag}
    if request.headers.get("if-none-match") == found.etag:
        return Response("", 304, headers=headers)
    return Response(found.content, headers=headers, content_type=CONTENT_TYPE)


async def find_file(datasette: Datasette, image_id: str) -> str:
    """The path in the row of an image."""
    if DATABASE not in datasette.databases:
        require_available(datasette, DATABASE)
        raise NotFound(f"There is no database {DATABASE}")
    rows = await datasette.databases[DATABASE].execute(FIND_FILE, {"id": image_id})
    row = rows.first()
    if row is None:
        raise NotFound("There is no such image")
    return row["file_path"] if isinstance(row["file_path"], str) else ""
