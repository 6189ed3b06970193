"""The files that a build is made of, and what was uploaded of it."""

from __future__ import annotations

import sqlite3
from urllib.parse import quote

from datasette import Request, Response
from datasette.app import Datasette

from dailies.api.dispatch import (
    JSON,
    actor_id,
    address,
    key_of,
    lease_of,
    parameters_of,
    refuse_parameters,
    respond,
    write_once,
)
from dailies.api.handlers.jobs import LEASE
from dailies.api.operations import Operation, Parameter
from dailies.api.repositories import builds
from dailies.api.request import key_from_path, parse_document, read_body, refuse_unknown
from dailies.api.resources import BUILDS, Resource
from dailies.api.responses import Answer, json_row, rows_text
from dailies.api.schemas import FILE_ROW, NEW_FILE, NEW_UPLOAD, UPLOAD_ROW, validate
from dailies.auth.permissions import may_see, read_from, require, write_to

FILES = "job_files"
UPLOADS = "youtube_uploads"
FILE_TYPE = Parameter("file_type", "Only files of this type.")
ONLY_BUILDS = {BUILDS.name: BUILDS}


async def list_job_files(datasette: Datasette, request: Request, resource: Resource) -> Response:
    await require(datasette, request.actor, "view-table", resource, FILES)
    given = dict(parameters_of(request))
    refuse_unknown(given, ("file_type",), "parameter")
    key, kind = key_of(request), given.get("file_type")
    rows, counts = await read_from(datasette, resource, lambda conn: builds.files(conn, key, kind))
    return respond(Answer(200, rows_text(map(json_row, rows), {"counts": counts})))


async def add_job_file(datasette: Datasette, request: Request, resource: Resource) -> Response:
    await require(datasette, request.actor, "update-job", resource)
    refuse_parameters(request)
    body = await read_body(request, JSON)
    file = validate(NEW_FILE, parse_document(body), FILES)
    key, actor = key_of(request), actor_id(request)
    seen = await may_see(datasette, request.actor, resource, FILES)

    def add(connection: sqlite3.Connection) -> Answer:
        row, replaced = builds.add_file(connection, key, file, actor)
        place = "/".join(quote(row[name], safe="") for name in ("file_type", "filename"))
        where = f"{address(datasette, resource, key)}/files/{place}"
        rows = rows_text([json_row(row)] if seen else [])
        return Answer(200 if replaced else 201, rows, {"Location": where})

    return await write_once(datasette, request, resource, add, body, FILES)


async def delete_job_file(datasette: Datasette, request: Request, resource: Resource) -> Response:
    await require(datasette, request.actor, "update-job", resource)
    key, actor, lease = key_of(request), actor_id(request), lease_of(request, resource)
    file_type = key_from_path(request.url_vars["file_type"])
    filename = key_from_path(request.url_vars["filename"])
    await write_to(
        datasette,
        resource,
        lambda conn: builds.delete_file(conn, key, file_type, filename, lease, actor),
    )
    return respond(Answer(204))


async def list_job_uploads(datasette: Datasette, request: Request, resource: Resource) -> Response:
    await require(datasette, request.actor, "view-table", resource, UPLOADS)
    refuse_parameters(request)
    key = key_of(request)
    rows = await read_from(datasette, resource, lambda conn: builds.uploads(conn, key))
    return respond(Answer(200, rows_text(map(json_row, rows))))


async def add_job_upload(datasette: Datasette, request: Request, resource: Resource) -> Response:
    await require(datasette, request.actor, "update-job", resource)
    refuse_parameters(request)
    body = await read_body(request, JSON)
    upload = validate(NEW_UPLOAD, parse_document(body), UPLOADS)
    key, actor = key_of(request), actor_id(request)
    seen = await may_see(datasette, request.actor, resource, UPLOADS)

    def add(connection: sqlite3.Connection) -> Answer:
        row = builds.add_upload(connection, key, upload, actor)
        return Answer(201, rows_text([json_row(row)] if seen else []))

    return await write_once(datasette, request, resource, add, body, UPLOADS)


OPERATIONS = (
    Operation(
        "GET",
        "/api/{resource}/{key}/files",
        list_job_files,
        "List the files of a build, and how many there are of each type",
        {200: lambda _: FILE_ROW},
        ONLY_BUILDS,
        parameters=lambda _: (FILE_TYPE,),
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
        parameters=lambda _: (LEASE,),
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
