"""Databases whose file is moved, deleted or replaced while the server runs.

A database is not available from then on, and the old file is closed. When there is a sound file at
the path again, the database is served from it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from datasette.app import Datasette
from datasette.database import Database

from dailies.background import Task
from dailies.storage.availability import mark_unavailable, reason_unavailable
from dailies.storage.databases import MEMORY, AcrossDatabase, ServedDatabase
from loaders.database_file import WatchedConnection
from loaders.errors import FileChanged
from loaders.registry import DATABASES, database_path

EVERY_SECONDS = 1.0
NAME = "Reopening of database files"

log = logging.getLogger("dailies")


@dataclass
class Withdrawn:
    """The databases that are not served for now, by name, each with the closing of its old file."""

    closing: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


_withdrawn: WeakKeyDictionary[Datasette, Withdrawn] = WeakKeyDictionary()


def task() -> Task:
    return Task(NAME, EVERY_SECONDS, reopen)


async def open_for_writing(datasette: Datasette) -> None:
    """Open every file for writing now: when it has changed that would be too late."""
    for database in served(datasette).values():
        await database.execute_write_fn(do_nothing, transaction=False)


def do_nothing(_: WatchedConnection) -> None:
    pass


def served(datasette: Datasette) -> dict[str, ServedDatabase]:
    databases = datasette.databases.items()
    return {name: one for name, one in databases if isinstance(one, ServedDatabase)}


async def withdraw_changed(datasette: Datasette) -> None:
    """Stop serving the databases whose file is gone or another one."""
    found = {name: reason_changed(one) for name, one in served(datasette).items()}
    changed = {name: reason for name, reason in found.items() if reason}
    for name, reason in changed.items():
        database = datasette.databases[name]
        log.error("%s: %s %s", name, database.path, reason)
        mark_unavailable(datasette, name, reason)
        across = replace_database(datasette, name, None)
        state = _withdrawn.setdefault(datasette, Withdrawn())
        state.closing[name] = asyncio.create_task(close(across, database))
    if changed:
        await datasette.refresh_schemas(force=True)


def reason_changed(database: ServedDatabase) -> str:
    """What happened to the file, to follow its name; empty if nothing."""
    try:
        database.file.check()
    except FileChanged as error:
        return str(error).removeprefix(f"{database.file.path} ")
    return ""


def replace_database(datasette: Datasette, name: str, database: ServedDatabase | None) -> Database:
    """Change what is attached under a name, and with it what is attached side by side.

    Returns what queries across databases used until now. Nothing is closed, which takes time.
    """
    found: Mapping[str, Database | None] = {**datasette.databases, name: database}
    databases = {key: one for key, one in found.items() if one is not None}
    order = [*DATABASES, *databases]
    databases = {key: databases[key] for key in dict.fromkeys(order) if key in databases}
    for key, one in databases.items():
        one.name = one.route = one.name or key
    files = {key: one for key, one in databases.items() if isinstance(one, ServedDatabase)}
    old: Database = databases[MEMORY]
    databases[MEMORY] = AcrossDatabase(datasette, files)
    databases[MEMORY].name = databases[MEMORY].route = MEMORY
    datasette.databases = databases
    return old


async def close(*databases: Database) -> None:
    for one in databases:
        await asyncio.to_thread(one.close)


async def reopen(datasette: Datasette) -> None:
    """Withdraw databases whose file has changed; serve those whose file is there again."""
    await withdraw_changed(datasette)
    state = _withdrawn.setdefault(datasette, Withdrawn())
    async with state.lock:
        for name in list(state.closing):
            await state.closing[name]
            path = database_path(name)
            reason = "is missing"
            if path.exists():
                found = await asyncio.to_thread(reason_unavailable, name, path)
                reason = found or ""
            if not reason:
                database = ServedDatabase(datasette, name, path)
                across = replace_database(datasette, name, database)
                del state.closing[name]
                await asyncio.to_thread(across.close)
                await database.execute_write_fn(do_nothing, transaction=False)
                log.warning("%s is served from %s again", name, path)
            mark_unavailable(datasette, name, reason)
        await datasette.refresh_schemas(force=True)


async def finish(datasette: Datasette) -> None:
    """Before the server ends: no log of a file that is gone may stay beside another one."""
    await withdraw_changed(datasette)
    if state := _withdrawn.get(datasette):
        await asyncio.gather(*state.closing.values())


def wrap(datasette: Datasette, app: Any) -> Any:
    """Look at the files before each request, which must not wait for the next regular look."""

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await withdraw_changed(datasette)
        await app(scope, receive, send)

    return wrapped
