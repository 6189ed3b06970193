"""Replaces the tables of an earlier system by today's, with every row.

All of it runs within the transaction of an upgrade: foreign keys are off, and a renamed table stays
the one that others refer to by its old name (`legacy_alter_table`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from loaders.connections import count_rows, quoted
from loaders.formats.json_form import encode
from loaders.migrations import script
from loaders.migrations.script import Statement

SET_ASIDE = """
insert into set_aside (table_name, row_key, reason, content)
values (:table_name, :row_key, :reason, :content)
"""


@contextmanager
def rebuilding(connection: sqlite3.Connection, database: str) -> Iterator[None]:
    """Replace the old tables by those of the first migration of `database`.

    The body may correct rows: they are in the new tables, which have no index or trigger yet.
    Afterwards those are created, and indexes and triggers that were not created by Dailies.
    """
    statements = script.statements(database)
    drop_derived(connection, statements)
    tables = [statement for statement in statements if statement.kind == "table"]
    others = [sql for table in tables for sql in objects_on(connection, table.name)]
    for table in tables:
        replace_table(connection, table)
    create(connection, statements, "", "view")
    yield
    create(connection, statements, "index", "virtual table", "trigger")
    for sql in others:
        connection.execute(sql)


def create(connection: sqlite3.Connection, statements: Iterable[Statement], *kinds: str) -> None:
    """Execute the statements of these kinds, in their order; the kind of an insert is ''."""
    script.execute(connection, (one for one in statements if one.kind in kinds))


def drop_derived(connection: sqlite3.Connection, statements: Iterable[Statement]) -> None:
    """Drop old objects with the names of today's, except tables.

    Triggers that write to an old search index go with it, whatever their names.
    """
    for statement in statements:
        if statement.kind == "virtual table":
            for trigger in triggers_naming(connection, statement.name):
                connection.execute(f"drop trigger {quoted(trigger)}")
            connection.execute(f"drop table if exists {statement.name}")
        elif statement.kind in ("index", "view", "trigger"):
            connection.execute(f"drop {statement.kind} if exists {statement.name}")


def triggers_naming(connection: sqlite3.Connection, table: str) -> list[str]:
    rows = connection.execute(
        """
        select name
        from sqlite_master
        where type = 'trigger'
          and sql like '%' || :table || '%'
        """,
        {"table": table},
    )
    return [name for (name,) in rows]


def objects_on(connection: sqlite3.Connection, table: str) -> list[str]:
    """The statements that created the indexes and triggers of a table."""
    rows = connection.execute(
        """
        select sql
        from sqlite_master
        where tbl_name = :table
          and type in ('index', 'trigger')
          and sql is not null
        """,
        {"table": table},
    )
    return [sql for (sql,) in rows]


def replace_table(connection: sqlite3.Connection, table: Statement) -> None:
    """Create the table; if it exists already, with the rows and the unknown columns it has."""
    if not exists(connection, table.name):
        connection.execute(table.sql)
        return
    old = move_aside(connection, table.name)
    connection.execute(table.sql)
    copy_rows(connection, old, table.name)
    connection.execute(f"drop table {old}")


def exists(connection: sqlite3.Connection, table: str) -> bool:
    found = connection.execute(
        "select 1 from sqlite_master where type = 'table' and name = ?", (table,)
    )
    return found.fetchone() is not None


def move_aside(connection: sqlite3.Connection, table: str) -> str:
    """Rename the old table; its new name."""
    name = f"dailies_old_{table}"
    connection.execute(f"alter table {table} rename to {name}")
    return name


def copy_rows(connection: sqlite3.Connection, source: str, target: str) -> None:
    """Copy all rows with their rowids; columns that `target` lacks are added to it.

    The last number that an AUTOINCREMENT gave is kept too, so that none is given again.
    """
    add_unknown_columns(connection, source, target)
    columns = ", ".join(map(quoted, stored_columns(connection, source)))
    connection.execute(
        f"""
        insert into {target} (rowid, {columns})
        select rowid, {columns}
        from {source}
        order by rowid
        """  # noqa: S608
    )
    if count_rows(connection, target) != count_rows(connection, source):
        raise sqlite3.IntegrityError(f"{target}: not every row could be copied")
    if exists(connection, "sqlite_sequence"):
        keep_last_number(connection, source, target)


def stored_columns(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    """The declared type of each column, generated ones too."""
    rows = connection.execute(
        "select name, type from pragma_table_xinfo(?) where hidden <> 1", (table,)
    )
    return dict(rows.fetchall())


def add_unknown_columns(connection: sqlite3.Connection, source: str, target: str) -> None:
    known = {name.lower() for name in stored_columns(connection, target)}
    rows = connection.execute(
        "select name, type, dflt_value from pragma_table_xinfo(?)", (source,)
    ).fetchall()
    for name, kind, default in rows:
        if name.lower() not in known:
            # `alter table` takes a constant default only.
            clause = f" default {default}" if default and default[0] in "'-0123456789" else ""
            connection.execute(f"alter table {target} add column {quoted(name)} {kind}{clause}")


def keep_last_number(connection: sqlite3.Connection, source: str, target: str) -> None:
    last = connection.execute(
        "select seq from sqlite_sequence where name = ?", (source,)
    ).fetchone()
    if last:
        connection.execute("delete from sqlite_sequence where name = ?", (target,))
        connection.execute("insert into sqlite_sequence values (?, ?)", (target, last[0]))


def fill_search(connection: sqlite3.Connection, table: str) -> None:
    """Fill the empty stand-alone search index `TABLE_fts` from the table."""
    columns = ", ".join(stored_columns(connection, f"{table}_fts"))
    connection.execute(
        f"insert into {table}_fts (rowid, {columns}) select rowid, {columns} from {table}"  # noqa: S608
    )


def set_rows_aside(
    connection: sqlite3.Connection, table: str, key: tuple[str, ...], condition: str, reason: str
) -> None:
    """Move the rows for which `condition` is true to `set_aside`, each as a JSON object.

    What JSON cannot hold has the form that `yaml_scalars` documents.
    """
    columns = list(stored_columns(connection, table))
    names = ", ".join(map(quoted, columns))
    cursor = connection.cursor()
    before, connection.text_factory = connection.text_factory, text_or_bytes
    try:
        rows = cursor.execute(f"select {names} from {table} where {condition}").fetchall()  # noqa: S608
    finally:
        connection.text_factory = before
    for values in rows:
        row = dict(zip(columns, values, strict=True))
        aside = {
            "table_name": table,
            "row_key": ",".join(str(row[column]) for column in key),
            "reason": reason,
            "content": json.dumps(encode(row), ensure_ascii=False),
        }
        connection.execute(SET_ASIDE, aside)
    connection.execute(f"delete from {table} where {condition}")  # noqa: S608


def text_or_bytes(content: bytes) -> str | bytes:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content
