"""Changes of a resource since a token, in order, each exactly once.

SQLite lets one program write at a time, so the numbers that triggers give to changes are in the
order of their commits, by any program. A token names the file (its epoch) and the number in it.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from dailies.api.resources import Resource
from loaders.errors import Conflict, DomainError, Invalid
from loaders.messages import quoted

LATEST = "latest"
MAX_BYTES = 4_000_000  # of a page: each change comes with its whole job
TOKEN = re.compile(r"([0-9a-f]{8})-([0-9]{1,18})", re.ASCII)

FIND_EPOCH = "select epoch from change_stream"


class Token(NamedTuple):
    """The last change that a reader got, in the file of this epoch."""

    epoch: str
    number: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.number}"


class Change(NamedTuple):
    """A change and its JSON text."""

    token: Token
    operation: str
    text: str


class Changes(NamedTuple):
    """Changes in their order; `next` is the token to continue with, even if there are none."""

    rows: list[Change]
    next: Token


def list_changes(resource: Resource) -> str:
    """SQL: the changes after `:after`."""
    return f"""
select id, operation, job_id, actor, {resource.log.time}
from {resource.log.table}
where id > :after
order by id
limit :limit
"""  # noqa: S608


def find_last(resource: Resource) -> str:
    return f"select coalesce(max(id), 0) from {resource.log.table}"  # noqa: S608


def read_changes(
    connection: sqlite3.Connection, resource: Resource, since: str | None, limit: int
) -> Changes:
    """The changes after `since`: all of them without it, none yet if it is `latest`."""
    connection.execute("begin")  # so that a job is read as its changes left it
    try:
        token = starting_point(connection, resource, since)
        values = {"after": token.number, "limit": limit}
        rows = connection.execute(list_changes(resource), values).fetchall()
        every = (change_of(connection, resource, token.epoch, tuple(row)) for row in rows)
        found = list(within(MAX_BYTES, every))
        return Changes(found, found[-1].token if found else token)
    finally:
        connection.rollback()


def within(size: int, changes: Iterator[Change]) -> Iterator[Change]:
    """The first of the changes, up to `size` characters; at least one."""
    for change in changes:
        yield change
        size -= len(change.text)
        if size < 0:
            return


def read_last(connection: sqlite3.Connection, resource: Resource) -> Token:
    """The last change of the file."""
    epoch = connection.execute(FIND_EPOCH).fetchone()[0]
    return Token(epoch, connection.execute(find_last(resource)).fetchone()[0])


def starting_point(connection: sqlite3.Connection, resource: Resource, since: str | None) -> Token:
    """The position that `since` means. Conflict if the file is another one by now."""
    epoch, last = read_last(connection, resource)
    if since is None:
        return Token(epoch, 0)
    if since == LATEST:
        return Token(epoch, last)
    found = TOKEN.fullmatch(since)
    if not found:
        raise Invalid(f"since: {quoted(since)} is not a token of this API")
    token = Token(found[1], int(found[2]))
    if token.epoch != epoch or token.number > last:
        message = "since: the database file was replaced; read the list again, then continue"
        raise Conflict(f"{message} from since={LATEST}")
    return token


def change_of(
    connection: sqlite3.Connection, resource: Resource, epoch: str, row: tuple[object, ...]
) -> Change:
    """The change with the job as it is now, or null if it was deleted."""
    number, operation, key, actor, at = row
    about = {"change": number, "operation": operation, "id": key, "actor": actor, "at": at}
    try:
        job = resource.get(connection, str(key)).text
    except DomainError:
        job = "null"
    text = f'{json.dumps(about, ensure_ascii=False)[:-1]}, "job": {job}}}'
    return Change(Token(epoch, int(str(number))), str(operation), text)
