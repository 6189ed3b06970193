"""What becomes possible where every version of a job is kept: its history, copies, going back."""

from __future__ import annotations

from typing import Any

from datasette import Request, Response, hookimpl
from datasette.app import Datasette

from loaders.access import may_see, read_from, require, write_to
from loaders.answers import rows_text
from loaders.endpoints import (
    JSON,
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
)
from loaders.listing import Position, format_token, parse_version_page
from loaders.requests import (
    NoOptions,
    RefusalError,
    RestoreOptions,
    parse_options,
    quoted,
    read_body,
)
from loaders.resources import Resource, Versions

JOB = r"/api/(?P<resource>[^/]+)/(?P<key>[^/]+)"


@hookimpl
def register_routes() -> list[tuple[str, Any]]:
    return [
        (rf"{JOB}/history\Z", history),
        (rf"{JOB}/duplicate\Z", duplicate),
        (rf"{JOB}/restore\Z", restore),
    ]


async def history(request: Request, datasette: Datasette) -> Response:
    return await answer(datasette, request, {"GET": list_versions})


async def duplicate(request: Request, datasette: Datasette) -> Response:
    return await answer(datasette, request, {"POST": duplicate_job})


async def restore(request: Request, datasette: Datasette) -> Response:
    return await answer(datasette, request, {"POST": restore_job})


async def list_versions(datasette: Datasette, request: Request, resource: Resource) -> Response:
    versions = versions_of(resource)
    await require(datasette, request.actor, "view-table", resource, versions.table)
    size, before = parse_version_page(parameters_of(request))
    key = key_of(request)
    found = await read_from(
        datasette, resource, lambda conn: versions.list(conn, key, before, size + 1)
    )
    if not found and before is None:
        raise RefusalError(404, f"There never was a job {quoted(key)}")
    token = format_token(Position(found[size - 1].number, 0)) if len(found) > size else None
    return page(request, [version.text for version in found[:size]], token)


async def duplicate_job(datasette: Datasette, request: Request, resource: Resource) -> Response:
    versions = versions_of(resource)
    await require(datasette, request.actor, "create-job", resource)
    if not await may_see(datasette, request.actor, resource):
        await require(datasette, request.actor, "view-table", resource)
    refuse_parameters(request)
    parse_options(NoOptions, await read_body(request, JSON, optional=True))
    key, actor = key_of(request), actor_id(request)
    copy = await write_to(datasette, resource, lambda conn: versions.duplicate(conn, key, actor))
    return one(copy, 201, {"Location": address(datasette, resource, copy.key)})


async def restore_job(datasette: Datasette, request: Request, resource: Resource) -> Response:
    versions = versions_of(resource)
    await require(datasette, request.actor, "create-job", resource)
    await require(datasette, request.actor, "update-job", resource)
    refuse_parameters(request)
    options = parse_options(RestoreOptions, await read_body(request, JSON, optional=True))
    key, actor, check = key_of(request), actor_id(request), check_of(request)
    restored = await write_to(
        datasette,
        resource,
        lambda conn: versions.restore(conn, key, actor, check, options.version),
    )
    if await may_see(datasette, request.actor, resource):
        return one(restored)
    return respond(rows_text([]))


def versions_of(resource: Resource) -> Versions:
    if resource.versions is None:
        raise RefusalError(404, "There is nothing at this address")
    return resource.versions
