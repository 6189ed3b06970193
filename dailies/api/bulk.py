"""The same done to every job that a filter matches, in one transaction, and undone at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from itsdangerous import BadSignature, URLSafeSerializer

from dailies.api.pagination import Listing, parse_listing
from dailies.api.repositories import campaigns
from dailies.api.request import RefusalError, quoted, refuse_unknown
from dailies.api.resources import CAMPAIGNS, Resource
from dailies.api.schemas import BULK_ACTIONS
from dailies.auth.secrets import signing_secret
from loaders.connections import acting_as
from loaders.queues.life_cycle import LifeCycle

RETRY, CANCEL, DELETE = "retry", "cancel", "delete"
CANCELLED = "cancelled"

FIND_DELETED = """
select
  job_id,
  version,
  not exists (
    select 1
    from job_history as later
    where later.job_id = deleted.job_id
      and later.version > deleted.version
  )
from job_history as deleted
where id between :first and :last
  and operation = 'delete'
order by id
"""

LAST_CHANGE = """
select
  epoch,
  (select coalesce(max(id), 0) from job_history)
from change_stream
"""


@dataclass(frozen=True)
class Done:
    """How many jobs a filter matched, how many were changed or would be, and how to undo it.

    The others are `left` as they are, since their life cycle forbids the change.
    """

    action: str
    matched: int
    changed: int
    dry_run: bool
    undo: str | None = None

    def as_dict(self) -> dict[str, Any]:
        left = self.matched - self.changed
        return {
            "ok": True,
            "action": self.action,
            "matched": self.matched,
            "changed": self.changed,
            "left": left,
            "dry_run": self.dry_run,
            "undo": self.undo,
        }


def actions_of(resource: Resource) -> tuple[str, ...]:
    """What can be done to many jobs of a resource."""
    return BULK_ACTIONS[resource.name][0]


def rehearse(
    connection: sqlite3.Connection, resource: Resource, action: str, conditions: Mapping[str, Any]
) -> Done:
    """What `act` would do; it only reads."""
    listing = parse_conditions(resource, conditions)
    condition = " and ".join(listing.conditions)
    matched = count(connection, resource, condition, listing)
    changeable = f"{condition} and {changeable_by(resource, action)}"
    return Done(action, matched, count(connection, resource, changeable, listing), dry_run=True)


def act(
    connection: sqlite3.Connection,
    resource: Resource,
    action: str,
    conditions: Mapping[str, Any],
    actor: str | None,
) -> Done:
    """Do it to all jobs that match `conditions`, named and written as a list's parameters are."""
    listing = parse_conditions(resource, conditions)
    condition = " and ".join(listing.conditions)
    changeable = f"{condition} and {changeable_by(resource, action)}"
    with acting_as(connection, actor):
        matched = count(connection, resource, condition, listing)
        epoch, before = last_change(connection, resource)
        statement = f"{statement_for(resource, action)} where {changeable}"
        changed = connection.execute(statement, listing.values).rowcount
        _, after = last_change(connection, resource)
        undo = signer().dumps([epoch, before + 1, after]) if after > before else None
        return Done(action, matched, changed, dry_run=False, undo=undo)


def parse_conditions(resource: Resource, conditions: Mapping[str, Any]) -> Listing:
    """RefusalError unless there is a condition that is more than words that say nothing."""
    refuse_unknown(conditions, ("q", *resource.columns), "column")
    listing = parse_listing(resource, [(name, text_of(conditions[name])) for name in conditions])
    if not listing.conditions:
        raise RefusalError(400, "filter: names no condition; all jobs are never meant")
    return listing


def text_of(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def count(
    connection: sqlite3.Connection, resource: Resource, condition: str, listing: Listing
) -> int:
    sql = f"select count(*) from {resource.table} where {condition}"  # noqa: S608
    return int(connection.execute(sql, listing.values).fetchone()[0])


def statement_for(resource: Resource, action: str) -> str:
    """SQL: what is done, to be followed by a condition."""
    if action == DELETE:
        return f"delete from {resource.table}"  # noqa: S608
    return f"update {resource.table} set status = '{target(cycle_of(resource), action)}'"  # noqa: S608


def changeable_by(resource: Resource, action: str) -> str:
    """SQL: is the job in a state from which the life cycle lets it go there?"""
    if action == DELETE:
        return "true"
    cycle = cycle_of(resource)
    ended = {status.name for status in cycle.statuses if status.ends}
    sources = [
        move.status_from
        for move in cycle.moves
        if move.status_to == target(cycle, action)
        and (move.status_from in ended) == (action == RETRY)
    ]
    names = ", ".join(f"'{name}'" for name in sources)
    return f"{resource.table}.status in ({names})"


def target(cycle: LifeCycle, action: str) -> str:
    return cycle.waiting if action == RETRY else CANCELLED


def cycle_of(resource: Resource) -> LifeCycle:
    if resource.queue is None:
        raise RefusalError(400, f"{resource.name} have no status")
    return resource.queue.cycle


def last_change(connection: sqlite3.Connection, resource: Resource) -> tuple[str, int]:
    """The file and the number of its newest version, where versions are kept to go back to."""
    if resource.versions is None:
        return "", 0
    epoch, number = connection.execute(LAST_CHANGE).fetchone()
    return epoch, number


def signer() -> URLSafeSerializer:
    """Signs tokens: one made up by others could bring back whatever was ever deleted."""
    return URLSafeSerializer(signing_secret(), "undo-jobs")


def undo(connection: sqlite3.Connection, token: str, actor: str | None) -> Done:
    """Bring back the campaign jobs that were deleted together.

    One of which more was written since is left as it is, and one that breaks today's rules stays
    among the deleted.
    """
    try:
        epoch, first, last = signer().loads(token)
    except BadSignature:
        raise RefusalError(400, f"undo: {quoted(token)} is no token of ours") from None
    values = {"first": first, "last": last}
    with acting_as(connection, actor):
        if epoch != last_change(connection, CAMPAIGNS)[0]:
            raise RefusalError(409, "undo: another file has taken the database's place since")
        found = connection.execute(FIND_DELETED, values).fetchall()
        if not found:
            raise RefusalError(404, f"undo: nothing was deleted under {quoted(token)}")
        gone = [(key, version) for key, version, is_last in found if is_last]
        changed = sum(bring_back(connection, key, version, actor) for key, version in gone)
        return Done("undo", len(found), changed, dry_run=False)


def bring_back(connection: sqlite3.Connection, key: str, version: int, actor: str | None) -> bool:
    try:
        campaigns.restore(connection, key, actor, lambda _: None, version)
    except RefusalError:
        return False
    return True


UNDOABLE = {CAMPAIGNS.name: CAMPAIGNS}
