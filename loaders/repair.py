"""Restore whatever of our schema is missing or altered in a file.

`sqlite-utils transform`, for one, drops the triggers of a table without a message. Rows, objects
and columns that the user added stay.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from loaders import schema
from loaders.connections import quoted
from loaders.errors import DAMAGED, code_of
from loaders.legacy import tables
from loaders.migrations import script
from loaders.registry import database_spec
from loaders.schema import Differences, SchemaObject


def repair(name: str, connection: sqlite3.Connection) -> list[str]:
    """Restore missing and altered objects; their labels, e.g. `trigger jobs_ai`.

    Within a transaction, with foreign keys off and `legacy_alter_table` on. What is derived from
    rows is computed again where triggers or tables were affected.
    """
    found = schema.differences(name, connection)
    if not found.labels:
        return []
    ours = schema.reference(name).values()
    before = schema.objects_of(connection)
    added = [before[key] for key in before if key not in schema.reference(name)]
    # Triggers, also those of the user, must not treat a repair as a change of rows.
    drop(connection, [one for one in before.values() if one.kind == "trigger"])
    create(connection, (one for one in found.missing if one.kind == "table" and not one.is_fts))
    restore_tables(connection, found)
    create(connection, (one for one in (*ours, *added) if one.kind != "trigger"))
    if any(label.startswith(("table", "trigger")) for label in found.labels):
        rebuild(name, connection)
    create(connection, (one for one in (*ours, *added) if one not in found.harmful))
    return found.labels


def rebuild(name: str, connection: sqlite3.Connection) -> None:
    """Make right what triggers keep in step with rows, while there are no triggers.

    `rebuild.sql` of each database derives rows from others, here and in upgrades of earlier files;
    `repair.sql` (of image_library) is for repairs alone.
    """
    database = database_spec(name).stem
    insert_fixed_rows(connection, database)
    set_orphans_aside(name, connection)
    for part in ("rebuild", "repair"):
        if (script.FOLDER / database / f"{part}.sql").exists():
            script.execute(connection, script.statements(database, part))


def insert_fixed_rows(connection: sqlite3.Connection, database: str) -> None:
    """Insert the rows that every new file has, where they are missing."""
    for path in sorted((script.FOLDER / database).glob("m*.sql")):
        for statement in script.statements(database, path.stem):
            if statement.sql.startswith(("insert into", "update job_status_moves")):
                connection.execute(statement.sql.replace("insert into", "insert or ignore into", 1))


def set_orphans_aside(name: str, connection: sqlite3.Connection) -> None:
    """Set rows aside whose parent was deleted while no trigger deleted them with it."""
    for table in database_spec(name).tables:
        keys = connection.execute(
            'select "from", "table", "to" from pragma_foreign_key_list(?)', (table,)
        )
        for column, parent, target in keys.fetchall():
            orphan = f"{column} is not null and {column} not in (select {target} from {parent})"  # noqa: S608
            key = tuple(key_columns(connection, table))
            reason = f"its row of {parent} is gone"
            tables.set_rows_aside(connection, table, key, orphan, reason)


def restore_tables(connection: sqlite3.Connection, found: Differences) -> None:
    """Give altered tables our definition, and remove other altered objects."""
    for one in found.altered:
        if one.kind == "table" and not one.is_fts:
            rebuild_table(connection, one)
        else:
            drop(connection, [one])


def drop(connection: sqlite3.Connection, objects: Iterable[SchemaObject]) -> None:
    for one in objects:
        connection.execute(f"drop {one.kind} if exists {quoted(one.name)}")


def create(connection: sqlite3.Connection, objects: Iterable[SchemaObject]) -> None:
    """Create those that do not exist."""
    existing = schema.objects_of(connection)
    for one in objects:
        if (one.kind, one.name) not in existing:
            connection.execute(one.sql)


def rebuild_table(connection: sqlite3.Connection, table: SchemaObject) -> None:
    """Give a table our definition, with its rows, their rowids and the user's columns.

    Its indexes are gone afterwards. Rows that break NOT NULL or UNIQUE go to `set_aside`.
    """
    old = tables.move_aside(connection, table.name)
    connection.execute(table.sql)
    tables.add_unknown_columns(connection, old, table.name)
    copy_rows(connection, old, table.name)
    if tables.exists(connection, "sqlite_sequence"):
        tables.keep_last_number(connection, old, table.name)
    connection.execute(f"drop table {quoted(old)}")


def copy_rows(connection: sqlite3.Connection, source: str, target: str) -> None:
    columns = [quoted(column) for column in tables.stored_columns(connection, source)]
    if has_free_rowid(connection, target):
        columns.insert(0, "rowid")
    names = ", ".join(columns)
    insert = f"insert into {quoted(target)} ({names}) select {names} from {quoted(source)}"  # noqa: S608
    connection.execute("pragma ignore_check_constraints = on")
    try:
        connection.execute(f"{insert} order by rowid")
    except sqlite3.IntegrityError:
        copy_one_by_one(connection, source, target, f"{insert} where rowid = ?")
    finally:
        connection.execute("pragma ignore_check_constraints = off")


def copy_one_by_one(connection: sqlite3.Connection, source: str, target: str, insert: str) -> None:
    """Copy the rows that fit, and set the others aside."""
    for (rowid,) in connection.execute(f"select rowid from {quoted(source)}").fetchall():  # noqa: S608
        try:
            connection.execute(insert, (rowid,))
        except sqlite3.IntegrityError:
            continue
        connection.execute(f"delete from {quoted(source)} where rowid = ?", (rowid,))  # noqa: S608
    key = tuple(key_columns(connection, target))
    tables.set_rows_aside(connection, source, key, "true", "breaks NOT NULL or UNIQUE of its table")
    connection.execute("update set_aside set table_name = ? where table_name = ?", (target, source))


def has_free_rowid(connection: sqlite3.Connection, table: str) -> bool:
    """True if no INTEGER PRIMARY KEY is the rowid."""
    keys = key_columns(connection, table)
    return [kind.upper() for kind in keys.values()] != ["INTEGER"]


def key_columns(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    """The columns of the primary key, with their types."""
    rows = connection.execute(
        "select name, type from pragma_table_info(?) where pk > 0 order by pk", (table,)
    )
    return dict(rows.fetchall())


def repair_content(name: str, connection: sqlite3.Connection, damaged: list[str]) -> None:
    """Replace damaged search indexes, and derive again what triggers derive.

    Within a transaction in which nothing has touched those indexes.
    """
    forget(connection, damaged)
    ours = schema.reference(name).values()
    before = schema.objects_of(connection).values()
    triggers = [one for one in before if one.kind == "trigger"]
    drop(connection, triggers)
    create(connection, (one for one in ours if one.is_fts))
    rebuild(name, connection)
    create(connection, triggers)


def rebuild_index(connection: sqlite3.Connection, index: str) -> bool:
    """False if the index is too damaged for that."""
    try:
        connection.execute(f"insert into {index} ({index}) values ('rebuild')")  # noqa: S608
    except sqlite3.DatabaseError as error:
        if code_of(error) not in DAMAGED:
            raise
        return False
    return True


def forget(connection: sqlite3.Connection, indexes: list[str]) -> None:
    """Remove damaged search indexes, which cannot be dropped; VACUUM then frees their pages."""
    if not indexes:
        return
    parts = [f"{index}_{part}" for index in indexes for part in schema.SHADOW_TABLES]
    names = [*indexes, *parts]
    connection.execute("pragma writable_schema = on")
    marks = ", ".join("?" * len(names))
    connection.execute(f"delete from sqlite_master where tbl_name in ({marks})", names)  # noqa: S608
    connection.execute("pragma writable_schema = reset")
    if tables.exists(connection, "write_context"):
        connection.execute("update write_context set vacuum_pending = 1")
