"""One change to every job that a filter matches, in one transaction; and its undo."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from itsdangerous import BadSignature, URLSafeSerializer

from dailies.api.pagination import parse_query
from dailies.api.request import refuse_unknown
from dailies.api.resources import Resource
from dailies.auth.secrets import signing_secret
from loaders.campaigns import versions
from loaders.connections import acting_as
from loaders.errors import Conflict, Invalid, NotFound
from loaders.messages import quoted
from loaders.queues.queue import JobQueue

RETRY, CANCEL, DELETE = "retry", "cancel", "delete"
CANCELLED = "cancelled"

LAST_CHANGE = """
select
  epoch,
  (select coalesce(max(id), 0) from {table})
from change_stream
"""


@dataclass(frozen=True)
class Selection:
    """Some jobs of a resource: a condition in SQL, and its parameters."""

    condition: str
    values: Mapping[str, Any] = field(default_factory=dict)


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
    connection: sqlite3.Connection, resource: Resource, action: str, selection: Selection
) -> Result:
    """What `change` would do, without writing."""
    matched = count_rows(connection, resource, selection)
    changeable = count_rows(connection, resource, changeable_by(resource, action, selection))
    return Result(action, matched, changeable, True)


def change(
    connection: sqlite3.Connection,
    resource: Resource,
    action: str,
    selection: Selection,
    actor: str | None,
) -> Result:
    """Retry, cancel or delete all jobs of the selection."""
    with acting_as(connection, actor):
        matched = count_rows(connection, resource, selection)
        epoch, before = last_change(connection, resource)
        changeable = changeable_by(resource, action, selection)
        statement = f"{statement_for(resource, action)} where {changeable.condition}"
        changed = connection.execute(statement, changeable.values).rowcount
        _, after = last_change(connection, resource)
        can_undo = after > before and (resource.versions or action != DELETE)
        undo = signer().dumps([epoch, before + 1, after, resource.name]) if can_undo else None
        return Result(action, matched, changed, undo=undo)


def filtered(resource: Resource, filters: Mapping[str, Any]) -> Selection:
    """The jobs that match filters like the parameters of a list. Invalid if there are none."""
    refuse_unknown(filters, ("q", *resource.columns), "column")
    query = parse_query(resource, {name: text_of(value) for name, value in filters.items()})
    conditions = (*query.conditions, *([resource.search.condition] if query.text else []))
    if not conditions:
        raise Invalid("filter: at least one filter is required")
    return Selection(" and ".join(conditions), query.values)


def named(resource: Resource, keys: Sequence[str]) -> Selection:
    """The jobs with these keys."""
    known = [key for key in map(queue_of(resource).key, keys) if key is not None]
    condition = f"{resource.table}.{resource.key} in (select value from json_each(:keys))"  # noqa: S608
    return Selection(condition, {"keys": json.dumps(known)})


def text_of(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def count_rows(connection: sqlite3.Connection, resource: Resource, selection: Selection) -> int:
    sql = f"select count(*) from {resource.table} where {selection.condition}"  # noqa: S608
    return int(connection.execute(sql, selection.values).fetchone()[0])


def statement_for(resource: Resource, action: str) -> str:
    """SQL: the statement of an action, without its condition."""
    if action == DELETE:
        return f"delete from {resource.table}"  # noqa: S608
    status = queue_of(resource).waiting if action == RETRY else CANCELLED
    return f"update {resource.table} set status = '{status}'"  # noqa: S608


def changeable_by(resource: Resource, action: str, selection: Selection) -> Selection:
    """The jobs of the selection whose state allows the action."""
    if action == DELETE:
        return selection
    names = ", ".join(f"'{name}'" for name in statuses_for(resource, action))
    condition = f"{selection.condition} and {resource.table}.status in ({names})"
    return Selection(condition, selection.values)


def statuses_for(resource: Resource, action: str) -> tuple[str, ...]:
    """The statuses from which jobs can be retried or cancelled."""
    queue = queue_of(resource)
    return queue.retryable if action == RETRY else queue.unfinished


def queue_of(resource: Resource) -> JobQueue:
    if resource.queue is None:
        raise Invalid(f"{resource.name} have no status")
    return resource.queue


def last_change(connection: sqlite3.Connection, resource: Resource) -> tuple[str, int]:
    """The epoch of the file, and the number of the last change that can be undone."""
    table = resource.versions.table if resource.versions else "job_events"
    epoch, number = connection.execute(LAST_CHANGE.format(table=table)).fetchone()
    return epoch, number


def signer() -> URLSafeSerializer:
    """Sign tokens for undo: a forged one could restore anything that was ever deleted."""
    return URLSafeSerializer(signing_secret(), "undo-jobs")


def resource_named_by(token: str) -> str:
    """The name of the resource that a token for undo is about. Invalid if it is no token."""
    return str(parse_undo(token)[3])


def parse_undo(token: str) -> list[Any]:
    try:
        found: list[Any] = signer().loads(token)
    except BadSignature:
        raise Invalid(f"undo: {quoted(token)} is not a token of this API") from None
    return found


def undo(
    connection: sqlite3.Connection, resource: Resource, token: str, actor: str | None
) -> Result:
    """Undo what was done together: restore deleted campaigns, or the statuses of a queue's jobs."""
    epoch, first, last, name = parse_undo(token)
    if name != resource.name:
        raise Invalid(f"undo: {quoted(token)} is not about {resource.name}")
    with acting_as(connection, actor):
        if epoch != last_change(connection, resource)[0]:
            raise Conflict("undo: the database file was replaced since")
        run = resource.queue.undo if resource.queue else versions.restore_deleted
        found, restored = run(connection, first, last, actor)
        if not found:
            raise NotFound(f"undo: nothing was deleted under {quoted(token)}")
        return Result("undo", found, restored)
