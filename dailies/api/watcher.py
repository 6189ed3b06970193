"""Notices the changes of a resource once for all streams that wait for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from datasette.app import Datasette

from dailies.api.changes import read_last
from dailies.api.resources import Resource
from dailies.errors import FAILURES
from dailies.storage.databases import read_at_once

POLL_SECONDS = 0.5
CHECK_SECONDS = 5.0  # between checks of permissions where nothing changes
MAX_ANSWERS = 20

Result = TypeVar("Result")

watchers: WeakKeyDictionary[Datasette, dict[str, Watcher]] = WeakKeyDictionary()


class Watcher:
    """Reads the number of the last change while anyone listens, and wakes them when it differs.

    They are woken from time to time besides, all together, so that permissions are asked for once.
    What listeners read at the same position is read once for all of them.
    """

    def __init__(self, datasette: Datasette, resource: Resource) -> None:
        self._datasette = datasette
        self._resource = resource
        self._listeners: set[Callable[[], None]] = set()
        self._answers: dict[Hashable, asyncio.Future[Any]] = {}
        self._task: asyncio.Task[None] | None = None

    def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake` after each change; once more than needed at the beginning."""
        self._listeners.add(wake)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())

    def leave(self, wake: Callable[[], None]) -> None:
        self._listeners.discard(wake)

    async def read_once(self, question: Hashable, read: Callable[[], Awaitable[Result]]) -> Result:
        """What `read` returns; what it returned since the last change, if it was asked already."""
        if question not in self._answers:
            if len(self._answers) >= MAX_ANSWERS:
                self._answers.clear()
            self._answers[question] = asyncio.ensure_future(read())
        try:
            result: Result = await asyncio.shield(self._answers[question])
        except BaseException:
            self._answers.pop(question, None)
            raise
        return result

    async def _watch(self) -> None:
        last, woken = None, 0.0
        while self._listeners:
            found = await self._last()
            if found != last:
                self._answers.clear()
            if found != last or time.monotonic() - woken >= CHECK_SECONDS:
                last, woken = found, time.monotonic()
                for wake in list(self._listeners):
                    wake()
            await asyncio.sleep(POLL_SECONDS)
        self._answers.clear()

    async def _last(self) -> object:
        """The last change; something new each time if it cannot be read."""
        try:
            return await read_at_once(
                self._datasette, self._resource, lambda conn: read_last(conn, self._resource)
            )
        except FAILURES:
            return object()  # listeners get the error when they read


def watcher_of(datasette: Datasette, resource: Resource) -> Watcher:
    known = watchers.setdefault(datasette, {})
    if resource.name not in known:
        known[resource.name] = Watcher(datasette, resource)
    return known[resource.name]
