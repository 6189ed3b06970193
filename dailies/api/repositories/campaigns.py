"""Campaign jobs as the JSON documents that programs send and get over HTTP.

A document goes into `data` as it came, and comes out as the text that `data` holds: it is not built
and written again on the way, so nothing in it can change or fail to be read.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from dailies.api.request import Check, RefusalError, all_or_none, quoted
from dailies.api.responses import Stored, Version, entity_tag
from dailies.api.schemas import NEW_CAMPAIGN, validate
from loaders.campaigns.jobs import INSERT_JOB, UPDATE_JOB, key_of, to_json
from loaders.connections import acting_as
from loaders.errors import DuplicateKey, translated
from loaders.migrations.campaigns_projection import BROKEN_RULES, projection_of
from loaders.rows import Job
from loaders.times import now

Document = dict[str, Any]
Change = Callable[[Document], Document]

STORED = """
jobs.id,
jobs.data,
jobs.created_at,
jobs.updated_at,
json_type(jobs.data, '$.created_at'),
json_type(jobs.data, '$.updated_at')
"""

FIND_STORED = f"""
select {STORED}
from jobs
where id = :id
"""  # noqa: S608

# A job that does not say when it was created goes by when it was inserted.
FIND_VERSION = """
select
  data,
  (
    select changed_at
    from job_history as inserted
    where inserted.job_id = :id
      and inserted.operation = 'insert'
      and inserted.version <= job_history.version
    order by inserted.version desc
    limit 1
  )
from job_history
where job_id = :id
  and (:version is null or version = :version)
order by version desc
limit 1
"""

LIST_VERSIONS = """
select
  version,
  json_object(
    'version', version,
    'operation', operation,
    'actor', actor,
    'changed_at', changed_at,
    'data', json(case when json_valid(data) then data else json_quote(data) end)
  )
from job_history
where job_id = :id
  and (:before is null or version < :before)
