"""Whether this server does all it should: databases, files and background tasks."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from datasette.app import Datasette

from dailies.background import failures
from dailies.storage.availability import message, unavailable
from loaders.errors import DomainError
from loaders.registry import DATABASES

FRESH_SECONDS = 1.0


@dataclass
class Health:
    """The result of the last look, which requests share for a second."""

    reasons: list[str] = field(default_factory=list)
    until: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


_health: WeakKeyDictionary[Datasette, Health] = WeakKeyDictionary()


async def problems(datasette: Datasette) -> list[str]:
    """What is wrong; empty if the server is healthy. It looks once a second at most."""
    health = _health.setdefault(datasette, Health())
    async with health.lock:
        if time.monotonic() >= health.until:
            health.reasons = await look(datasette)
            health.until = time.monotonic() + FRESH_SECONDS
    return health.reasons


async def look(datasette: Datasette) -> list[str]:
    found = [message(name, reason) for name, reason in unavailable(datasette).items()]
    for name in DATABASES.keys() & datasette.databases.keys():
        try:
            await datasette.databases[name].execute_fn(read_schema)
        except (sqlite3.Error, DomainError, OSError) as error:
            found.append(f"The database {name} cannot be read: {error}")
    found += [f"{task} failed: {error}" for task, error in failures(datasette).items()]
    return sorted(found)


def read_schema(connection: sqlite3.Connection) -> None:
    connection.execute("select count(*) from sqlite_master").fetchone()
