"""Takes over a `metrics` file of seed 003's system: every row keeps its number and its values."""

from __future__ import annotations

import sqlite3

from loaders.legacy.tables import copy_rows, stored_columns
from loaders.migrations.metrics import INDEXES, TABLES, instant_of
from loaders.times import configured_timezone, to_instant

# `current_timestamp`, with a blank and without a fraction, is UTC by definition, and a day is no
# time; any other time without a zone was written on the wall clock of its system.
WALL_CLOCK = """
(timestamp glob '[0-9]*-[0-9][0-9]T*' or timestamp glob '[0-9]*-[0-9][0-9] *.*')
and timestamp not glob '*[Zz]'
and substr(timestamp, 11) not glob '*[-+]*'
"""

MEASURE = f"""
update video_metrics
set measured_at = case
  when {WALL_CLOCK} then {instant_of("to_instant(timestamp)")}
  else {instant_of("timestamp")} end
"""  # noqa: S608


def take_over(connection: sqlite3.Connection, table: str) -> None:
    """Replace the old `table` by today's, with its rows and whatever columns it had beyond ours."""
    kept = kept_objects(connection, table)
    columns = dict(
        connection.execute("select name, type from pragma_table_info(?)", (table,)).fetchall()
    )
    connection.execute(f"alter table {table} rename to {table}_old")
    connection.execute(TABLES[table].format(name=table))
    ours = stored_columns(connection, table)
    for column in (name for name in columns if name not in ours):
        quoted = column.replace('"', '""')
        connection.execute(f'alter table {table} add column "{quoted}" {columns[column]}')
    copy_rows(connection, f"{table}_old", table)
    connection.execute(f"drop table {table}_old")
    for statement in kept:
        connection.execute(statement)


def kept_objects(connection: sqlite3.Connection, table: str) -> list[str]:
    """The statements that made indexes and triggers of others on the table."""
    rows = connection.execute(
        """
        select name, sql
        from sqlite_master
        where tbl_name = ?
          and type in ('index', 'trigger')
          and sql is not null
        """,
        (table,),
    )
    return [sql for name, sql in rows if name not in INDEXES]


def measure(connection: sqlite3.Connection) -> None:
    """Find the instants of old timestamps; one without a zone is of the configured one."""
    zone = configured_timezone()
    connection.create_function(
        "to_instant", 1, lambda text: to_instant(text, zone), deterministic=True
    )
    connection.execute(MEASURE)
