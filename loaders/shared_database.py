"""A database that several threads may share: each has a connection of its own.

So transactions of threads never mix, whatever a caller does with its connection, and no thread
reads what another has not committed.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import sqlite_utils

from loaders.connections import connect_as, transaction
from loaders.database_file import WatchedConnection, WatchedFile

Function = Callable[..., Any]


class ThreadConnection(WatchedConnection):
    """Closed with its last reference, as when its thread ends; `with` makes a transaction.

    `writers` is held by the thread that writes to the same database.
    """

    writers: threading.RLock

    def __enter__(self) -> ThreadConnection:
        # Python's own would commit each statement; with autocommit=True its `with` does nothing.
        if not self.in_transaction and getattr(self, "autocommit", None) is not True:
            self.execute("begin immediate")
        super().__enter__()
        return self

    def __del__(self) -> None:
        with suppress(sqlite3.ProgrammingError):  # it was never opened
            self.close()


class ThreadState(threading.local):
    """What one thread has of a database: `functions` counts those registered in it."""

    database: sqlite_utils.Database | None = None
    functions: int = 0


class SharedDatabase(sqlite_utils.Database):
    """Opens a connection when a thread first uses it; `close` closes all of them.

    An open transaction, temporary tables and attached files belong to one thread. Functions that
    one thread registers are there for all.
    """

    def __init__(self, path: Path) -> None:
        self._file = WatchedFile.at(path)
        self._state = ThreadState()
        self._connections: weakref.WeakSet[sqlite3.Connection] = weakref.WeakSet()
        self._functions: list[partial[Any]] = []
        self._writers = threading.RLock()
        self._opening = threading.Lock()
        self._is_closed = False
        super().__init__(self.conn)

    @property
    def conn(self) -> sqlite3.Connection:
        """The connection of this thread."""
        state = self._state
        if state.database is None:
            state.database = sqlite_utils.Database(self._connect())
        while state.functions < len(self._functions):
            state.functions += 1
            self._functions[state.functions - 1](state.database)
        return state.database.conn

    @conn.setter
    def conn(self, connection: sqlite3.Connection) -> None:
        """Called by the base class, with the connection that it was given."""

    @contextmanager
    def atomic(self) -> Iterator[SharedDatabase]:
        """As of sqlite-utils, but a transaction that waits for other writers at its start.

        One that begins with a query cannot write any more once another thread has.
        """
        with transaction(self):
            yield self

    def begin(self) -> None:
        self.execute("begin immediate")

    def _connect(self) -> ThreadConnection:
        with self._opening:
            if self._is_closed:
                raise sqlite3.ProgrammingError("Cannot operate on a closed database.")
            connection = connect_as(ThreadConnection, self._file)
            connection.writers = self._writers
            # Reads the schema and opens the search indexes: a transaction that had to do so first
            # could not write any more once another thread has.
            connection.execute("pragma table_list").fetchall()
            self._connections.add(connection)
        return connection

    def register_function(
        self,
        fn: Function | None = None,
        deterministic: bool = False,
        replace: bool = False,
        name: str | None = None,
    ) -> Callable[[Function], Function] | None:
        """Make `fn` available in SQL, in every thread."""

        def register(fn: Function) -> Function:
            call = partial(
                sqlite_utils.Database.register_function,
                fn=fn,
                deterministic=deterministic,
                replace=replace,
                name=name,
            )
            self._functions.append(call)
            return fn

        return register if fn is None else (register(fn), None)[1]

    def close(self) -> None:
        """Close the connections of all threads; open transactions are rolled back."""
        with self._opening:
            self._is_closed = True
            for connection in list(self._connections):
                connection.close()
