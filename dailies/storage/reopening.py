"""Databases whose file is moved, deleted or replaced while the server runs.

A database is not available from then on, and the old file is closed. When there is a sound file at
the path again, the database is served from it.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from datasette.app import Datasette
from datasette.database import Database

from dailies.background import Task
from dailies.storage.availability import mark_unavailable
from dailies.storage.databases import MEMORY, AcrossDatabase, ServedDatabase, WatchedDatabase
from loaders import schema
from loaders.database_file import WatchedConnection
from loaders.errors import FileChanged
from loaders.registry import DATABASES

EVERY_SECONDS = 1.0
NAME = "Reopening of database files"

log = logging.getLogger("dailies")


@dataclass
class Withdrawn:
    """The databases that are not served for now, by name, each with the closing of its old file."""

    databases: dict[str, tuple[WatchedDatabase, asyncio.Task[None]]] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


_withdrawn: WeakKeyDictionary[Datasette, Withdrawn] = WeakKeyDictionary()


def task() -> Task:
    return Task(NAME, EVERY_SECONDS, reopen)


async def open_for_writing(datasette: Datasette) -> None:
    """Open every file for writing now: when it has changed that would be too late."""
    for database in watched(datasette).values():
        await open_one(database)


async def open_one(database: WatchedDatabase) -> None:
    if not database.is_mutable:
        return
    try:
        await database.execute_write_fn(do_nothing, transaction=False)
    except (sqlite3.Error, ValueError) as error:
        log.warning("%s cannot be written: %s", database.name, error)


def do_nothing(_: WatchedConnection) -> None:
    pass


def watched(datasette: Datasette) -> dict[str, WatchedDatabase]:
    databases = datasette.databases.items()
    return {name: one for name, one in databases if isinstance(one, WatchedDatabase)}


async def withdraw_changed(datasette: Datasette) -> None:
    """Stop serving the databases whose file is gone or another one."""
    found = {name: reason_changed(one) for name, one in watched(datasette).items()}
    await withdraw(datasette, {name: reason for name, reason in found.items() if reason})


async def withdraw_upgraded(datasette: Datasette) -> None:
    """Stop serving the databases that a newer version of Dailies has upgraded meanwhile."""
    found = {}
    for name, database in watched(datasette).items():
        if database.is_mutable:
            with suppress(sqlite3.Error, ValueError):  # requests report these
                found[name] = await database.execute_fn(partial(schema.newer, name))
    await withdraw(datasette, {name: reason for name, reason in found.items() if reason})


async def withdraw(datasette: Datasette, reasons: Mapping[str, str]) -> None:
    for name, reason in reasons.items():
        database = watched(datasette)[name]
        log.error("%s: %s %s", name, database.path, reason)
        mark_unavailable(datasette, name, reason)
        across = replace_database(datasette, name, None)
        state = _withdrawn.setdefault(datasette, Withdrawn())
        state.databases[name] = database, asyncio.create_task(close(across, database))
    if reasons:
        await datasette.refresh_schemas(force=True)


def reason_changed(database: WatchedDatabase) -> str:
    """What happened to the file, to follow its name; empty if nothing."""
    try:
        database.file.check()
    except FileChanged as error:
        return str(error).removeprefix(f"{database.file.path} ")
    return ""


def replace_database(datasette: Datasette, name: str, database: WatchedDatabase | None) -> Database:
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
    await withdraw_upgraded(datasette)
    state = _withdrawn.setdefault(datasette, Withdrawn())
    async with state.lock:
        for name, (old, closing) in list(state.databases.items()):
            await closing
            reason = await asyncio.to_thread(reason_not_served, old)
            if not reason:
                await serve_again(datasette, old)
                del state.databases[name]
            mark_unavailable(datasette, name, reason)


def reason_not_served(database: WatchedDatabase) -> str:
    exists = Path(database.path).exists()
    return (database.reason_unavailable() or "") if exists else "is missing"


async def serve_again(datasette: Datasette, old: WatchedDatabase) -> None:
    database = old.reopened()
    across = replace_database(datasette, old.name, database)
    await asyncio.to_thread(across.close)
    await open_one(database)
    await datasette.refresh_schemas(force=True)
    log.warning("%s is served from %s again", old.name, old.path)


async def finish(datasette: Datasette) -> None:
    """Before the server ends: no log of a file that is gone may stay beside another one."""
    await withdraw_changed(datasette)
    if state := _withdrawn.get(datasette):
        await asyncio.gather(*(closing for _, closing in state.databases.values()))


def wrap(datasette: Datasette, app: Any) -> Any:
    """Look at the files before each request, which must not wait for the next regular look.

    The jobs API looks when a connection has found its file changed.
    """

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http" and "/api/" not in scope["path"]:
            await withdraw_changed(datasette)
        await app(scope, receive, send)

    return wrapped
