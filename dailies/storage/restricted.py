"""What of a database may be read through the server, and connections that hold to it.

Served is what the registry names, with the columns that our own migrations make: the *reference*,
which is read from a database built in memory. A file may hold more, such as an old system's tables
with secrets in them. Each reading connection carries an authorizer, so that SQLite itself refuses
the rest whatever the route to it; each connection sees the served part alone when it asks for the
schema, so that no list, menu or page learns of the rest.
"""

from __future__ import annotations

import re
import sqlite3
import string
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlite_utils

from loaders import schema
from loaders.connections import BUSY_TIMEOUT_MS, connect, keep_promises
from loaders.registry import database_spec

# SQLite folds the case of ASCII letters only.
ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
SCHEMA_TABLE = re.compile(
    r"""(?:\bmain\b|"main"|\[main\])?\s*\.?\s*["\[`]?\bsqlite_(?:master|schema)\b["\]`]?""",
    re.IGNORECASE,
)
NAME = r"""(?:"(?P<q>[^"]+)"|\[(?P<b>[^\]]+)\]|`(?P<t>[^`]+)`|'(?P<s>[^']+)'|(?P<n>\w+))"""
TABLE_INFO = re.compile(
    rf"\s*pragma\s+(?P<pragma>table_x?info)\s*\(\s*{NAME}\s*\)\s*;?\s*", re.IGNORECASE
)
SELECT_ALL = re.compile(
    rf"(?P<head>\s*select\s+(?:rowid\s*,\s*)?)\*(?P<from>\s+from\s+){NAME}", re.IGNORECASE
)
WITH = re.compile(r"\bwith\b", re.IGNORECASE)
CONTENT_TABLE = re.compile(
    r"""using\s+fts5\b.*\bcontent\s*=\s*["'\[]?(\w+)""", re.IGNORECASE | re.DOTALL
)

TABLE_FUNCTIONS = frozenset({"json_each", "json_tree"})
READING_PRAGMAS = frozenset(
    {
        "compile_options",
        "data_version",
        "database_list",
        "foreign_key_list",
        "index_info",
        "index_list",
        "index_xinfo",
        "recursive_triggers",  # sqlite-utils sets it on whatever connection it is given
        "schema_version",
        "table_info",
        "table_xinfo",
    }
)
REFUSED_FUNCTIONS = frozenset({"load_extension", "fts3_tokenizer", "readfile", "writefile"})
LOOKED_INTO = frozenset(
    {
        ("sqlite_master", "served_schema"),
        ("pragma_table_info", "served_table_info"),
        ("pragma_table_xinfo", "served_table_xinfo"),
    }
)
READING_ACTIONS = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_RECURSIVE,
        sqlite3.SQLITE_TRANSACTION,
        sqlite3.SQLITE_SAVEPOINT,
    }
)

# What the views may look into is told by their names, which the authorizer is given.
CREATE_SERVED_SCHEMA = """
create temp table served_columns (
  table_name text,
  name text
);
create temp table served_reference (
  type text,
  name text,
  tbl_name text,
  sql text
);
create temp view served_schema as
select
  actual.type,
  actual.name,
  actual.tbl_name,
  actual.rootpage,
  reference.sql
from main.sqlite_master as actual
join temp.served_reference as reference
  on reference.type = actual.type
  and reference.name = actual.name
  and reference.tbl_name = actual.tbl_name;
create temp view served_table_info as
select
  served.table_name,
  info.*
from temp.served_columns as served
join pragma_table_info(served.table_name) as info
  on lower(info.name) = served.name;
create temp view served_table_xinfo as
select
  served.table_name,
  info.*
from temp.served_columns as served
join pragma_table_xinfo(served.table_name) as info
  on lower(info.name) = served.name;
"""
INFO_COLUMNS = {
    "table_info": 'cid, name, type, "notnull", dflt_value, pk',
    "table_xinfo": 'cid, name, type, "notnull", dflt_value, pk, hidden',
}


