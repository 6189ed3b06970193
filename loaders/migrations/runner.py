"""The migrations of a database: the SQL files of its folder, in the order of their names.

`m001_create.sql` creates the schema. In the file of an earlier system, whose tables are there
already, `loaders/legacy` executes it and moves the rows.
"""

from __future__ import annotations

import importlib
import sqlite3

from sqlite_utils import Database, Migrations

from loaders.migrations import script


def migrations_of(name: str, database: str) -> Migrations:
    """`name` is that of the migration set, `database` that of the folder, e.g. `yt_builder`."""
    migrations = Migrations(name)
    for migration in names(database):
        register(migrations, database, migration)
    return migrations


def names(database: str) -> list[str]:
    """The names of the migrations, in their order."""
    return sorted(path.stem for path in (script.FOLDER / database).glob("m*.sql"))


def register(migrations: Migrations, database: str, migration: str) -> None:
    def apply(db: Database) -> None:
        if migration == "m001_create" and has_tables(db.conn, database):
            importlib.import_module(f"loaders.legacy.{database}").upgrade(db.conn)
        else:
            script.execute(db.conn, script.statements(database, migration))

    migrations(name=migration)(apply)


def has_tables(connection: sqlite3.Connection, database: str) -> bool:
    """True if the file holds a table that the first migration creates."""
    rows = connection.execute("select name from sqlite_master where type = 'table'")
    existing = {name for (name,) in rows}
    return any(
        statement.kind == "table" and statement.name in existing
        for statement in script.statements(database)
    )
