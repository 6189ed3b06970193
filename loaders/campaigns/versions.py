"""Versions of campaign jobs: history, copies, and restoring what was changed or deleted."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

from loaders.campaigns import jobs
from loaders.connections import Connection, acting_as, reading
from loaders.errors import Conflict, DomainError, NotFound
from loaders.messages import quoted
from loaders.rows import Check, Record, Version
from loaders.times import now

NOT_COPIED = ("id", "created_at", "updated_at")

# A job without a creation time in `data` was created when it was inserted.
FIND_VERSION = """
select
  data,
  (
    select changed_at
    from job_history as inserted
    where inserted.job_id = :id
      and inserted.operation = 'insert'
      and inserted.version <= job_versions.version
    order by inserted.version desc
    limit 1
  )
from job_versions
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
from job_versions
where job_id = :id
  and (:before is null or version < :before)
order by version desc
limit :limit
"""

LIST_CHANGES = """
select
  job_id,
  operation,
  version,
  not exists (
    select 1
    from job_history as later
    where later.job_id = changed.job_id
      and later.version > changed.version
  )
from job_history as changed
where id between :first and :last
order by id
"""


def duplicate_job(db: Connection, job_id: str, actor: str | None = None) -> Record:
    """Add a copy of a job, with an id of its own and "(Copy)" after its name."""
    with acting_as(db, actor) as connection:
        document = json.loads(jobs.get_record(connection, job_id).text)
        document = {name: value for name, value in document.items() if name not in NOT_COPIED}
        if isinstance(name := document.get("job_name"), str):
            document["job_name"] = f"{name} (Copy)"
        return jobs.add_record(connection, document, actor)


def list_versions(
    db: Connection, job_id: str, before: int | None = None, limit: int = -1
) -> Iterator[Version]:
    """Versions of a job below number `before`, newest first."""
    values = {"id": job_id, "before": before, "limit": limit}
    with reading(db) as connection:
        for row in connection.execute(LIST_VERSIONS, values):
            yield Version(*row)


def restore_job(
    db: Connection,
    job_id: str,
    version: int | None = None,
    actor: str | None = None,
    check: Check | None = None,
) -> Record:
    """Bring back a version of a job, or, without a number, a deleted job as it last was.

    `check` gets the present record, if there is one.
    """
    with acting_as(db, actor) as connection:
        present = jobs.job_exists(connection, job_id)
        if present and check:
            check(jobs.get_record(connection, job_id))
        if present and version is None:
            message = f"The job {quoted(job_id)} is not deleted: name the version to restore"
            raise Conflict(message)
        document = {**version_document(connection, job_id, version), "updated_at": now()}
        if present:
            jobs.write(connection, job_id, document)
        else:
            jobs.insert(connection, {**document, "id": job_id})
        return jobs.get_record(connection, job_id)


def version_document(
    connection: sqlite3.Connection, job_id: str, version: int | None
) -> dict[str, Any]:
    """The content of a version, of the last one if None. NotFound if there is none."""
    row = connection.execute(FIND_VERSION, {"id": job_id, "version": version}).fetchone()
    if row is None:
        of_version = "" if version is None else f" in version {version}"
        raise NotFound(f"There was no job {quoted(job_id)}{of_version}")
    data, created_at = row
    document: dict[str, Any] = json.loads(data)
    if created_at is not None:
        document.setdefault("created_at", created_at)
    return document


def undo_changes(
    db: Connection, first: int, last: int, actor: str | None = None
) -> tuple[int, int]:
    """Undo the changes `first` to `last` of `job_history`.

    Jobs that were written since, or that break today's rules, stay as they are. Returns how many
    changes were found, and how many were undone.
    """
    with acting_as(db, actor) as connection:
        found = connection.execute(LIST_CHANGES, {"first": first, "last": last}).fetchall()
        undone = [
            try_to_undo(connection, job_id, operation, version, actor)
            for job_id, operation, version, is_last in found
            if is_last
        ]
        return len(found), sum(undone)


def try_to_undo(
    connection: sqlite3.Connection, job_id: str, operation: str, version: int, actor: str | None
) -> bool:
    try:
        if operation == "insert":
            jobs.remove_job(connection, job_id, actor)
        else:
            before = version - 1 if operation == "update" else version
            restore_job(connection, job_id, before, actor)
    except DomainError:
        return False
    return True
