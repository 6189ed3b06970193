"""Jobs of any kind: list, read, create, update, patch, delete."""

from __future__ import annotations

import sqlite3
from typing import Any

from datasette import Response

from dailies.api.dispatch import JobRequest, json_response, row_if
from dailies.api.pagination import parse_query, read_page
from dailies.api.request import JSON, merge_patch, parse_object, parse_objects
from dailies.api.responses import JSONResponse, one_row, rows_text
from loaders.rows import Change

MERGE_PATCH = (*JSON, "application/merge-patch+json")


async def list_jobs(job: JobRequest) -> Response:
    query = parse_query(job.resource, job.parameters)
    read = job.read if query.text else job.read_at_once
    page = await read(lambda conn: read_page(conn, job.resource, query))
    return job.page((record.text for record in page.records), page.next)


async def create_jobs(job: JobRequest) -> Response:
    documents, listed = await job.read_json(parse_objects)

    def create(connection: sqlite3.Connection) -> JSONResponse:
        if listed:
            records = job.resource.add_all(connection, documents, job.actor_id)
            return JSONResponse(201, rows_text(record.text for record in records))
        record = job.resource.add(connection, documents[0], job.actor_id)
        return one_row(record, 201, {"Location": job.url_of(record.key)})

    return await job.write_once(create)


async def read_job(job: JobRequest) -> Response:
    return job.unless_known(await job.read_at_once(lambda conn: job.resource.get(conn, job.key)))


async def update_job(job: JobRequest) -> Response:
    given = await job.read_json(parse_object)
    return await change_job(job, lambda before: {**before, **given})


async def patch_job(job: JobRequest) -> Response:
    patch = await job.read_json(parse_object, MERGE_PATCH)
    return await change_job(job, lambda before: merged(before, patch))


def merged(before: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    after: dict[str, Any] = merge_patch(before, patch)
    return after


async def change_job(job: JobRequest, change: Change) -> Response:
    record = await job.write(
        lambda conn: job.resource.change(conn, job.key, change, job.actor_id, job.check)
    )
    return row_if(await job.may_see(), record).to_datasette()


async def delete_job(job: JobRequest) -> Response:
    lease = job.parameters.get("lease")

    def remove(connection: sqlite3.Connection) -> None:
        if job.resource.queue and lease:
            job.resource.queue.require_lease(connection, job.key, lease)
        job.resource.remove(connection, job.key, job.actor_id, job.check)

    await job.write(remove)
    return json_response(204)
