"""Files of a build, and its uploads."""

from __future__ import annotations

import sqlite3
from urllib.parse import quote

from datasette import Response

from dailies.api.dispatch import JobRequest, json_response
from dailies.api.repositories import builds
from dailies.api.request import parse_object
from dailies.api.responses import JSONResponse, json_row, rows_text
from dailies.api.schemas import NewFile, NewUpload, validate

FILES = "job_files"
UPLOADS = "youtube_uploads"


async def list_job_files(job: JobRequest) -> Response:
    file_type = job.parameters.get("file_type")
    rows, counts = await job.read(lambda conn: builds.files(conn, job.key, file_type))
    return json_response(200, rows_text(map(json_row, rows), {"counts": counts}))


async def add_job_file(job: JobRequest) -> Response:
    file = validate(NewFile, parse_object(await job.read_body()), FILES)
    seen = await job.may_see(FILES)

    def add(connection: sqlite3.Connection) -> JSONResponse:
        row, existed = builds.add_file(connection, job.key, file, job.actor_id)
        path = "/".join(quote(row[name], safe="") for name in ("file_type", "filename"))
        headers = {"Location": f"{job.url_of(job.key)}/files/{path}"}
        rows = rows_text([json_row(row)] if seen else [])
        return JSONResponse(200 if existed else 201, rows, headers)

    return await job.write_once(add, FILES)


async def delete_job_file(job: JobRequest) -> Response:
    file_type, filename = job.segment("file_type"), job.segment("filename")
    lease = job.parameters.get("lease")
    await job.write(
        lambda conn: builds.delete_file(conn, job.key, file_type, filename, lease, job.actor_id)
    )
    return json_response(204)


async def list_job_uploads(job: JobRequest) -> Response:
    rows = await job.read(lambda conn: builds.uploads(conn, job.key))
    return json_response(200, rows_text(map(json_row, rows)))


async def add_job_upload(job: JobRequest) -> Response:
    upload = validate(NewUpload, parse_object(await job.read_body()), UPLOADS)
    seen = await job.may_see(UPLOADS)

    def add(connection: sqlite3.Connection) -> JSONResponse:
        row = builds.add_upload(connection, job.key, upload, job.actor_id)
        return JSONResponse(201, rows_text([json_row(row)] if seen else []))

    return await job.write_once(add, UPLOADS)
