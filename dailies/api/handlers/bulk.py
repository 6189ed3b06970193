"""Changing every job that a filter matches, and undoing that."""

from __future__ import annotations

import json
import sqlite3

from datasette import Response

from dailies.api import bulk
from dailies.api.dispatch import JobRequest, json_response
from dailies.api.request import parse_object
from dailies.api.responses import JSONResponse
from dailies.api.schemas import Undo, validate


async def act_on_jobs(job: JobRequest) -> Response:
    if not await job.is_allowed("update-job"):
        await job.require("delete-job")
    given = validate(job.resource.models.bulk, await job.read_json(parse_object))
    action, conditions = given["action"], given["filter"].model_dump(exclude_unset=True)
    await job.require("delete-job" if action == bulk.DELETE else "update-job")
    selected = bulk.filtered(job.resource, conditions)
    if given.get("dry_run", False):
        job.check_idempotency_key()
        counted = await job.read(lambda conn: bulk.count(conn, job.resource, action, selected))
        return json_response(200, json.dumps(counted.as_dict()))

    def change(connection: sqlite3.Connection) -> JSONResponse:
        result = bulk.change(connection, job.resource, action, selected, job.actor_id)
        return JSONResponse(200, json.dumps(result.as_dict()))

    return await job.write_once(change)


async def undo_jobs(job: JobRequest) -> Response:
    token = validate(Undo, await job.read_json(parse_object))["undo"]

    def undo(connection: sqlite3.Connection) -> JSONResponse:
        result = bulk.undo(connection, job.resource, token, job.actor_id)
        return JSONResponse(200, json.dumps(result.as_dict()))

    return await job.write_once(undo)
