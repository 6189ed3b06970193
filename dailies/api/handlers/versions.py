"""What becomes possible where every version of a job is kept: its history, copies, going back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from datasette import Request, Response
from datasette.app import Datasette

from dailies.api.dispatch import (
    JSON,
    actor_id,
    address,
    check_of,
    key_of,
    one,
    page,
    parameters_of,
    refuse_parameters,
    write_once,
)
from dailies.api.handlers.jobs import NEXT, SIZE
from dailies.api.operations import Operation
from dailies.api.pagination import Position, format_token, parse_version_page
from dailies.api.request import RefusalError, parse_options, quoted, read_body
from dailies.api.resources import RESOURCES, Resource, Versions
from dailies.api.responses import Answer, Version, rows_text
from dailies.api.schemas import NOTHING, RESTORE, VERSION_ROW, validate
from dailies.auth.permissions import may_see, read_from, require

VERSIONED = {name: resource for name, resource in RESOURCES.items() if resource.versions}


async def list_job_versions(datasette: Datasette, request: Request, resource: Resource) -> Response:
    versions = versions_of(resource)
    await require(datasette, request.actor, "view-table", resource, versions.table)
    missing = "There never was a job"
    return await numbered_page(datasette, request, resource, versions.list, missing)


async def numbered_page(
    datasette: Datasette,
    request: Request,
    resource: Resource,
    read: Callable[[sqlite3.Connection, str, int | None, int], list[Version]],
    missing: str,
) -> Response:
    """A page of what happened to a job, newest first, each with a number; 404 if nothing did."""
    size, before = parse_version_page(parameters_of(request))
    key = key_of(request)
    found = await read_from(datasette, resource, lambda conn: read(conn, key, before, size + 1))
    if not found and before is None:
        raise RefusalError(404, f"{missing} {quoted(key)}")
    token = format_token(Position(found[size - 1].number, 0)) if len(found) > size else None
    return page(request, [version.text for version in found[:size]], token)


async def duplicate_job(datasette: Datasette, request: Request, resource: Resource) -> Response:
    versions = versions_of(resource)
    await require(datasette, request.actor, "create-job", resource)
    if not await may_see(datasette, request.actor, resource):
        await require(datasette, request.actor, "view-table", resource)
    refuse_parameters(request)
    body = await read_body(request, JSON, optional=True)
    validate(NOTHING, parse_options(body))
    key, actor = key_of(request), actor_id(request)

    def duplicate(connection: sqlite3.Connection) -> Answer:
        copy = versions.duplicate(connection, key, actor)
        return one(copy, 201, {"Location": address(datasette, resource, copy.key)})

    return await write_once(datasette, request, resource, duplicate, body)


async def restore_job(datasette: Datasette, request: Request, resource: Resource) -> Response:
    versions = versions_of(resource)
    await require(datasette, request.actor, "create-job", resource)
    await require(datasette, request.actor, "update-job", resource)
    if not await may_see(datasette, request.actor, resource, versions.table):
        await require(datasette, request.actor, "view-table", resource, versions.table)
    refuse_parameters(request)
    body = await read_body(request, JSON, optional=True)
    options = validate(RESTORE, parse_options(body))
    key, actor, check = key_of(request), actor_id(request), check_of(request)
    seen = await may_see(datasette, request.actor, resource)

    def restore(connection: sqlite3.Connection) -> Answer:
        restored = versions.restore(connection, key, actor, check, options.get("version"))
        return one(restored) if seen else Answer(200, rows_text([]))

    return await write_once(datasette, request, resource, restore, body)


def versions_of(resource: Resource) -> Versions:
    if resource.versions is None:
        raise RefusalError(404, f"{resource.name} have no versions")
    return resource.versions


OPERATIONS = (
    Operation(
        "GET",
        "/api/{resource}/{key}/history",
        list_job_versions,
        "List the versions of a job, newest first",
        {200: lambda _: VERSION_ROW},
        VERSIONED,
        paged=True,
        parameters=lambda _: (SIZE, NEXT),
    ),
    Operation(
        "POST",
        "/api/{resource}/{key}/duplicate",
        duplicate_job,
        "Create a job that says the same",
        {201: lambda resource: resource.models.row},
        VERSIONED,
        body=lambda _: NOTHING,
        optional=True,
    ),
    Operation(
        "POST",
        "/api/{resource}/{key}/restore",
        restore_job,
        "Go back to a version of a job, or bring a deleted one back",
        {200: lambda resource: resource.models.row},
        VERSIONED,
        body=lambda _: RESTORE,
        optional=True,
        conditional=True,
    ),
)
