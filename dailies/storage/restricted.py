"""What of a database may be read through the server, and connections that refuse the rest.

Served are the tables of the registry, with the columns that our migrations make, and the tables and
columns that metadata.yml lists besides. A file may hold more, such as an old system's tables with
secrets in them: SQLite's authorizer refuses those, whatever the route to them.
"""

from __future__ import annotations

import re
import sqlite3
import string
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import sqlite_utils

from dailies.storage.bounds import (
    MAX_LIKE_PATTERN,
    MAX_SQLITE_BYTES,
    MAX_VALUE_BYTES,
    BoundedConnection,
)
from dailies.storage.job_size import limit_jobs
from loaders import schema
from loaders.connections import BUSY_TIMEOUT_MS, quoted, set_pragmas
from loaders.database_file import (
    WatchedConnection,
    WatchedFile,
    attach_read_only,
    open_as_allowed,
    open_read_only,
    open_read_only_as,
)
from loaders.registry import database_spec
from loaders.search import add_functions

CACHE_KIB = 1000  # of each file of each connection, and each thread has its own
WRITING_CACHE_KIB = 8000  # of the one connection that writes to a file
CHECKPOINT_PAGES = 4000  # of the log: pages that are written often are copied to the file once

# SQLite folds the case of ASCII letters only.
ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)

# Tables of ours that hold what one client must not learn of another.
PRIVATE_TABLES = frozenset({"idempotency_keys", "job_states"})
SCHEMA_TABLES = frozenset({"sqlite_master", "sqlite_temp_master"})
PRAGMAS = frozenset(
    {
        "cache_size",
        "compile_options",
        "data_version",
        "database_list",
        "foreign_key_list",
        "index_info",
        "index_list",
        "index_xinfo",
        "recursive_triggers",  # set by sqlite-utils on every connection
        "schema_version",
        "table_info",
        "table_list",
        "table_xinfo",
    }
)
TABLE_FUNCTIONS = frozenset({"json_each", "json_tree", *(f"pragma_{name}" for name in PRAGMAS)})
READING_ACTIONS = frozenset(
    {
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
        sqlite3.SQLITE_SAVEPOINT,
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_TRANSACTION,
    }
)

# Texts, quoted names and comments; each also matches where it is not closed.
QUOTED_SQL = re.compile(
    r"""'[^']*'?|"[^"]*"?|`[^`]*`?|\[[^\]]*\]?|--[^\n]*|/\*(?s:.*?)(?:\*/|\Z)"""
)
JOIN_BY_NAME = re.compile(r"\b(?:natural|using)\b", re.IGNORECASE | re.ASCII)
TCL_VARIABLE = re.compile(r"[$@:#][\w:$]+\(")  # may hold a quote that opens no text

Columns = frozenset[str] | None  # None: every column
Authorizer = Callable[[int, str | None, str | None, str | None, str | None], int]


def fold(name: str) -> str:
    return name.translate(ASCII_LOWER)


@dataclass(frozen=True)
class Served:
    """What is served of one database; names in lower case.

    `tables` have pages, views among them. `columns` holds the readable columns of these and of the
    tables that our queries read besides: search indexes, counts, change logs.
    """

    tables: frozenset[str]
    views: frozenset[str]
    columns: Mapping[str, Columns]

    def has(self, table: str, column: str | None = None) -> bool:
        """True if the table has a page and, if one is given, the column is readable."""
        return fold(table) in self.tables and (column is None or self.readable(table, column))

    def readable(self, table: str, column: str) -> bool:
        columns = self.columns[fold(table)]
        return columns is None or fold(column) in columns


