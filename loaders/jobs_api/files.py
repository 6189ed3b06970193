"""The files that a build is made of, and what was uploaded of it."""

from __future__ import annotations

import sqlite3
from urllib.parse import quote

from datasette import Request, Response
from datasette.app import Datasette

from loaders import build_documents
from loaders.access import is_allowed, read_from, require, write_to
from loaders.answers import Answer, json_row, rows_text
from loaders.endpoints import (
    JSON,
    actor_id,
    address,
    key_of,
    refuse_parameters,
    respond,
    write_once,
)
from loaders.models import FILE_ROW, NEW_FILE, NEW_UPLOAD, UPLOAD_ROW, validate
from loaders.operations import Operation
from loaders.requests import key_from_path, parse_document, read_body
from loaders.resources import BUILDS, Resource

FILES = "job_files"
UPLOADS = "youtube_uploads"
ONLY_BUILDS = {BUILDS.name: BUILDS}


async def list_job_files(datasette: Datasette, request: Request, resource: Resource) -> Response:
    await require(datasette, request.actor, "view-table", resource, FILES)
    refuse_parameters(request)
    key = key_of(request)
    rows, counts = await read_from(
        datasette, resource, lambda conn: build_documents.files(conn, key)
    )
    return respond(Answer(200, rows_text(map(json_row, rows), {"counts": counts})))


async def add_job_file(datasette: Datasette, request: Request, resource: Resource) -> Response:
    await require(datasette, request.actor, "update-job", resource)
    refuse_parameters(request)
    body = await read_body(request, JSON)
    file = validate(NEW_FILE, parse_document(body), FILES)
    key, actor = key_of(request), actor_id(request)
    seen = await may_see_table(datasette, request, resource, FILES)

    def add(connection: sqlite3.Connection) -> Answer:
        row, replaced = build_documents.add_file(connection, key, file, actor)
        place = "/".join(quote(row[name], safe="") for name in ("file_type", "filename"))
        where = f"{address(datasette, resource, key)}/files/{place}"
        rows = rows_text([json_row(row)] if seen else [])
        return Answer(200 if replaced else 201, rows, {"Location": where})

    return await write_once(datasette, request, resource, add, body)


async def delete_job_file(datasette: Datasette, request: Request, resource: Resource) -> Response:
    await require(datasette, request.actor, "update-job", resource)
    refuse_parameters(request)
    key, actor = key_of(request), actor_id(request)
    file_type = key_from_path(request.url_vars["file_type"])
    filename = key_from_path(request.url_vars["filename"])
    await write_to(
        datasette,
        resource,
        lambda conn: build_documents.delete_file(conn, key, file_type, filename, actor),
    )
    return respond(Answer(204))


async def list_job_uploads(datasette: Datasette, request: Request, resource: Resource) -> Response:
    await require(datasette, request.actor, "view-table", resource, UPLOADS)
    refuse_parameters(request)
    key = key_of(request)
    rows = await read_from(datasette, resource, lambda conn: build_documents.uploads(conn, key))
    return respond(Answer(200, rows_text(map(json_row, rows))))


async def add_job_upload(datasette: Datasette, request: Request, resource: Resource) -> Response:
    await require(datasette, request.actor, "update-job", resource)
    refuse_parameters(request)
    body = await read_body(request, JSON)
    upload = validate(NEW_UPLOAD, parse_document(body), UPLOADS)
    key, actor = key_of(request), actor_id(request)
    seen = await may_see_table(datasette, request, resource, UPLOADS)

    def add(connection: sqlite3.Connection) -> Answer:
        row = build_documents.add_upload(connection, key, upload, actor)
        return Answer(201, rows_text([json_row(row)] if seen else []))

    return await write_once(datasette, request, resource, add, body)


async def may_see_table(
    datasette: Datasette, request: Request, resource: Resource, table: str
) -> bool:
    """What everybody reads need not be kept from a token limited to writing."""
    return any(
        [
            await is_allowed(datasette, actor, "view-table", resource, table)
            for actor in (request.actor, None)
        ]
    )


OPERATIONS = (
    Operation(
        "GET",
        "/api/{resource}/{key}/files",
        list_job_files,
        "List the files of a build, and how many there are of each type",
        {200: lambda _: FILE_ROW},
        ONLY_BUILDS,
    ),
    Operation(
        "POST",
        "/api/{resource}/{key}/files",
        add_job_file,
        "Note a file of a build; one of the same type and name is replaced",
        {201: lambda _: FILE_ROW, 200: lambda _: FILE_ROW},
        ONLY_BUILDS,
        body=lambda _: NEW_FILE,
    ),
    Operation(
        "DELETE",
        "/api/{resource}/{key}/files/{file_type}/{filename}",
        delete_job_file,
        "Forget a file of a build",
        {204: lambda _: None},
        ONLY_BUILDS,
    ),
    Operation(
        "GET",
        "/api/{resource}/{key}/uploads",
        list_job_uploads,
        "List what was uploaded of a build, newest first",
        {200: lambda _: UPLOAD_ROW},
        ONLY_BUILDS,
    ),
    Operation(
        "POST",
        "/api/{resource}/{key}/uploads",
        add_job_upload,
        "Note an upload of a build",
        {201: lambda _: UPLOAD_ROW},
        ONLY_BUILDS,
        body=lambda _: NEW_UPLOAD,
    ),
)