def fold(name: str) -> str:
    return name.translate(ASCII_LOWER)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class Reference:
    """The served part of one database as our migrations make it; names in lower case.

    `columns` holds each served table or view; `indexes` their search indexes and `shadows` the
    tables in which those keep themselves; `helpers` our other tables, which served views and canned
    queries may read; `rows` the served objects as (type, name, table, SQL).
    """

    columns: Mapping[str, frozenset[str]]
    views: frozenset[str]
    helpers: frozenset[str]
    indexes: frozenset[str]
    shadows: frozenset[str]
    rows: tuple[tuple[str, str, str, str], ...]


@cache
def reference(name: str) -> Reference:
    """The reference of the database called `name`."""
    with closing(connect(":memory:")) as connection:
        schema.migrations_of(name).apply(sqlite_utils.Database(connection))
        return read_reference(connection, database_spec(name).tables)


def read_reference(connection: sqlite3.Connection, tables: Iterable[str]) -> Reference:
    rows = connection.execute("select type, name, tbl_name, sql from sqlite_master").fetchall()
    served = {fold(table) for table in tables}
    contents = {fold(row[1]): CONTENT_TABLE.search(row[3] or "") for row in rows}
    indexes = {name for name, found in contents.items() if found and fold(found[1]) in served}
    return Reference(
        columns={
            fold(name): frozenset(fold(column) for column in columns_of(connection, name))
            for kind, name, _, _ in rows
            if kind in ("table", "view") and fold(name) in served
        },
        views=frozenset(fold(row[1]) for row in rows if row[0] == "view") & served,
        helpers=frozenset(fold(row[1]) for row in rows if row[0] in ("table", "view")) - served,
        indexes=frozenset(indexes),
        shadows=frozenset(
            fold(row[1])
            for row in rows
            if row[0] == "table" and any(fold(row[1]).startswith(f"{index}_") for index in indexes)
        ),
        rows=tuple(
            row
            for row in rows
            if row[0] in ("table", "view", "index") and row[3] and fold(row[2]) in served | indexes
        ),
    )


def columns_of(connection: sqlite3.Connection, table: str) -> list[str]:
    rows = connection.execute("select name from pragma_table_xinfo(:table)", {"table": table})
    return [name for (name,) in rows]


class ServedCursor(sqlite3.Cursor):
    """Runs each statement as `ServedConnection.admitted` lets it pass."""

    connection: ServedConnection

    def execute(self, sql: str, parameters: Any = (), /) -> ServedCursor:
        with self.connection.running(sql) as admitted:
            super().execute(admitted, parameters)
        return self

    def executemany(self, sql: str, parameters: Any, /) -> ServedCursor:
        super().executemany(self.connection.admitted(sql), parameters)
        return self


