"""One change to every job that a filter matches, in one transaction; undo for campaigns."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from itsdangerous import BadSignature, URLSafeSerializer

from dailies.api.pagination import ListQuery, parse_query
from dailies.api.request import refuse_unknown
from dailies.api.resources import CAMPAIGNS, Resource
from dailies.auth.secrets import signing_secret
from loaders.campaigns import versions
from loaders.connections import acting_as
from loaders.errors import Conflict, Invalid, NotFound
from loaders.messages import quoted
from loaders.queues.queue import JobQueue

RETRY, CANCEL, DELETE = "retry", "cancel", "delete"
ENABLE, DISABLE, DUPLICATE = "enable", "disable", "duplicate"
MAX_DUPLICATES = 1_000
PERMISSIONS = {DELETE: "delete-job", DUPLICATE: "create-job"}  # the others need update-job
UNDO_PERMISSIONS = {DELETE: "create-job", DUPLICATE: "delete-job"}
CANCELLED = "cancelled"

LAST_CHANGE = """
select
  epoch,
  (select coalesce(max(id), 0) from job_history)
from change_stream
"""


@dataclass(frozen=True)
class Result:
    """How many jobs a filter matched, how many changed or would change, and the token for undo.

    The other jobs are left as they are, since their life cycle forbids the change.
    """

    action: str
    matched: int
    changed: int
    dry_run: bool = False
    undo: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "ok": True,
            "action": self.action,
            "matched": self.matched,
            "changed": self.changed,
            "left": self.matched - self.changed,
            "dry_run": self.dry_run,
            "undo": self.undo,
        }


def count(
    connection: sqlite3.Connection, resource: Resource, action: str, filters: Mapping[str, Any]
) -> Result:
    """What `change` would do, without writing."""
    query, condition = parse_filters(resource, filters)
    matched = count_rows(connection, resource, condition, query)
    changeable = f"{condition} and {changeable_by(resource, action)}"
    changed = count_rows(connection, resource, changeable, query)
    check_number(action, changed)
    return Result(action, matched, changed, True)


def change(
    connection: sqlite3.Connection,
    resource: Resource,
    action: str,
    filters: Mapping[str, Any],
    actor: str | None,
) -> Result:
    """Carry out an action on all jobs that match; filters are like the parameters of a list."""
    query, condition = parse_filters(resource, filters)
    with acting_as(connection, actor):
        matched = count_rows(connection, resource, condition, query)
        epoch, before = last_change(connection, resource)
        where = f"where {condition} and {changeable_by(resource, action)}"
        if action == DUPLICATE:
            changed = duplicate(connection, where, query, actor)
        else:
            statement = f"{statement_for(resource, action)} {where}"
            changed = connection.execute(statement, query.values).rowcount
        _, after = last_change(connection, resource)
        undo = signer().dumps([epoch, before + 1, after, action]) if after > before else None
        return Result(action, matched, changed, undo=undo)


def parse_filters(resource: Resource, filters: Mapping[str, Any]) -> tuple[ListQuery, str]:
    """The filters as a query and as a condition in SQL. Invalid if there are none."""
    refuse_unknown(filters, ("q", f"{resource.key}__in", *resource.columns), "column")
    query = parse_query(resource, {name: text_of(value) for name, value in filters.items()})
    conditions = (*query.conditions, *([resource.search.condition] if query.text else []))
    if not conditions:
        raise Invalid("filter: at least one filter is required")
    return query, " and ".join(conditions)


def duplicate(
    connection: sqlite3.Connection, where: str, query: ListQuery, actor: str | None
) -> int:
    sql = f"select id from jobs {where} limit {MAX_DUPLICATES + 1}"  # noqa: S608
    keys = [key for (key,) in connection.execute(sql, query.values)]
    check_number(DUPLICATE, len(keys))
    for key in keys:
        versions.duplicate_job(connection, key, actor)
    return len(keys)


def check_number(action: str, number: int) -> None:
    if action == DUPLICATE and number > MAX_DUPLICATES:
        raise Invalid(f"filter: at most {MAX_DUPLICATES:,} jobs can be duplicated at once")


def text_of(value: Any) -> str:
    if isinstance(value, list):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def count_rows(
    connection: sqlite3.Connection, resource: Resource, condition: str, query: ListQuery
) -> int:
    sql = f"select count(*) from {resource.table} where {condition}"  # noqa: S608
    return int(connection.execute(sql, query.values).fetchone()[0])


def statement_for(resource: Resource, action: str) -> str:
    """SQL: the statement of an action, without its condition."""
    if action == DELETE:
        return f"delete from {resource.table}"  # noqa: S608
    if action in (ENABLE, DISABLE):
        return f"update {resource.table} set enabled = {int(action == ENABLE)}"  # noqa: S608
    status = queue_of(resource).waiting if action == RETRY else CANCELLED
    return f"update {resource.table} set status = '{status}'"  # noqa: S608


def changeable_by(resource: Resource, action: str) -> str:
    """SQL: true for jobs whose state allows the action."""
    if action in (DELETE, DUPLICATE):
        return "true"
    if action in (ENABLE, DISABLE):
        return f"{resource.table}.enabled is not {int(action == ENABLE)}"
    queue = queue_of(resource)
    statuses = queue.retryable if action == RETRY else queue.unfinished
    names = ", ".join(f"'{name}'" for name in statuses)
    return f"{resource.table}.status in ({names})"


def queue_of(resource: Resource) -> JobQueue:
    if resource.queue is None:
        raise Invalid(f"{resource.name} have no status")
    return resource.queue


def last_change(connection: sqlite3.Connection, resource: Resource) -> tuple[str, int]:
    """The epoch of the file and the number of its last change; zero where none can be undone."""
    if resource.versions is None:
        return "", 0
    epoch, number = connection.execute(LAST_CHANGE).fetchone()
    return epoch, number


def signer() -> URLSafeSerializer:
    """Sign tokens for undo: a forged one could restore anything that was ever deleted."""
    return URLSafeSerializer(signing_secret(), "undo-jobs")


def parse_undo(token: str) -> tuple[str, int, int, str]:
    """The epoch, first and last number of the changes to undo, and what they did."""
    try:
        epoch, first, last, action = signer().loads(token)
    except (BadSignature, ValueError):
        raise Invalid(f"undo: {quoted(token)} is not a token of this API") from None
    return epoch, first, last, action


def undo(connection: sqlite3.Connection, token: str, actor: str | None) -> Result:
    """Undo what was done to campaign jobs together: see `versions.undo_changes`."""
    epoch, first, last, _ = parse_undo(token)
    with acting_as(connection, actor):
        if epoch != last_change(connection, CAMPAIGNS)[0]:
            raise Conflict("undo: the database file was replaced since")
        found, undone = versions.undo_changes(connection, first, last, actor)
        if not found:
            raise NotFound(f"undo: nothing was changed under {quoted(token)}")
        return Result("undo", found, undone)
