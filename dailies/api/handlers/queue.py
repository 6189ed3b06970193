"""What workers ask of a queue: a job to do, that they live, and who did what to a job."""

from __future__ import annotations

import sqlite3

from datasette import Request, Response
from datasette.app import Datasette

from dailies.api.dispatch import JSON, actor_id, address, key_of, one, refuse_parameters, write_once
from dailies.api.handlers.jobs import NEXT, SIZE
from dailies.api.handlers.versions import numbered_page
from dailies.api.operations import Operation
from dailies.api.repositories.queues import Queue
from dailies.api.request import RefusalError, parse_document, parse_options, read_body
from dailies.api.resources import RESOURCES, Resource
from dailies.api.responses import Answer, json_row, rows_text
from dailies.api.schemas import CLAIM, EVENT_ROWS, validate
from dailies.auth.permissions import may_see, require

QUEUES = {name: resource for name, resource in RESOURCES.items() if resource.queue}
EVENTS = "job_events"


async def claim_job(datasette: Datasette, request: Request, resource: Resource) -> Response:
    queue = queue_of(resource)
    await require(datasette, request.actor, "update-job", resource)
    if not await may_see(datasette, request.actor, resource):
        await require(datasette, request.actor, "view-table", resource)
    refuse_parameters(request)
    body = await read_body(request, JSON)
    worker = validate(CLAIM, parse_document(body))["worker"]
    actor = actor_id(request)

    def claim(connection: sqlite3.Connection) -> Answer:
        job = queue.claim(connection, worker, actor)
        if job is None:
            return Answer(204)
        where = address(datasette, resource, str(job["job_id"]))
        return Answer(200, rows_text([json_row(job)]), {"Content-Location": where})

    return await write_once(datasette, request, resource, claim, body)


async def heartbeat_job(datasette: Datasette, request: Request, resource: Resource) -> Response:
    queue = queue_of(resource)
    await require(datasette, request.actor, "update-job", resource)
    refuse_parameters(request)
    body = await read_body(request, JSON, optional=True)
    said = validate(queue.heartbeat, parse_options(body), resource.table)
    key, actor = key_of(request), actor_id(request)
    seen = await may_see(datasette, request.actor, resource)

    def note(connection: sqlite3.Connection) -> Answer:
        stored = queue.beat(connection, key, said, actor)
        return one(stored) if seen else Answer(200, rows_text([]))

    return await write_once(datasette, request, resource, note, body)


async def list_job_events(datasette: Datasette, request: Request, resource: Resource) -> Response:
    queue = queue_of(resource)
    await require(datasette, request.actor, "view-table", resource, EVENTS)
    missing = "Nothing ever happened to a job"
    return await numbered_page(datasette, request, resource, queue.events, missing)


def queue_of(resource: Resource) -> Queue:
    if resource.queue is None:
        raise RefusalError(404, f"{resource.name} are no queue")
    return resource.queue


OPERATIONS = (
    Operation(
        "POST",
        "/api/{resource}/claim",
        claim_job,
        "Take the oldest queued job; 204 when there is none",
        {200: lambda resource: queue_of(resource).claimed, 204: lambda _: None},
        QUEUES,
        body=lambda _: CLAIM,
    ),
    Operation(
        "POST",
        "/api/{resource}/{key}/heartbeat",
        heartbeat_job,
        "Tell that the worker of a job lives, and how far it is",
        {200: lambda resource: resource.models.row},
        QUEUES,
        body=lambda resource: queue_of(resource).heartbeat,
        optional=True,
    ),
    Operation(
        "GET",
        "/api/{resource}/{key}/events",
        list_job_events,
        "List the changes of a job's status, newest first",
        {200: lambda resource: EVENT_ROWS[resource.name]},
        QUEUES,
        paged=True,
        parameters=lambda _: (SIZE, NEXT),
    ),
)