class ServedConnection(sqlite3.Connection):
    """A connection to which only the served part of its databases exists.

    Set up by `serve_file` and `serve_attached`; until then, a plain connection. Statements among
    `canned` are ours and may read our helper tables too.
    """

    canned: Set[str] = frozenset()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._guarded: dict[str, Reference] = {}
        self._narrowed: dict[str, str] = {}
        self._unserved: frozenset[str] = frozenset()
        self._reading = False
        self._looking = False
        self._canned = False
        self._read: set[tuple[str, str]] | None = None

    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(factory or (ServedCursor if self._guarded else sqlite3.Cursor))

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        cursor: sqlite3.Cursor = self.cursor().execute(sql, parameters)
        return cursor

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        cursor: sqlite3.Cursor = self.cursor().executemany(sql, parameters)
        return cursor

    def serve_file(self, served: Reference, reading: bool) -> None:
        """Guard the file this connection was opened on."""
        self.executescript(CREATE_SERVED_SCHEMA)
        self.executemany("insert into temp.served_reference values (?, ?, ?, ?)", served.rows)
        columns = [(table, name) for table, names in served.columns.items() for name in names]
        self.executemany("insert into temp.served_columns values (?, ?)", columns)
        self._narrowed = self._columns_in_place_of_all(served)
        self._guard({"main": served}, reading)

    def serve_attached(self, attached: Mapping[str, Reference]) -> None:
        """Guard files attached under these names."""
        self._guard(dict(attached), reading=True)

    def tables_read(self, sql: str, parameters: Mapping[str, str]) -> set[tuple[str, str]]:
        """The tables, as (schema, name), that a canned statement looks into, views seen through."""
        read: set[tuple[str, str]] = set()
        self._read = read
        self._canned = True
        try:
            # A statement of the very same text may be at hand, compiled, and not be asked about.
            statement = f"explain {self.admitted(sql)}\n-- {uuid4()}"
            sqlite3.Cursor(self).execute(statement, parameters).close()
        finally:
            self._canned = False
            self._read = None
        return read

    @contextmanager
    def running(self, sql: str) -> Iterator[str]:
        """Where `sql` is compiled, as `admitted` lets it pass."""
        self._canned = sql in self.canned
        try:
            yield self.admitted(sql)
        finally:
            self._canned = False

    def admitted(self, sql: str) -> str:
        """`sql` as it may run: on the served schema, without columns that we do not know."""
        if self._reading:
            self._refuse_shadows(sql)
            if WITH.search(sql):
                self._look_for_unserved()
        if "main" not in self._guarded:
            return sql
        if self._narrowed:
            sql = self._without_unknown_columns(sql)
        if "sqlite_" in sql.lower():
            sql = SCHEMA_TABLE.sub(" temp.served_schema ", sql)
        return sql

    def _guard(self, guarded: dict[str, Reference], reading: bool) -> None:
        self._guarded = guarded
        self._reading = reading
        if reading:
            self._look_for_unserved()
            super().set_authorizer(self._authorize)

    def _columns_in_place_of_all(self, served: Reference) -> dict[str, str]:
        """The column list of each table in which the file holds columns that we do not know."""
        narrowed = {}
        for table, known in served.columns.items():
            actual = columns_of(self, table)
            kept = [column for column in actual if fold(column) in known]
            if kept != actual:
                narrowed[table] = ", ".join(map(quoted, kept))
        return narrowed

    def _without_unknown_columns(self, sql: str) -> str:
        if match := TABLE_INFO.fullmatch(sql):
            table = fold(name_in(match))
            if table in self._narrowed:
                return info_of(table, match["pragma"].lower())
        if (match := SELECT_ALL.match(sql)) and fold(name_in(match)) in self._narrowed:
            columns = self._narrowed[fold(name_in(match))]
            return f"{match['head']}{columns}{match['from']}{sql[match.end('from') :]}"
        return sql

    def _refuse_shadows(self, sql: str) -> None:
        """Shadow tables are read by FTS5 itself, for which the authorizer must let them pass."""
        text = fold(sql)
        for served in self._guarded.values():
            for shadow in served.shadows:
                if shadow in text:
                    raise sqlite3.DatabaseError(f"access to {shadow} is prohibited")

    def _look_for_unserved(self) -> None:
        """Learn the names of what these files hold beside the served part."""
        self._looking = True
        try:
            self._unserved = frozenset(
                name
                for schema, served in self._guarded.items()
                for name in self._names_in(schema)
                if name not in served.columns
                and name not in served.indexes
                and name not in served.shadows
            )
        finally:
            self._looking = False

    def _names_in(self, schema: str) -> Iterator[str]:
        cursor = sqlite3.Cursor(self)
        cursor.row_factory = None
        cursor.execute(f"select name from {quoted(schema)}.sqlite_master")  # noqa: S608
        return (fold(name) for (name,) in cursor)

    def _authorize(
        self,
        action: int,
        first: str | None,
        second: str | None,
        schema: str | None,
        source: str | None,
    ) -> int:
        if self._looking or action in READING_ACTIONS:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ:
            return self._authorize_read(first or "", second or "", schema, source)
        if action == sqlite3.SQLITE_FUNCTION:
            return verdict(second not in REFUSED_FUNCTIONS)
        if action == sqlite3.SQLITE_PRAGMA:
            return self._authorize_pragma(first or "", second)
        # Declaring a virtual table is reported as an update of the schema, which it is not.
        return verdict(action == sqlite3.SQLITE_UPDATE and first == "sqlite_master")

    def _authorize_read(
        self, table: str, column: str, schema: str | None, source: str | None
    ) -> int:
        name = fold(table)
        if self._read is not None:
            self._read.update((at, name) for at in ([schema] if schema else self._guarded))
        if schema is None:
            # A table of which no column is read, or a common table expression of that name.
            return verdict(name not in self._unserved or self._counts_helper(name))
        served = self._guarded.get(schema)
        if served is None or name in served.indexes or name in served.shadows:
            return sqlite3.SQLITE_OK
        if name == "sqlite_master":
            # Declaring a virtual table reads the schema's row numbers.
            return verdict(column == "ROWID" or (name, source) in LOOKED_INTO)
        known = served.columns.get(name)
        if known is None and name in served.helpers:
            return verdict(self._canned or fold(source or "") in served.views)
        if known is None:
            return verdict(name in TABLE_FUNCTIONS or (name, source) in LOOKED_INTO)
        if column and column != "ROWID" and fold(column) not in known:
            return sqlite3.SQLITE_IGNORE
        return sqlite3.SQLITE_OK

    def _counts_helper(self, name: str) -> bool:
        return self._canned and any(name in served.helpers for served in self._guarded.values())

    def _authorize_pragma(self, name: str, argument: str | None) -> int:
        if name not in READING_PRAGMAS:
            return sqlite3.SQLITE_DENY
        if name not in ("table_info", "table_xinfo", "foreign_key_list", "index_list"):
            return sqlite3.SQLITE_OK
        served = self._guarded.get("main")
        if served is None:
            return sqlite3.SQLITE_DENY
        table = fold(argument or "")
        return verdict(table in served.columns or table in served.indexes)


