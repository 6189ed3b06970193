"""The way from a request to a resource: whether this actor may, then its database."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from datasette.app import Datasette
from datasette.database import Database
from datasette.permissions import _skip_permission_checks
from datasette.resources import TableResource
from datasette.utils import sqlite_timelimit

from dailies.errors import RequestError
from dailies.storage.group_commit import GroupCommit

Result = TypeVar("Result")
Actor = dict[str, Any] | None
Verdict = tuple[float, bool]  # until when it counts, and whether it is yes
Sight = tuple[float, frozenset[tuple[str, str]]]  # until when it counts, and what is open

VERDICT_SECONDS = 1.0
MOST_VERDICTS = 10_000
MOST_SIGHTS = 1_000
CHALLENGE = {"WWW-Authenticate": "Bearer"}

groups: WeakKeyDictionary[Database, GroupCommit] = WeakKeyDictionary()
verdicts: WeakKeyDictionary[Datasette, dict[tuple[str, ...], Verdict]] = WeakKeyDictionary()
sights: WeakKeyDictionary[Datasette, dict[tuple[str, str], Sight]] = WeakKeyDictionary()


class Guarded(Protocol):
    """What permissions are asked of: a table of a database."""

    @property
    def database(self) -> str: ...

    @property
    def table(self) -> str: ...


async def is_allowed(
    datasette: Datasette, actor: Actor, action: str, resource: Guarded, table: str | None = None
) -> bool:
    """Datasette's own verdict, which costs more than a write: it is asked once a second.

    It depends on the configuration and on the whole actor, limits of its token included. Whether
    that token still holds is another matter, settled anew for each request before this.
    """
    table = table or resource.table
    if _skip_permission_checks.get():
        return True
    known = verdicts.setdefault(datasette, {})
    key = (json.dumps(actor, sort_keys=True, default=repr), action, resource.database, table)
    until, verdict = known.get(key, (0.0, False))
    if time.monotonic() < until:
        return verdict
    asked = TableResource(resource.database, table)
    verdict = bool(await datasette.allowed(action=action, resource=asked, actor=actor))
    if len(known) >= MOST_VERDICTS:
        known.clear()
    known[key] = (time.monotonic() + VERDICT_SECONDS, verdict)
    return verdict


async def everything_open(
    datasette: Datasette, actor: Actor, action: str
) -> frozenset[tuple[str, str]]:
    """All tables or queries on which the actor may do this; held for as long as a verdict."""
    if _skip_permission_checks.get():
        return await find_open(datasette, actor, action)
    known = sights.setdefault(datasette, {})
    key = (json.dumps(actor, sort_keys=True, default=repr), action)
    until, found = known.get(key, (0.0, frozenset()))
    if time.monotonic() < until:
        return found
    found = await find_open(datasette, actor, action)
    if len(known) >= MOST_SIGHTS:
        known.clear()
    known[key] = (time.monotonic() + VERDICT_SECONDS, found)
    return found


async def find_open(datasette: Datasette, actor: Actor, action: str) -> frozenset[tuple[str, str]]:
    resources = await datasette.allowed_resources(action, actor)
    return frozenset([(one.parent, one.child) async for one in resources.all()])


async def require(
    datasette: Datasette, actor: Actor, action: str, resource: Guarded, table: str | None = None
) -> None:
    """RequestError unless the actor may: 401 for nobody, 403 for somebody."""
    if await is_allowed(datasette, actor, action, resource, table):
        return
    raise denied(actor, action)


def denied(actor: Actor, action: str) -> RequestError:
    if actor is None:
        message = "Authentication required: send a token as Authorization: Bearer"
        return RequestError(401, message, CHALLENGE)
    return RequestError(403, f"Permission denied: you may not {action} here")


async def may_see(
    datasette: Datasette, actor: Actor, resource: Guarded, table: str | None = None
) -> bool:
    """Whether an answer to this actor may hold rows.

    A token limited to writing does not read, but what everybody reads need not be kept from it.
    """
    return await is_allowed(datasette, actor, "view-table", resource, table) or await is_allowed(
        datasette, None, "view-table", resource, table
    )


async def read_from(
    datasette: Datasette, resource: Guarded, read: Callable[[sqlite3.Connection], Result]
) -> Result:
    """What `read` finds, within the time that Datasette grants a query."""

    def limited(connection: sqlite3.Connection) -> Result:
        with sqlite_timelimit(connection, datasette.sql_time_limit_ms):
            return read(connection)

    result: Result = await database_of(datasette, resource.database).execute_fn(limited)
    return result


async def write_to(
    datasette: Datasette, resource: Guarded, write: Callable[[sqlite3.Connection], Result]
) -> Result:
    """What `write` answers once its transaction is on the disk.

    It runs on the one connection that writes.
    """
    return await write_to_database(datasette, resource.database, write)


async def write_to_database(
    datasette: Datasette, name: str, write: Callable[[sqlite3.Connection], Result]
) -> Result:
    database = database_of(datasette, name)
    group = groups.setdefault(database, GroupCommit(database))
    result: Result = await group.write(write)
    return result


def database_of(datasette: Datasette, name: str) -> Database:
    database = datasette.databases.get(name)
    if database is None:
        raise RequestError(404, f"The database {name} is not here")
    return database
