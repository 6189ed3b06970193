"""Resources whose every version is kept: history, duplicate, restore."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable

from datasette import Response

from dailies.api.dispatch import JobRequest, row_if
from dailies.api.pagination import MAX_BYTES, Position, format_token, parse_numbered_page
from dailies.api.request import parse_optional
from dailies.api.resources import Versions
from dailies.api.responses import JSONResponse, one_row
from dailies.api.schemas import Nothing, Restore, validate
from dailies.errors import RequestError
from loaders.errors import NotFound
from loaders.messages import quoted
from loaders.rows import Version


async def list_job_versions(job: JobRequest) -> Response:
    return await numbered_page(job, versions_of(job).list, "There was never a job")


async def numbered_page(
    job: JobRequest,
    read: Callable[[sqlite3.Connection, str, int | None, int], Iterable[Version]],
    missing: str,
) -> Response:
    """A page of the versions or events of a job, newest first; 404 if there are none."""
    size, before = parse_numbered_page(job.parameters)
    found, more = await job.read(lambda conn: first(size, read(conn, job.key, before, size + 1)))
    if not found and before is None:
        raise NotFound(f"{missing} {quoted(job.key)}")
    token = format_token(Position(found[-1].number, 0)) if more else None
    return job.page((version.text for version in found), token)


def first(size: int, versions: Iterable[Version]) -> tuple[list[Version], bool]:
    """The first versions, up to so many and to `MAX_BYTES`, and whether there are more."""
    found: list[Version] = []
    left = MAX_BYTES
    for version in versions:
        if len(found) == size or left <= 0:
            return found, True
        found.append(version)
        left -= len(version.text)
    return found, False


async def duplicate_job(job: JobRequest) -> Response:
    versions = versions_of(job)
    await job.require_sight()
    validate(Nothing, parse_optional(await job.read_body(optional=True)))

    def duplicate(connection: sqlite3.Connection) -> JSONResponse:
        copy = versions.duplicate(connection, job.key, job.actor_id)
        return one_row(copy, 201, {"Location": job.url_of(copy.key)})

    return await job.write_once(duplicate)


async def restore_job(job: JobRequest) -> Response:
    versions = versions_of(job)
    await job.require("update-job")
    await job.require_sight(versions.table)
    options = validate(Restore, parse_optional(await job.read_body(optional=True)))
    seen = await job.may_see()

    def restore(connection: sqlite3.Connection) -> JSONResponse:
        record = versions.restore(
            connection, job.key, options.get("version"), job.actor_id, job.check
        )
        return row_if(seen, record)

    return await job.write_once(restore)


def versions_of(job: JobRequest) -> Versions:
    if job.resource.versions is None:
        raise RequestError(404, f"No versions are kept of {job.resource.name}")
    return job.resource.versions
