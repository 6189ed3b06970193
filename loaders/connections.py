"""SQLite connections and transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import sqlite_utils

from loaders.search import add_functions

MIN_SQLITE = (3, 38, 0)
BUSY_TIMEOUT_MS = 5000
BULK_CACHE_KIB = 65_536

Connection = sqlite3.Connection | sqlite_utils.Database


def connect(path: str | Path) -> sqlite3.Connection:
    """Open a database with durable commits, foreign keys and `secure_delete`."""
    if sqlite3.sqlite_version_info < MIN_SQLITE:
        minimum = ".".join(map(str, MIN_SQLITE))
        raise ValueError(f"SQLite {sqlite3.sqlite_version} is too old: Dailies needs {minimum}")
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("pragma journal_mode = wal")
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
def bulk_cache(connection: sqlite3.Connection) -> Iterator[None]:
    """A larger page cache, for indexes while many rows are inserted."""
    size = connection.execute("pragma cache_size").fetchone()[0]
    connection.execute(f"pragma cache_size = -{BULK_CACHE_KIB}")
    try:
        yield
    finally:
        connection.execute(f"pragma cache_size = {size}")


def main_file(connection: sqlite3.Connection) -> Path:
    """The file that a connection was opened on."""
    rows = connection.execute("pragma database_list")
    return Path(next(file for _, schema, file in rows if schema == "main"))


@contextmanager
def transaction(db: Connection) -> Iterator[sqlite3.Connection]:
    """Commit at the end, roll back on an error; join an open transaction."""
    connection = sqlite_connection(db)
    if connection.in_transaction:
        yield connection
        return
    connection.execute("begin immediate")
    try:
        yield connection
        connection.execute("commit")
    except BaseException:
        # A commit that fails, as on a full disk, leaves its transaction open.
        connection.rollback()
        raise


@contextmanager
def acting_as(db: Connection, actor: str | None) -> Iterator[sqlite3.Connection]:
    """A transaction whose changes are recorded with `actor` in the histories."""
    with transaction(db) as connection:
        connection.execute("update write_context set actor = :actor", {"actor": actor})
        yield connection
        connection.execute("update write_context set actor = null")


def has_rows(db: Connection, table: str) -> bool:
    quoted = table.replace('"', '""')
    found = sqlite_connection(db).execute(f'select 1 from "{quoted}" limit 1')  # noqa: S608
    return found.fetchone() is not None


def count_rows(db: Connection, table: str) -> int:
    row = sqlite_connection(db).execute(f"select count(*) from {quoted(table)}").fetchone()  # noqa: S608
    return cast(int, row[0])


def quoted(name: str) -> str:
    """A name of a table or column for SQL."""
    return '"' + name.replace('"', '""') + '"'
