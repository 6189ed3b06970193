"""Commits writes in groups: those that arrive during a commit share the next one.

Waiting for the disk is most of what a write costs. A write that fails rolls back its own changes
only; no write returns before its group is on the disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any

from datasette.database import Database

from loaders.connections import transaction

Write = Callable[[sqlite3.Connection], Any]
Outcome = tuple[Any, Exception | None]


class GroupCommit:
    """The writes of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[tuple[Write, asyncio.Future[Any]]] = []
        self._task: asyncio.Task[None] | None = None

    async def write(self, write: Write) -> Any:
        """Return the result of `write` once it is on the disk."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((write, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write_all())
        return await future

    async def _write_all(self) -> None:
        group: list[tuple[Write, asyncio.Future[Any]]] = []
        try:
            while self._waiting:
                group, self._waiting = self._waiting, []
                outcomes = await self._outcomes([write for write, _ in group])
                for (_, future), outcome in zip(group, outcomes, strict=True):
                    set_outcome(future, *outcome)
        finally:
            # All are done unless this task was cancelled, as when the server ends.
            for _, future in (*group, *self._waiting):
                future.cancel()
            self._waiting = []

    async def _outcomes(self, writes: list[Write]) -> list[Outcome]:
        try:
            outcomes: list[Outcome] = await self._database.execute_write_fn(
                lambda connection: run_together(connection, writes), transaction=False
            )
        except Exception as error:  # noqa: BLE001 - each caller gets it
            return [(None, error)] * len(writes)
        return outcomes


def set_outcome(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():  # cancelled, as when the client has gone
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def run_together(connection: sqlite3.Connection, writes: list[Write]) -> list[Outcome]:
    """Run the writes in one transaction; return the result and error of each."""
    if connection.in_transaction:
        # Left open by a commit that failed, as on a full disk.
        connection.rollback()
    with transaction(connection):
        return [run_alone(connection, write) for write in writes]


def run_alone(connection: sqlite3.Connection, write: Write) -> Outcome:
    connection.execute("savepoint one_write")
    outcome: Outcome
    try:
        outcome = write(connection), None
    except Exception as error:  # noqa: BLE001 - the others must not fail with it
        connection.execute("rollback to one_write")
        outcome = None, error
    connection.execute("release one_write")
    return outcome
