"""What the schema of a database should hold, and how that of a file differs from it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import sqlite_utils
from sqlite_utils import Migrations

from loaders.connections import quoted
from loaders.migrations import runner
from loaders.registry import database_spec

SHADOW_TABLES = ("data", "idx", "content", "docsize", "config")  # of an FTS5 table
FTS5 = re.compile(r"create virtual table .*\susing\s+fts5\b", re.IGNORECASE | re.DOTALL)


class SchemaObject(NamedTuple):
    """A row of `sqlite_master`; `kind` is table, index, view or trigger."""

    kind: str
    name: str
    table: str
    sql: str

    @property
    def label(self) -> str:
        """For messages, e.g. `trigger jobs_ai`."""
        return f"{self.kind} {self.name}"

    @property
    def is_virtual(self) -> bool:
        return self.sql.lower().startswith("create virtual table")

    @property
    def is_fts(self) -> bool:
        return bool(FTS5.match(self.sql))


@dataclass
class Differences:
    """How a schema differs from the reference; the objects of `altered` are the reference's."""

    missing: list[SchemaObject] = field(default_factory=list)
    altered: list[SchemaObject] = field(default_factory=list)
    harmful: list[SchemaObject] = field(default_factory=list)  # triggers that write to our indexes
    added: list[str] = field(default_factory=list)  # by the user: labels of objects and columns

    @property
    def problems(self) -> list[str]:
        return [
            *(f"{one.label} is missing" for one in self.missing),
            *(f"{one.label} was altered" for one in self.altered),
            *(f"{one.label} writes to a search index of Dailies" for one in self.harmful),
        ]

    @property
    def labels(self) -> list[str]:
        return [one.label for one in (*self.missing, *self.altered, *self.harmful)]


def migrations_of(name: str) -> Migrations:
    return runner.migrations_of(name, database_spec(name).stem)


def pending(name: str, connection: sqlite3.Connection) -> list[str]:
    """The migrations that the file still needs."""
    db = sqlite_utils.Database(connection, recursive_triggers=False)
    return [migration.name for migration in migrations_of(name).pending(db)]


def newer(name: str, connection: sqlite3.Connection) -> str | None:
    """A message if a newer version of Dailies has changed the file."""
    db = sqlite_utils.Database(connection, recursive_triggers=False)
    applied = [migration.name for migration in migrations_of(name).applied(db)]
    known = runner.names(database_spec(name).stem)
    unknown = [migration for migration in applied if migration not in known]
    if not unknown:
        return None
    return (
        f"has the schema {unknown[-1]} of a newer version of Dailies, "
        f"while this one knows {known[-1]}: install the newer version"
    )


@cache
def reference(name: str) -> dict[tuple[str, str], SchemaObject]:
    """The objects of a new file."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrations_of(name).apply(sqlite_utils.Database(connection))
        return objects_of(connection)


def objects_of(connection: sqlite3.Connection) -> dict[tuple[str, str], SchemaObject]:
    """The objects by kind and name, in order of their creation; no shadow tables of FTS5."""
    rows = connection.execute(
        """
        select type, name, tbl_name, sql
        from sqlite_master
        where sql is not null
          and name not like 'sqlite\\_%' escape '\\'
          and tbl_name <> '_sqlite_migrations'
        order by rowid
        """
    )
    found = [SchemaObject(*row) for row in rows]
    shadows = {f"{one.name}_{part}" for one in found if one.is_fts for part in SHADOW_TABLES}
    return {(one.kind, one.name): one for one in found if one.name not in shadows}


def differences(name: str, connection: sqlite3.Connection) -> Differences:
    """Compare a schema with the reference; a few milliseconds where nothing differs."""
    expected, actual = reference(name), objects_of(connection)
    indexes = [one.name for one in expected.values() if one.is_fts]
    found = Differences()
    for key, one in expected.items():
        if key not in actual:
            found.missing.append(one)
        elif not is_same(one, actual[key]):
            found.altered.append(one)
        elif one.kind == "table" and actual[key].sql != one.sql:
            columns = added_columns(one, actual[key])
            found.added += [f"column {one.name}.{column}" for column in columns]
    for key, one in actual.items():
        if key not in expected:
            if one.kind == "trigger" and writes_to(one, indexes):
                found.harmful.append(one)
            else:
                found.added.append(one.label)
    return found


def writes_to(trigger: SchemaObject, tables: Iterable[str]) -> bool:
    names = "|".join(map(re.escape, tables))
    statement = r"(?:insert(?: or \w+)? into|replace into|update(?: or \w+)?|delete from)"
    return bool(
        names and re.search(rf"\b{statement}\s+\W?(?:{names})\b", trigger.sql, re.IGNORECASE)
    )


def is_same(expected: SchemaObject, actual: SchemaObject) -> bool:
    """True if the definitions are equal; a table may have more columns."""
    if normalized(expected.sql) == normalized(actual.sql):
        return True
    if expected.kind != "table" or actual.is_fts:
        return False
    return normalized(expected.sql) == normalized(without_added_columns(expected, actual))


def normalized(sql: str) -> str:
    return " ".join(sql.replace('"', "").split())


def without_added_columns(expected: SchemaObject, actual: SchemaObject) -> str:
    """The definition that is left when SQLite drops the added columns; empty if it cannot."""
    with closing(sqlite3.connect(":memory:")) as connection:
        try:
            connection.execute(actual.sql)
            for column in added_columns(expected, actual):
                connection.execute(
                    f"alter table {quoted(actual.name)} drop column {quoted(column)}"
                )
        except sqlite3.Error:
            return ""
        row = connection.execute(
            "select sql from sqlite_master where name = ?", (actual.name,)
        ).fetchone()
    return str(row[0])


def added_columns(expected: SchemaObject, actual: SchemaObject) -> list[str]:
    known = {column.lower() for column in columns_of(expected)}
    return [column for column in columns_of(actual) if column.lower() not in known]


def columns_of(table: SchemaObject) -> list[str]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(table.sql)
        rows = connection.execute("select name from pragma_table_xinfo(?)", (table.name,))
        return [name for (name,) in rows]