order by version desc
limit :limit
"""

FIND_BROKEN_RULES = f"""
select {", ".join(f"{column}, {broken}" for column, (broken, _) in BROKEN_RULES.items())}
from (select {projection_of(":data")})
"""  # noqa: S608


def find(connection: sqlite3.Connection, job_id: str) -> Stored | None:
    row = connection.execute(FIND_STORED, {"id": job_id}).fetchone()
    return to_stored(row) if row else None


def read(connection: sqlite3.Connection, job_id: str) -> Stored:
    stored = find(connection, job_id)
    if stored is None:
        raise RefusalError(404, f"There is no job {quoted(job_id)}")
    return stored


def to_stored(row: Sequence[Any]) -> Stored:
    """The job as `Job.to_dict` shows it: with the times that the columns keep where it has none."""
    job_id, data, created_at, updated_at, *kinds = row
    if isinstance(data, bytes):
        data = data.decode(errors="replace")
    times = {"created_at": created_at, "updated_at": updated_at}
    etag = entity_tag(job_id, data, updated_at)
    if "null" in kinds:
        return Stored(job_id, to_json(Job(json.loads(data), times).to_dict()), etag)
    missing = {
        name: value
        for (name, value), kind in zip(times.items(), kinds, strict=True)
        if kind is None and value is not None
    }
    if not missing:
        return Stored(job_id, data, etag)
    return Stored(job_id, f"{data.rstrip()[:-1]}, {to_json(missing)[1:]}", etag)


def add(
    connection: sqlite3.Connection, documents: list[Document], actor: str | None, *, listed: bool
) -> list[Stored]:
    """Store new jobs, all or none. The error names every fault, with its position if `listed`."""
    with acting_as(connection, actor):
        keys = all_or_none(documents, lambda document: insert(connection, document), listed=listed)
        return [read(connection, key) for key in keys]


def insert(connection: sqlite3.Connection, document: Document) -> str:
    """Store one job and return its key."""
    validate(NEW_CAMPAIGN, document, "jobs")
    with refused(connection, document):
        job_id = key_of(document) or uuid.uuid4().hex
        values = {"id": job_id, "data": to_json({**document, "id": job_id})}
        with translated(f"A job {quoted(job_id)}"):
            connection.execute(INSERT_JOB, values)
    return job_id


@contextmanager
def refused(connection: sqlite3.Connection, document: Mapping[str, Any]) -> Iterator[None]:
    """Turn what the loaders and the database have against `document` into a RefusalError."""
    try:
        yield
    except DuplicateKey as error:
        raise RefusalError(409, str(error)) from error
    except ValueError as error:
        raise RefusalError(400, broken_rules(connection, document) or str(error)) from error


def broken_rules(connection: sqlite3.Connection, document: Mapping[str, Any]) -> list[str]:
    """Every rule that the columns of `document` break; the triggers name the first alone."""
    try:
        data = to_json(document)
    except ValueError:
        return []
    row = list(connection.execute(FIND_BROKEN_RULES, {"data": data}).fetchone())
    found = zip(BROKEN_RULES.items(), row[::2], row[1::2], strict=True)
    return [
        f"jobs.{column}: {rule}" + ("" if value is None else f", not {quoted(str(value))}")
        for (column, (_, rule)), value, broken in found
        if broken
    ]


def change(
    connection: sqlite3.Connection, job_id: str, actor: str | None, check: Check, changed: Change
) -> Stored:
    """Store what `changed` makes of the job, with a new `updated_at` unless it sets one itself.

    `check` sees the entity tag that the job has until then.
    """
    with acting_as(connection, actor):
        stored = read(connection, job_id)
        check(stored.etag)
        before = json.loads(stored.text)
        document = changed(before)
        if document.get("id", job_id) != job_id:
            raise RefusalError(400, f"id: is {quoted(job_id)} and cannot be changed")
        if document.get("updated_at") == before.get("updated_at"):
            document = {**document, "updated_at": now()}
        write(connection, job_id, document)
        return read(connection, job_id)


def write(connection: sqlite3.Connection, job_id: str, document: Document) -> None:
    with refused(connection, document), translated(f"A job {quoted(job_id)}"):
        values = {"id": job_id, "data": to_json({**document, "id": job_id})}
        connection.execute(UPDATE_JOB, values)


def remove(connection: sqlite3.Connection, job_id: str, actor: str | None, check: Check) -> None:
    """Delete a job; its history stays."""
    with acting_as(connection, actor):
        check(read(connection, job_id).etag)
        connection.execute("delete from jobs where id = :id", {"id": job_id})


def duplicate(connection: sqlite3.Connection, job_id: str, actor: str | None) -> Stored:
    """A new job that says the same, under a key and a name of its own."""
    with acting_as(connection, actor):
        document = json.loads(read(connection, job_id).text)
        own = ("id", "created_at", "updated_at")
        document = {name: value for name, value in document.items() if name not in own}
        if isinstance(name := document.get("job_name"), str):
            document["job_name"] = f"{name} (Copy)"
        [stored] = add(connection, [document], actor, listed=False)
        return stored


def restore(
    connection: sqlite3.Connection,
    job_id: str,
    actor: str | None,
    check: Check,
    version: int | None,
) -> Stored:
    """The job as it was in `version`; a deleted one as it last was, unless a version is named."""
    with acting_as(connection, actor):
        present = find(connection, job_id)
        if present:
            check(present.etag)
        if present and version is None:
            message = f"The job {quoted(job_id)} is not deleted: name the version to go back to"
            raise RefusalError(409, message)
        row = connection.execute(FIND_VERSION, {"id": job_id, "version": version}).fetchone()
        if row is None:
            of_version = "" if version is None else f" in version {version}"
            raise RefusalError(404, f"There was no job {quoted(job_id)}{of_version}")
        data, created_at = row
        document = {**json.loads(data), "updated_at": now()}
        if created_at is not None:
            document.setdefault("created_at", created_at)
        if present:
            write(connection, job_id, document)
        else:
            insert(connection, {**document, "id": job_id})
        return read(connection, job_id)


def versions(
    connection: sqlite3.Connection, job_id: str, before: int | None, limit: int
) -> list[Version]:
    """The versions below number `before`, newest first."""
    values = {"id": job_id, "before": before, "limit": limit}
    return [Version(*row) for row in connection.execute(LIST_VERSIONS, values)]
