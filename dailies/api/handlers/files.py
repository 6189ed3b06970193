"""Files of a build, and its uploads."""

from __future__ import annotations

import sqlite3
from urllib.parse import quote

from datasette import Response

from dailies.api.dispatch import JobRequest, json_response
from dailies.api.request import parse_object
from dailies.api.responses import JSONResponse, rows_text
from dailies.api.schemas import NewFile, NewUpload, validate
from loaders import yt_builder
from loaders.errors import NotFound
from loaders.formats.json_row import json_row
from loaders.messages import quoted
from loaders.yt_builder import BUILDS

FILES = "job_files"
UPLOADS = "youtube_uploads"
MAX_UPLOADS = 1000


async def list_job_files(job: JobRequest) -> Response:
    file_type = job.parameters.get("file_type")

    def read(connection: sqlite3.Connection) -> str:
        job_id = find_job(connection, job)
        files = yt_builder.get_job_files(connection, job_id, file_type)
        counts = yt_builder.get_file_counts(connection, job_id)
        return rows_text(map(json_row, files), {"counts": counts})

    return json_response(200, await job.read(read))


async def add_job_file(job: JobRequest) -> Response:
    file = validate(NewFile, await job.read_json(parse_object), FILES)
    lease = file.pop("lease", None)
    seen = await job.may_see(FILES)

    def add(connection: sqlite3.Connection) -> JSONResponse:
        job_id = find_job(connection, job, lease)
        before = yt_builder.get_job_files(connection, job_id, file["file_type"])
        row = yt_builder.add_file(connection, job_id, **file, actor=job.actor_id)
        replaced = row["id"] in {other["id"] for other in before}
        path = "/".join(quote(row[name], safe="") for name in ("file_type", "filename"))
        headers = {"Location": f"{job.url_of(job.key)}/files/{path}"}
        rows = rows_text([json_row(row)] if seen else [])
        return JSONResponse(200 if replaced else 201, rows, headers)

    return await job.write_once(add, FILES)


async def delete_job_file(job: JobRequest) -> Response:
    file_type, filename = job.segment("file_type"), job.segment("filename")

    def delete(connection: sqlite3.Connection) -> None:
        job_id = find_job(connection, job, job.parameters.get("lease"))
        if not yt_builder.delete_file(connection, job_id, file_type, filename, job.actor_id):
            message = f"The job has no file {quoted(filename)} of type {quoted(file_type)}"
            raise NotFound(message)

    await job.write(delete)
    return json_response(204)


async def list_job_uploads(job: JobRequest) -> Response:
    def read(connection: sqlite3.Connection) -> str:
        found = yt_builder.get_youtube_uploads(connection, find_job(connection, job), MAX_UPLOADS)
        return rows_text(map(json_row, found))

    return json_response(200, await job.read(read))


async def add_job_upload(job: JobRequest) -> Response:
    body = validate(NewUpload, await job.read_json(parse_object), UPLOADS)
    upload = {name: value for name, value in body.items() if value is not None}
    lease = upload.pop("lease", None)
    seen = await job.may_see(UPLOADS)

    def add(connection: sqlite3.Connection) -> JSONResponse:
        job_id = find_job(connection, job, lease)
        row = yt_builder.add_youtube_upload(connection, job_id, **upload, actor=job.actor_id)
        return JSONResponse(201, rows_text([json_row(row)] if seen else []))

    return await job.write_once(add, UPLOADS)


def find_job(connection: sqlite3.Connection, job: JobRequest, lease: str | None = None) -> int:
    """The number of the build. NotFound if there is none, Conflict if the lease is lost."""
    job_id: int = BUILDS.get(connection, job.key)["job_id"]
    BUILDS.require_lease(connection, job_id, lease)
    return job_id
