"""Takes over tables of earlier systems whose definition differs from today's by little."""

from __future__ import annotations

import json
import re
import sqlite3

from loaders.connections import count_rows
from loaders.formats.json_form import encode
from loaders.migrations.bookkeeping import SET_ASIDE
from loaders.times import NOW_SQL

OLD_DEFAULT = re.compile(
    r"\bdefault\s+(?:\(\s*current_timestamp\s*\)|current_timestamp\b)", re.IGNORECASE
)


def renew(connection: sqlite3.Connection, table: str) -> None:
    """Rebuild `table` with defaults that write times in today's form.

    Everything else of its definition stays, and so do its rows with their numbers, the last number
    that it gave, and indexes and triggers, be they ours or not. No rule is applied to old rows.
    """
    found = connection.execute(
        "select sql from sqlite_master where type = 'table' and name = ?", (table,)
    ).fetchone()
    if found is None or not OLD_DEFAULT.search(found[0]):
        return
    kept = connection.execute(
        """
        select sql
        from sqlite_master
        where tbl_name = ?
          and type in ('index', 'trigger')
          and sql is not null
        """,
        (table,),
    ).fetchall()
    connection.execute(f"alter table {table} rename to {table}_old")
    connection.execute(OLD_DEFAULT.sub(f"DEFAULT ({NOW_SQL})", found[0]))
    copy_rows(connection, f"{table}_old", table)
    connection.execute(f"drop table {table}_old")
    for (sql,) in kept:
        connection.execute(sql)


def copy_rows(connection: sqlite3.Connection, source: str, target: str) -> None:
    columns = ", ".join(f'"{name}"' for name in stored_columns(connection, source))
    connection.execute("pragma ignore_check_constraints = on")
    connection.execute(
        f"insert into {target} ({columns}) select {columns} from {source} order by rowid"  # noqa: S608
    )
    connection.execute("pragma ignore_check_constraints = off")
    if count_rows(connection, target) != count_rows(connection, source):
        raise sqlite3.IntegrityError(f"{target}: not every row could be copied")
    keep_last_number(connection, source, target)


def keep_last_number(connection: sqlite3.Connection, source: str, target: str) -> None:
    """A number once given is not given again, although its row may be gone."""
    if not connection.execute(
        "select 1 from sqlite_master where name = 'sqlite_sequence'"
    ).fetchone():
        return
    last = connection.execute(
        "select seq from sqlite_sequence where name = ?", (source,)
    ).fetchone()
    if last:
        connection.execute("delete from sqlite_sequence where name = ?", (target,))
        connection.execute(
            "insert into sqlite_sequence (name, seq) values (?, ?)", (target, last[0])
        )


def stored_columns(connection: sqlite3.Connection, table: str) -> list[str]:
    """Its columns without generated ones, which cannot be written."""
    rows = connection.execute("select name from pragma_table_xinfo(?) where hidden = 0", (table,))
    return [name for (name,) in rows]


def drop_search(connection: sqlite3.Connection, table: str) -> None:
    """Take away a full-text index called `TABLE_fts`, with the triggers that write to it."""
    triggers = connection.execute(
        """
        select name
        from sqlite_master
        where type = 'trigger'
          and sql like '%' || :index || '%'
        """,
        {"index": f"{table}_fts"},
    ).fetchall()
    for (name,) in triggers:
        quoted = name.replace('"', '""')
        connection.execute(f'drop trigger "{quoted}"')
    connection.execute(f"drop table if exists {table}_fts")


def set_rows_aside(
    connection: sqlite3.Connection, table: str, key: tuple[str, ...], condition: str, reason: str
) -> None:
    """Move the rows for which `condition` holds to `set_aside`, each as a JSON object.

    What JSON cannot hold has the form that `yaml_values` documents.
    """
    columns = stored_columns(connection, table)
    names = ", ".join(f'"{name}"' for name in columns)
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
