"""Acting on every job that a filter matches, and taking it back."""

from __future__ import annotations

import json
import sqlite3

from datasette import Request, Response
from datasette.app import Datasette

from dailies.api import bulk
from dailies.api.dispatch import (
    JSON,
    actor_id,
    check_idempotency_key,
    refuse_parameters,
    respond,
    write_once,
)
from dailies.api.operations import Operation
from dailies.api.request import parse_document, read_body
from dailies.api.resources import Resource
from dailies.api.responses import Answer
from dailies.api.schemas import BULK, BULK_DONE, UNDO, validate
from dailies.auth.permissions import is_allowed, read_from, require


async def act_on_jobs(datasette: Datasette, request: Request, resource: Resource) -> Response:
    await require(datasette, request.actor, "view-table", resource)
    if not await is_allowed(datasette, request.actor, "update-job", resource):
        await require(datasette, request.actor, "delete-job", resource)
    refuse_parameters(request)
    body = await read_body(request, JSON)
    asked = validate(BULK[resource.name], parse_document(body))
    needed = "delete-job" if asked["action"] == bulk.DELETE else "update-job"
    await require(datasette, request.actor, needed, resource)
    actor = actor_id(request)
    what = (resource, asked["action"], asked["filter"])
    if asked.get("dry_run", False):
        check_idempotency_key(request)
        done = await read_from(datasette, resource, lambda conn: bulk.rehearse(conn, *what))
        return respond(Answer(200, json.dumps(done.as_dict())))

    def act(connection: sqlite3.Connection) -> Answer:
        return Answer(200, json.dumps(bulk.act(connection, *what, actor).as_dict()))

    return await write_once(datasette, request, resource, act, body)


async def undo_jobs(datasette: Datasette, request: Request, resource: Resource) -> Response:
    await require(datasette, request.actor, "create-job", resource)
    refuse_parameters(request)
    body = await read_body(request, JSON)
    token = validate(UNDO, parse_document(body))["undo"]
    actor = actor_id(request)

    def take_back(connection: sqlite3.Connection) -> Answer:
        return Answer(200, json.dumps(bulk.undo(connection, token, actor).as_dict()))

    return await write_once(datasette, request, resource, take_back, body)


OPERATIONS = (
    Operation(
        "POST",
        "/api/{resource}/bulk",
        act_on_jobs,
        "Retry, cancel or delete every job that a filter matches; `dry_run` only counts them",
        {200: lambda _: BULK_DONE},
        body=lambda resource: BULK[resource.name],
        whole=True,
    ),
    Operation(
        "POST",
        "/api/{resource}/undo",
        undo_jobs,
        "Bring back what was deleted together",
        {200: lambda _: BULK_DONE},
        bulk.UNDOABLE,
        body=lambda _: UNDO,
        whole=True,
    ),
)
