"""Acting on every job that a filter matches, and taking it back."""

from __future__ import annotations

import json
import sqlite3

from datasette import Request, Response
from datasette.app import Datasette
from itsdangerous import BadSignature

from loaders import bulk
from loaders.access import require
from loaders.answers import Answer
from loaders.endpoints import JSON, actor_id, refuse_parameters, write_once
from loaders.models import BULK, BULK_DONE, UNDO, validate
from loaders.operations import Operation
from loaders.requests import RefusalError, parse_document, quoted, read_body
from loaders.resources import Resource

PURPOSE = "undo-jobs"  # what the signatures of tokens are for, and good for nothing else


async def act_on_jobs(datasette: Datasette, request: Request, resource: Resource) -> Response:
    await require(datasette, request.actor, "view-table", resource)
    refuse_parameters(request)
    body = await read_body(request, JSON)
    asked = validate(BULK[resource.name], parse_document(body))
    needed = "delete-job" if asked["action"] == bulk.DELETE else "update-job"
    await require(datasette, request.actor, needed, resource)
    actor = actor_id(request)

    def act(connection: sqlite3.Connection) -> Answer:
        done = bulk.act(
            connection,
            resource,
            asked["action"],
            asked["filter"],
            actor,
            dry_run=asked.get("dry_run", False),
        )
        undo = done.undo and datasette.sign(done.undo, PURPOSE)
        return Answer(200, json.dumps({**done.as_dict(), "undo": undo}))

    return await write_once(datasette, request, resource, act, body)


async def undo_jobs(datasette: Datasette, request: Request, resource: Resource) -> Response:
    await require(datasette, request.actor, "create-job", resource)
    refuse_parameters(request)
    body = await read_body(request, JSON)
    token = unsigned(datasette, validate(UNDO, parse_document(body))["undo"])
    actor = actor_id(request)

    def take_back(connection: sqlite3.Connection) -> Answer:
        return Answer(200, json.dumps(bulk.undo(connection, token, actor).as_dict()))

    return await write_once(datasette, request, resource, take_back, body)


def unsigned(datasette: Datasette, token: str) -> str:
    """What we signed; a token made up by others could bring back whatever was ever deleted."""
    try:
        return str(datasette.unsign(token, PURPOSE))
    except BadSignature:
        raise RefusalError(400, f"undo: {quoted(token)} is no token of ours") from None


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
