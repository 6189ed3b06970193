"""Jobs over HTTP: /api/{resource}, for programs with a token and people who are signed in.

Each endpoint reads top to bottom: permission, body, one read or write, answer. What a resource is
and does stands in loaders/resources.py; whatever is wrong arrives here as a `RefusalError`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from typing import Any

from datasette import Request, Response, hookimpl
from datasette.app import Datasette
from datasette.permissions import Action
from datasette.resources import TableResource

from loaders.access import may_see, read_from, require, write_to
from loaders.answers import rows_text
from loaders.databases import DATABASES
from loaders.endpoints import (
    JSON,
    Endpoint,
    actor_id,
    address,
    answer,
    check_of,
    key_of,
    one,
    page,
    parameters_of,
    refuse_parameters,
    respond,
    unless_known,
)
from loaders.listing import parse_listing, read_page
from loaders.requests import merge_patch, parse_document, parse_documents, read_body
from loaders.resources import Resource

ACTIONS = {
    "create-job": "Create jobs",
    "update-job": "Change jobs",
    "delete-job": "Delete jobs",
}
PATCHES = (*JSON, "application/merge-patch+json")


@hookimpl
def register_actions() -> list[Action]:
    return [
        Action(name=name, description=description, resource_class=TableResource)
        for name, description in ACTIONS.items()
    ]


@hookimpl
def register_routes() -> list[tuple[str, Any]]:
    return [
        (r"/api/(?P<resource>[^/]+)\Z", collection),
        (r"/api/(?P<resource>[^/]+)/(?P<key>[^/]+)\Z", item),
    ]


@hookimpl
def write_wrapper(database: str, request: Request | None, transaction: bool) -> Any:
    """Histories name who wrote through Datasette's own pages, too."""
    if request is None or not transaction or database not in DATABASES:
        return None
    actor = actor_id(request)

    def as_actor(conn: sqlite3.Connection) -> Generator[None, Any, None]:
        conn.execute("update write_context set actor = :actor", {"actor": actor})
        yield
        conn.execute("update write_context set actor = null")

    return as_actor


async def collection(request: Request, datasette: Datasette) -> Response:
    return await answer(datasette, request, {"GET": list_jobs, "POST": create_jobs})


async def item(request: Request, datasette: Datasette) -> Response:
    endpoints: dict[str, Endpoint] = {
        "GET": read_job,
        "PUT": update_job,
        "PATCH": patch_job,
        "DELETE": delete_job,
    }
    return await answer(datasette, request, endpoints)


async def list_jobs(datasette: Datasette, request: Request, resource: Resource) -> Response:
    await require(datasette, request.actor, "view-table", resource)
    listing = parse_listing(resource, parameters_of(request))
    found = await read_from(datasette, resource, lambda conn: read_page(conn, resource, listing))
    return page(request, [stored.text for stored in found.rows], found.next)


async def create_jobs(datasette: Datasette, request: Request, resource: Resource) -> Response:
    await require(datasette, request.actor, "create-job", resource)
    refuse_parameters(request)
    documents, listed = parse_documents(await read_body(request, JSON))
    actor = actor_id(request)
    created = await write_to(
        datasette, resource, lambda conn: resource.add(conn, documents, actor, listed=listed)
    )
    if listed:
        return respond(rows_text(stored.text for stored in created), 201)
    return one(created[0], 201, {"Location": address(datasette, resource, created[0].key)})


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
    if await may_see(datasette, request.actor, resource):
        return one(stored)
    return respond(rows_text([]))


async def delete_job(datasette: Datasette, request: Request, resource: Resource) -> Response:
    await require(datasette, request.actor, "delete-job", resource)
    refuse_parameters(request)
    key, actor, check = key_of(request), actor_id(request), check_of(request)
    await write_to(datasette, resource, lambda conn: resource.remove(conn, key, actor, check))
    return Response(b"", 204)
