"""Which actor may do what with which table.

What is readable for nobody is decided in dailies/storage/restricted.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from datasette.app import Datasette
from datasette.resources import TableResource

from dailies.datasette_compat import permission_checks_skipped
from dailies.errors import RequestError

Result = TypeVar("Result")
Actor = dict[str, Any] | None

CACHE_SECONDS = 0.3  # answers are made of others as old, three deep: at most a second old
MAX_CACHED = 1_000
CHALLENGE = {"WWW-Authenticate": "Bearer"}

# Of each instance: question -> until when the answer is valid, and the answer, which all requests
# that need it at the same time await.
Cache = dict[tuple[str, ...], tuple[float, "asyncio.Future[Any] | None"]]
caches: WeakKeyDictionary[Datasette, Cache] = WeakKeyDictionary()


class Table(Protocol):
    """What permissions are about: a table of a database."""

    @property
    def database(self) -> str: ...

    @property
    def table(self) -> str: ...


async def is_allowed(
    datasette: Datasette, actor: Actor, action: str, resource: Table, table: str | None = None
) -> bool:
    """True if Datasette allows the action on the table of the resource, or on another `table`."""
    asked = (resource.database, table or resource.table)

    async def ask() -> bool:
        found = await datasette.allowed(action=action, resource=TableResource(*asked), actor=actor)
        return bool(found)

    return await cached(datasette, actor, (action, *asked), ask)


async def all_allowed(
    datasette: Datasette, actor: Actor, action: str
) -> frozenset[tuple[str, str]]:
    """Database and name of all tables or queries on which the actor may do this."""

    async def ask() -> frozenset[tuple[str, str]]:
        resources = await datasette.allowed_resources(action, actor)
        return frozenset([(one.parent, one.child) async for one in resources.all()])

    return await cached(datasette, actor, (action,), ask)


async def cached(
    datasette: Datasette,
    actor: Actor,
    question: tuple[str, ...],
    ask: Callable[[], Coroutine[Any, Any, Result]],
) -> Result:
    """Ask, or return an answer that is at most a second old, since asking costs more than a write.

    It depends on the configuration and on the whole actor, limits of its token included. Whether
    that token is still valid has been checked before, for each request.
    """
    if permission_checks_skipped():
        return await ask()
    cache = caches.setdefault(datasette, {})
    key = (repr(actor), *question)
    until, answer = cache.get(key, (0.0, None))
    if answer is None or time.monotonic() >= until or failed(answer):
        if len(cache) >= MAX_CACHED:
            cache.clear()
        answer = asyncio.ensure_future(ask())
        cache[key] = (time.monotonic() + CACHE_SECONDS, answer)
    found: Result = answer.result() if answer.done() else await asyncio.shield(answer)
    return found


def failed(answer: asyncio.Future[Any]) -> bool:
    return answer.done() and (answer.cancelled() or answer.exception() is not None)


async def require(
    datasette: Datasette, actor: Actor, action: str, resource: Table, table: str | None = None
) -> None:
    """RequestError unless the actor may: 401 for anonymous, 403 for others."""
    if not await is_allowed(datasette, actor, action, resource, table):
        raise denied(actor, action)


def denied(actor: Actor, action: str) -> RequestError:
    if actor is None:
        message = "Authentication required: send a token as Authorization: Bearer"
        return RequestError(401, message, CHALLENGE)
    return RequestError(403, f"Permission denied: you may not {action} here")


async def may_see(
    datasette: Datasette, actor: Actor, resource: Table, table: str | None = None
) -> bool:
    """True if responses to this actor may contain rows.

    A token limited to writing may not read, but what is public is no secret to its holder.
    """
    return await is_allowed(datasette, actor, "view-table", resource, table) or await is_allowed(
        datasette, None, "view-table", resource, table
    )
