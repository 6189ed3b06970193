"""Bounds of what one query may take: bytes of its result, and time while others wait.

Every query that Datasette or the jobs API sends to a served file runs within these.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from dailies.datasette_compat import QueryInterrupted, in_table_page
from dailies.errors import RETRY, RequestError
from loaders.database_file import WatchedConnection

MAX_RESULT_BYTES = 4_000_000  # but for the last row, and one more
MAX_LIST_BYTES = 2_500_000
MAX_VALUE_BYTES = 100_000_000  # of a text, a blob or a row, which SQL can also make
MAX_SQLITE_BYTES = 512_000_000  # of all connections of this process, as for sorting
MAX_LIKE_PATTERN = 250  # bytes; comparing takes the product of pattern and text

SLOW_SECONDS = 0.05
SLICE_SECONDS = 0.1
SHORT_SECONDS = 0.2
MAX_SLOW = 2  # slow queries at once; they take turns with the next
MAX_WAITING = 6
INSTRUCTIONS = 1000  # of SQLite between two looks at the clock
BUSY = "Too many slow queries are running: try again later"


class TooManyBytes(RequestError):
    """A result is too large; `rows` holds those that fit, if they are needed."""

    def __init__(self, fit: int, rows: list[Any], description: Any) -> None:
        super().__init__(400, f"The result is larger than {MAX_RESULT_BYTES:,} bytes: ask for less")
        self.fit = fit
        self.rows = rows
        self.description = description


class BoundedCursor(sqlite3.Cursor):
    """Raises TooManyBytes instead of fetching a list that is too large."""

    def fetchall(self) -> list[Any]:
        """All rows, as of facets and lists of names: none of them may be large."""
        rows: list[Any] = []
        left = MAX_LIST_BYTES
        for row in self:
            rows.append(row)
            left -= size_of(row)
            if left < 0:
                rows.clear()
                raise self._too_many(0, [])
        return rows

    def fetchmany(self, size: int | None = 1) -> list[Any]:
        """The rows of a page or query, up to `size`."""
        rows: list[Any] = []
        left, fit = MAX_RESULT_BYTES, 0
        for row in self:
            if left <= 0 and len(rows) > fit:  # one row more tells that there is a next page
                kept = [] if in_table_page.get() else rows[:fit]
                rows.clear()  # the traceback of the error keeps this frame
                raise self._too_many(fit, kept)
            rows.append(row)
            if left > 0:
                fit += 1
                left -= size_of(row)
            if len(rows) == size:
                break
        return rows

    def _too_many(self, fit: int, rows: list[Any]) -> TooManyBytes:
        """The error, once the statement has ended: its traceback keeps this cursor."""
        error = TooManyBytes(fit, rows, self.description)
        self.close()
        return error


def size_of(row: Iterable[Any]) -> int:
    """The length of its texts and blobs."""
    return sum(len(value) for value in row if isinstance(value, str | bytes))


class BoundedConnection(WatchedConnection):
    """A connection for reading, whose cursors are bounded."""

    def cursor(self, factory: Any = BoundedCursor) -> Any:
        return super().cursor(factory)


class Line:
    """Lets some threads run at once, and others wait in line for their turn."""

    def __init__(self, running: int, waiting: int) -> None:
        self._free = running
        self._most_waiting = waiting
        self._waiting: deque[threading.Event] = deque()
        self._lock = threading.Lock()

    def enter(self) -> bool:
        """Wait for a turn; False if too many wait already."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            if len(self._waiting) >= self._most_waiting:
                return False
            turn = self._append()
        return turn.wait()

    def pass_on(self) -> None:
        """Let the next one run and wait at the end of the line; go on if nobody waits."""
        with self._lock:
            if not self._waiting:
                return
            turn = self._append()
            self._waiting.popleft().set()
        turn.wait()

    def leave(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1

    def _append(self) -> threading.Event:
        turn = threading.Event()
        self._waiting.append(turn)
        return turn


slow_queries = Line(MAX_SLOW, MAX_WAITING)


class Clock:
    """Watches one query: in line once it is slow, ended by its time limit."""

    def __init__(self, seconds: float) -> None:
        now = time.monotonic()
        self._end = now + seconds
        # A query with a short limit, as of a facet, ends too soon to wait for others.
        self._next = now + (SLOW_SECONDS if seconds > SHORT_SECONDS else seconds)
        self.slow = False
        self.refused = False

    def __call__(self) -> bool:
        """True to interrupt the query."""
        now = time.monotonic()
        if self._next <= now < self._end:
            self._take_turn()
            now = time.monotonic()
            self._next = now + SLICE_SECONDS
        return self.refused or now >= self._end

    def _take_turn(self) -> None:
        if self.slow:
            slow_queries.pass_on()
        else:
            self.slow = slow_queries.enter()
            self.refused = not self.slow


@contextmanager
def time_limit(connection: sqlite3.Connection, milliseconds: float) -> Iterator[None]:
    """Interrupt what takes longer. 503 if it is slow while too many others are."""
    clock = Clock(milliseconds / 1000)
    connection.set_progress_handler(clock, INSTRUCTIONS)
    try:
        yield
    except (QueryInterrupted, sqlite3.OperationalError) as error:
        if clock.refused:
            raise RequestError(503, BUSY, RETRY) from error
        raise
    finally:
        connection.set_progress_handler(None, INSTRUCTIONS)
        if clock.slow:
            slow_queries.leave()
