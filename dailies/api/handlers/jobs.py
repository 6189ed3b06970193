"""Jobs of any kind: list, read, create, update, patch, delete."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from datasette import Request, Response
from datasette.app import Datasette

from dailies.api.dispatch import (
    JSON,
    actor_id,
    address,
    check_of,
    key_of,
    lease_of,
    one,
    page,
    parameters_of,
    refuse_parameters,
    respond,
    unless_known,
    write_once,
)
from dailies.api.operations import Operation, Parameter
from dailies.api.pagination import DEFAULT_SIZE, MOST_ROWS, parse_listing, read_page
from dailies.api.request import merge_patch, parse_document, parse_documents, read_body
from dailies.api.resources import Resource
from dailies.api.responses import Answer, rows_text
from dailies.auth.permissions import may_see, read_from, require, write_to

PATCHES = (*JSON, "application/merge-patch+json")
SIZE = Parameter(
    "_size",
    f"Rows of a page; {DEFAULT_SIZE} by default.",
    {"type": "integer", "minimum": 1, "maximum": MOST_ROWS},
)
FILTERS: dict[str, dict[str, Any]] = {
    "boolean": {"type": "string", "enum": ["true", "false", "1", "0"]},
    "number": {"type": "integer"},
    "time": {"type": "string", "format": "date-time"},
    "text": {"type": "string"},
    "json": {"type": "string"},
}
LEASE = Parameter("lease", "The lease that a claim gave: 409 once it is lost.")
NEXT = Parameter("_next", "The token `next` of the page before.")


async def list_jobs(datasette: Datasette, request: Request, resource: Resource) -> Response:
    await require(datasette, request.actor, "view-table", resource)
    listing = parse_listing(resource, parameters_of(request))
    found = await read_from(datasette, resource, lambda conn: read_page(conn, resource, listing))
    return page(request, [stored.text for stored in found.rows], found.next)


async def create_jobs(datasette: Datasette, request: Request, resource: Resource) -> Response:
    await require(datasette, request.actor, "create-job", resource)
    refuse_parameters(request)
    body = await read_body(request, JSON)
    documents, listed = parse_documents(body)
    actor = actor_id(request)

    def create(connection: sqlite3.Connection) -> Answer:
        created = resource.add(connection, documents, actor, listed=listed)
        if listed:
            return Answer(201, rows_text(stored.text for stored in created))
        return one(created[0], 201, {"Location": address(datasette, resource, created[0].key)})

    return await write_once(datasette, request, resource, create, body)


async def read_job(datasette: Datasette, request: Request, resource: Resource) -> Response:
    await require(datasette, request.actor, "view-table", resource)
    refuse_parameters(request)
    key = key_of(request)
    stored = await read_from(datasette, resource, lambda conn: resource.read(conn, key))
    return unless_known(request, stored)


async def update_job(datasette: Datasette, request: Request, resource: Resource) -> Response:
    return await change_job(datasette, request, resource, JSON, lambda job, given: {**job, **given})


async def patch_job(datasette: Datasette, request: Request, resource: Resource) -> Response:
    return await change_job(datasette, request, resource, PATCHES, merge_patch)


async def change_job(
    datasette: Datasette,
    request: Request,
    resource: Resource,
    types: tuple[str, ...],
    changed: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]],
) -> Response:
    await require(datasette, request.actor, "update-job", resource)
    refuse_parameters(request)
    given = parse_document(await read_body(request, types))
    key, actor, check = key_of(request), actor_id(request), check_of(request)
    stored = await write_to(
        datasette,
        resource,
        lambda conn: resource.change(conn, key, actor, check, lambda job: changed(job, given)),
    )
    seen = await may_see(datasette, request.actor, resource)
    return respond(one(stored) if seen else Answer(200, rows_text([])))


async def delete_job(datasette: Datasette, request: Request, resource: Resource) -> Response:
    await require(datasette, request.actor, "delete-job", resource)
    lease = lease_of(request, resource)
    key, actor, check = key_of(request), actor_id(request), check_of(request)

    def remove(connection: sqlite3.Connection) -> None:
        if resource.queue and lease:
            resource.queue.require_lease_of(connection, key, lease)
        resource.remove(connection, key, actor, check)

    await write_to(datasette, resource, remove)
    return respond(Answer(204))


def listing_parameters(resource: Resource) -> tuple[Parameter, ...]:
    columns = [*resource.columns, *(f"-{column}" for column in resource.columns)]
    return (
        *(
            Parameter(column, f"Only where `{column}` is this.", FILTERS[kind])
            for column, kind in resource.columns.items()
        ),
        Parameter("q", "Only what holds all of these words."),
        Parameter(
            "_sort",
            "A column; `-` before it for the last first. `-created_at` by default.",
            {"type": "string", "enum": columns},
        ),
        SIZE,
        NEXT,
    )


OPERATIONS = (
    Operation(
        "GET",
        "/api/{resource}",
        list_jobs,
        "List jobs: filtered, searched, sorted, page by page",
        {200: lambda resource: resource.models.row},
        paged=True,
        parameters=listing_parameters,
    ),
    Operation(
        "POST",
        "/api/{resource}",
        create_jobs,
        "Create a job, or a list of up to 1,000: all of them or none",
        {201: lambda resource: resource.models.row},
        body=lambda resource: resource.models.new,
        listed=True,
    ),
    Operation(
        "GET",
        "/api/{resource}/{key}",
        read_job,
        "Read a job",
        {200: lambda resource: resource.models.row, 304: lambda _: None},
    ),
    Operation(
        "PUT",
        "/api/{resource}/{key}",
        update_job,
        "Update a job: the fields given replace, the others stay",
        {200: lambda resource: resource.models.row},
        body=lambda resource: resource.models.changes,
        conditional=True,
    ),
    Operation(
        "PATCH",
        "/api/{resource}/{key}",
        patch_job,
        "Update a job by a JSON Merge Patch (RFC 7396)",
        {200: lambda resource: resource.models.row},
        body=lambda resource: resource.models.changes,
        patch=True,
        conditional=True,
    ),
    Operation(
        "DELETE",
        "/api/{resource}/{key}",
        delete_job,
        "Delete a job",
        {204: lambda _: None},
        conditional=True,
        parameters=lambda resource: (LEASE,) if resource.queue else (),
    ),
)