def info_of(table: str, pragma: str) -> str:
    """SQL: what the pragma says of the columns that we know."""
    return f"""
        select {INFO_COLUMNS[pragma]}
        from temp.served_{pragma}
        where table_name = '{table}'
        order by cid
        """  # noqa: S608


def verdict(allowed: bool) -> int:
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def name_in(match: re.Match[str]) -> str:
    """The table that a match of NAME found, however it was quoted."""
    return next(match[group] for group in "qbtsn" if match[group])


def connect_served(path: Path, served: Reference, write: bool) -> ServedConnection:
    """A connection to one database file, which must exist; it reads only unless `write`."""
    mode = "rw" if write else "ro"
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT_MS / 1000,
        check_same_thread=False,
        isolation_level=None,
        factory=ServedConnection,
    )
    try:
        set_serving_pragmas(connection)
        connection.serve_file(served, reading=not write)
        # Not before: preparing must not wait for a writer outside, since Datasette tries only once.
        connection.isolation_level = "IMMEDIATE" if write else "DEFERRED"
    except BaseException:
        connection.close()
        raise
    return connection


def connect_across(files: Mapping[str, Path]) -> ServedConnection:
    """A connection without a file of its own that reads these databases under their names."""
    connection = sqlite3.connect(
        ":memory:", uri=True, check_same_thread=False, factory=ServedConnection
    )
    try:
        set_serving_pragmas(connection)
        for name, path in files.items():
            connection.execute(
                f"attach database :file as {quoted(name)}",
                {"file": f"{path.resolve().as_uri()}?mode=ro"},
            )
        connection.serve_attached({name: reference(name) for name in files})
    except BaseException:
        connection.close()
        raise
    return connection


def set_serving_pragmas(connection: sqlite3.Connection) -> None:
    keep_promises(connection)
    connection.execute("pragma temp_store = memory")
