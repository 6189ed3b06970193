"""SQLite connections and transactions."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import sqlite_utils

from loaders.database_file import (
    Watched,
    WatchedConnection,
    WatchedFile,
    open_as,
    open_read_only_as,
)
from loaders.errors import Locked, code_of
from loaders.search import add_functions

MIN_SQLITE = (3, 38, 0)
BUSY_TIMEOUT_MS = 5000
BULK_CACHE_KIB = 32_768
STEPS_BETWEEN_LOOKS = 10_000  # of SQLite's virtual machine, at the clock

Connection = sqlite3.Connection | sqlite_utils.Database


def connect(path: str | Path | WatchedFile) -> WatchedConnection:
    """Open a database with durable commits, foreign keys and `secure_delete`.

    The file must exist. Where nothing can be written the connection can only read.
    """
    return connect_as(WatchedConnection, path)


def connect_as(factory: type[Watched], path: str | Path | WatchedFile) -> Watched:
    if sqlite3.sqlite_version_info < MIN_SQLITE:
        minimum = ".".join(map(str, MIN_SQLITE))
        raise ValueError(f"SQLite {sqlite3.sqlite_version} is too old: Dailies needs {minimum}")
    try:
        return with_pragmas(open_as(factory, path, timeout=BUSY_TIMEOUT_MS / 1000), wal=True)
    except sqlite3.OperationalError as error:
        if code_of(error) not in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            raise
    return with_pragmas(open_read_only_as(factory, path, BUSY_TIMEOUT_MS / 1000), wal=False)


def use_log(connection: sqlite3.Connection) -> None:
    """Turn the write-ahead log on. SQLite does not wait for others who do the same."""
    end = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("pragma journal_mode = wal")
        except sqlite3.OperationalError as error:
            if code_of(error) != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


def with_pragmas(connection: Watched, *, wal: bool) -> Watched:
    try:
        if wal:
            use_log(connection)
        set_pragmas(connection)
        add_functions(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def set_pragmas(connection: sqlite3.Connection) -> None:
    """Set the pragmas of every connection that we open; WAL is a property of the file."""
    connection.execute(f"pragma busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("pragma synchronous = full")
    connection.execute("pragma foreign_keys = on")
    connection.execute("pragma secure_delete = on")


def sqlite_connection(db: Connection) -> sqlite3.Connection:
    """The SQLite connection of `db`, which may be of either kind."""
    return db.conn if isinstance(db, sqlite_utils.Database) else db


@contextmanager
def bulk_cache(db: Connection) -> Iterator[None]:
    """A larger page cache, for indexes while many rows are inserted."""
    with reading(db) as connection:
        size = connection.execute("pragma cache_size").fetchone()[0]
        connection.execute(f"pragma cache_size = -{BULK_CACHE_KIB}")
        try:
            yield
        finally:
            connection.execute(f"pragma cache_size = {size}")


def main_file(db: Connection) -> Path:
    """The file that a database was opened on."""
    with reading(db) as connection:
        rows = connection.execute("pragma database_list").fetchall()
    return Path(next(file for _, schema, file in rows if schema == "main"))


class ConnectionLocks:
    """A lock for each connection in use, for callers whose threads share one."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[int, tuple[threading.RLock, int]] = {}  # by id, with number of users

    @contextmanager
    def held(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Wait until no other thread is in a transaction or query of ours. Locked if it stays."""
        key = id(connection)
        with self._guard:
            lock, users = self._locks.get(key, (threading.RLock(), 0))
            self._locks[key] = lock, users + 1
        try:
            if not lock.acquire(timeout=BUSY_TIMEOUT_MS / 1000):
                raise Locked("another thread is in a transaction on this connection: try again")
            try:
                yield
            finally:
                lock.release()
        finally:
            with self._guard:
                lock, users = self._locks.pop(key)
                if users > 1:
                    self._locks[key] = lock, users - 1


LOCKS = ConnectionLocks()


@contextmanager
def reading(db: Connection) -> Iterator[sqlite3.Connection]:
    """The connection for queries, without uncommitted rows of another thread."""
    connection = sqlite_connection(db)
    with LOCKS.held(connection):
        yield connection


def check_files(connection: sqlite3.Connection) -> None:
    """FileChanged if the file is gone or another one: what was written may be lost."""
    if isinstance(connection, WatchedConnection):
        connection.check_files()


@contextmanager
def snapshot(db: Connection) -> Iterator[sqlite3.Connection]:
    """For several queries that must see the same state, whatever is committed meanwhile."""
    with reading(db) as connection:
        if connection.in_transaction:
            yield connection
            return
        connection.execute("begin")
        try:
            yield connection
        finally:
            connection.execute("rollback")


@contextmanager
def in_turn(connection: sqlite3.Connection) -> Iterator[None]:
    """Wait for the other threads of a shared database that write.

    SQLite alone polls for its lock, so that with many threads some would never get it.
    """
    lock = getattr(connection, "writers", None)
    if lock is None or connection.in_transaction:
        yield
        return
    taken = lock.acquire(timeout=BUSY_TIMEOUT_MS / 1000)
    try:
        yield
    finally:
        if taken:
            lock.release()


@contextmanager
def transaction(db: Connection, *, commit: bool = True) -> Iterator[sqlite3.Connection]:
    """Commit at the end, or roll back on an error and if `commit` is false.

    Within an open transaction of the caller only this part is rolled back, and nothing committed.
    """
    with reading(db) as connection, in_turn(connection):
        outermost = not connection.in_transaction
        connection.execute("begin immediate" if outermost else "savepoint part")
        try:
            yield connection
            if commit:
                connection.execute("commit" if outermost else "release part")
            else:
                roll_back(connection, outermost)
            if outermost:
                check_files(connection)
        except BaseException:
            # An error such as a full disk may have ended the transaction, or a commit not have.
            if connection.in_transaction:
                roll_back(connection, outermost)
            raise


def roll_back(connection: sqlite3.Connection, outermost: bool) -> None:
    for sql in ["rollback"] if outermost else ["rollback to part", "release part"]:
        connection.execute(sql)


@contextmanager
def acting_as(
    db: Connection, actor: str | None, *, commit: bool = True
) -> Iterator[sqlite3.Connection]:
    """A transaction whose changes are recorded with `actor` in the histories."""
    set_actor = "update write_context set actor = :actor"
    with transaction(db, commit=commit) as connection:
        [before] = connection.execute("select actor from write_context").fetchone()
        connection.execute(set_actor, {"actor": actor})
        yield connection
        connection.execute(set_actor, {"actor": before})


@contextmanager
def give_up_after(
    connection: sqlite3.Connection, seconds: float, steps: int = STEPS_BETWEEN_LOOKS
) -> Iterator[None]:
    """Raise TimeoutError once the queries within have taken so long."""
    end = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > end, steps)
    try:
        yield
    except sqlite3.OperationalError as error:
        if code_of(error) != sqlite3.SQLITE_INTERRUPT:
            raise
        raise TimeoutError(f"not done after {seconds} seconds") from error
    finally:
        connection.set_progress_handler(None, 0)


def has_rows(db: Connection, table: str) -> bool:
    with reading(db) as connection:
        found = connection.execute(f"select 1 from {quoted(table)} limit 1")  # noqa: S608
        return found.fetchone() is not None


def count_rows(db: Connection, table: str) -> int:
    with reading(db) as connection:
        row = connection.execute(f"select count(*) from {quoted(table)}").fetchone()  # noqa: S608
    return cast(int, row[0])


def quoted(name: str) -> str:
    """A name of a table or column for SQL."""
    return '"' + name.replace('"', '""') + '"'
