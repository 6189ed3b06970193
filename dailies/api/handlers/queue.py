"""What workers send: claims and heartbeats; and the events of a job."""

from __future__ import annotations

import sqlite3

from datasette import Response

from dailies.api.dispatch import JobRequest, row_if
from dailies.api.handlers.versions import numbered_page
from dailies.api.request import parse_object, parse_optional
from dailies.api.responses import JSONResponse, rows_text
from dailies.api.schemas import Body, Claim, validate
from dailies.errors import RequestError
from loaders.formats.json_row import json_row
from loaders.queues.jobs import record
from loaders.queues.queue import JobQueue


async def claim_job(job: JobRequest) -> Response:
    queue = queue_of(job)
    await job.require_sight()
    worker = validate(Claim, await job.read_json(parse_object))["worker"]

    def claim(connection: sqlite3.Connection) -> JSONResponse:
        row = queue.claim(connection, worker, job.actor_id)
        if row is None:
            return JSONResponse(204)
        headers = {"Content-Location": job.url_of(str(row["job_id"]))}
        return JSONResponse(200, rows_text([json_row(row)]), headers)

    return await job.write_once(claim)


async def heartbeat_job(job: JobRequest) -> Response:
    queue = queue_of(job)
    body = parse_optional(await job.read_body(optional=True))
    model = job.resource.models.heartbeat or Body
    given = validate(model, body, job.resource.table)
    seen = await job.may_see()

    def heartbeat(connection: sqlite3.Connection) -> JSONResponse:
        row = queue.heartbeat(connection, job.key, **given, actor=job.actor_id)
        return row_if(seen, record(row))

    return await job.write_once(heartbeat)


async def list_job_events(job: JobRequest) -> Response:
    return await numbered_page(job, queue_of(job).events, "There are no events of a job")


def queue_of(job: JobRequest) -> JobQueue:
    if job.resource.queue is None:
        raise RequestError(404, f"{job.resource.name} is not a queue")
    return job.resource.queue