@cache
def reference(name: str) -> Served:
    """What is served of the database called `name` before metadata.yml is read."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        schema.migrations_of(name).apply(sqlite_utils.Database(connection))
        rows = connection.execute("select name, type from pragma_table_list where schema = 'main'")
        kinds = {fold(table): kind for table, kind in rows}
        tables = frozenset(map(fold, database_spec(name).tables)) & kinds.keys()
        return Served(
            tables=tables,
            views=frozenset(table for table in tables if kinds[table] == "view"),
            columns={
                table: frozenset(map(fold, columns_of(connection, table)))
                for table in kinds.keys() - PRIVATE_TABLES
                if not table.startswith("sqlite_")
            },
        )


def columns_of(connection: sqlite3.Connection, table: str) -> list[str]:
    rows = connection.execute("select name from pragma_table_xinfo(:table)", {"table": table})
    return [name for (name,) in rows]


def with_listed(served: Served, listed: Mapping[str, Any], path: Path) -> Served:
    """Add the tables and columns of a file that the `tables` of metadata.yml list.

    A table of the user's own has all its columns unless some are listed; a search index also has
    the tables in which SQLite keeps it.
    """
    columns = dict(served.columns)
    added = {fold(table) for table in listed} - served.tables
    for table, settings in listed.items():
        names = (settings or {}).get("columns")
        known = columns.get(fold(table), frozenset() if names else None)
        columns[fold(table)] = None if known is None else known | frozenset(map(fold, names or ()))
    for shadow in shadow_tables(path) if added else ():
        if shadow.rpartition("_")[0] in added:
            columns[shadow] = None
    return replace(served, tables=served.tables | added, columns=columns)


def shadow_tables(path: Path) -> list[str]:
    with closing(sqlite3.connect(uri_of(path), uri=True)) as connection:
        rows = connection.execute("select name from pragma_table_list where type = 'shadow'")
        return [fold(name) for (name,) in rows]


def joins_by_name(sql: str) -> bool:
    """True if the statement may contain USING or NATURAL JOIN."""
    unquoted = sql if TCL_VARIABLE.search(sql) else QUOTED_SQL.sub(" ", sql)
    return JOIN_BY_NAME.search(unquoted) is not None


class ReadAuthorizer:
    """Lets statements read what is served, and nothing else. Called as SQLite compiles them.

    `schemas` holds what is served of each schema of the connection, `files` where it is.
    """

    def __init__(self, schemas: Mapping[str, Served], files: Iterable[Path]) -> None:
        self._schemas = schemas
        self._files = tuple(files)

    def __call__(
        self, action: int, first: str | None, second: str | None, schema: str | None, _: str | None
    ) -> int:
        if action == sqlite3.SQLITE_READ:
            return self._read(fold(first or ""), second or "", schema)
        allowed = (
            action in READING_ACTIONS
            or (action == sqlite3.SQLITE_PRAGMA and first in PRAGMAS)
            # The declaration of a virtual table is reported as a write to the schema.
            or (action == sqlite3.SQLITE_UPDATE and first == "sqlite_master")
        )
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY

    def _read(self, table: str, column: str, schema: str | None) -> int:
        if table in SCHEMA_TABLES or table in TABLE_FUNCTIONS:
            return sqlite3.SQLITE_OK
        for name, served in self._schemas.items():
            if schema in (name, None) and table in served.columns:
                hidden = column not in ("", "ROWID") and not served.readable(table, column)
                return sqlite3.SQLITE_IGNORE if hidden else sqlite3.SQLITE_OK
        # Without a schema it is a table of which no column is read, or no table of the file: a
        # common table expression.
        allowed = schema is None and not self._is_table(table)
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY

    def _is_table(self, name: str) -> bool:
        """Ask the files as they are now; the connection itself is busy compiling."""
        sql = "select 1 from sqlite_master where name = :name collate nocase"
        for file in self._files:
            with closing(open_read_only(file)) as connection:
                if connection.execute(sql, {"name": name}).fetchone():
                    return True
        return False


def write_authorizer(served: Served) -> Authorizer:
    """Keep columns that are not served from being written, and from being read back.

    Clients send no SQL of their own to a connection that writes, and their rows go to tables that
    are served. Triggers and foreign keys of the user's own may touch any table.
    """

    def authorize(
        action: int, table: str | None, column: str | None, _: str | None, source: str | None
    ) -> int:
        if source or not column or column == "ROWID" or fold(table or "") not in served.columns:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ and not served.readable(table or "", column):
            return sqlite3.SQLITE_IGNORE
        if action == sqlite3.SQLITE_UPDATE and not served.readable(table or "", column):
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    return authorize


def tables_read(
    connection: sqlite3.Connection, authorizer: Authorizer, sql: str, parameters: Mapping[str, str]
) -> set[tuple[str | None, str]]:
    """The tables that a statement reads, as (schema, name), those beneath views included.

    The schema is None where SQLite does not name it. Afterwards only `authorizer` is asked.
    """
    read: set[tuple[str | None, str]] = set()

    def record(action: int, table: str | None, *others: Any) -> int:
        if action == sqlite3.SQLITE_READ:
            read.add((others[1], fold(table or "")))
        return authorizer(action, table, *others)

    connection.set_authorizer(record)
    try:
        connection.execute(f"explain {sql}", parameters).close()
    finally:
        connection.set_authorizer(authorizer)
    return read


def connect_served(
    file: WatchedFile, authorizer: Authorizer, *, write: bool, waiting: bool = True
) -> WatchedConnection:
    """Connect to one database file, which must exist; read-only unless `write`.

    Unless `waiting`, a lock is an error at once.
    """
    timeout = BUSY_TIMEOUT_MS / 1000
    connection: WatchedConnection
    if write:
        connection = open_as_allowed(file, timeout)
    else:
        connection = open_read_only_as(BoundedConnection, file, timeout)
    try:
        set_serving_pragmas(connection)
        if not waiting:
            connection.execute("pragma busy_timeout = 0")
        if write:
            connection.execute(f"pragma cache_size = -{WRITING_CACHE_KIB}")
            connection.execute(f"pragma wal_autocheckpoint = {CHECKPOINT_PAGES}")
            limit_jobs(connection)
        connection.set_authorizer(authorizer)
        # Only now: setting it up must not wait for a lock, since Datasette tries only once.
        connection.isolation_level = "IMMEDIATE" if write else "DEFERRED"
    except BaseException:
        connection.close()
        raise
    return connection


def connect_across(files: Mapping[str, WatchedFile], authorizer: Authorizer) -> WatchedConnection:
    """Connect without a file of its own; these databases are attached under their names."""
    connection = sqlite3.connect(
        ":memory:", uri=True, check_same_thread=False, factory=BoundedConnection
    )
    try:
        set_serving_pragmas(connection)
        for name, file in files.items():
            attach_read_only(connection, file, quoted(name))
        connection.files = tuple(files.values())
        connection.check_files()
        connection.set_authorizer(authorizer)
    except BaseException:
        connection.close()
        raise
    return connection


def uri_of(path: Path, mode: str = "ro") -> str:
    return f"{path.resolve().as_uri()}?mode={mode}"


def set_serving_pragmas(connection: sqlite3.Connection) -> None:
    set_pragmas(connection)
    add_functions(connection)
    connection.execute("pragma temp_store = file")
    connection.execute(f"pragma cache_size = -{CACHE_KIB}")
    connection.execute(f"pragma hard_heap_limit = {MAX_SQLITE_BYTES}")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, MAX_LIKE_PATTERN)
