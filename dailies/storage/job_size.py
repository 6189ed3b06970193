"""The size of jobs that are written through the server."""

from __future__ import annotations

import os
import sqlite3

from loaders.errors import TooLarge

SETTING = "DAILIES_MAX_JOB_BYTES"
DEFAULT = 1_000_000

# What counts: of a campaign the whole job, of the others all that a client can write at length.
COUNTED = {
    ("jobs", "data"): ("data",),
    ("jobs", "config"): ("config", "error", "current_step", "run_dir", "output_file", "worker"),
    ("presentation_jobs", "config"): ("config", "error", "created_files", "worker"),
}


def max_job_bytes() -> int:
    """The setting; ValueError if it is not a positive number."""
    text = os.environ.get(SETTING) or str(DEFAULT)
    if not text.isascii() or not text.isdecimal() or len(text) > 12 or int(text) == 0:
        raise ValueError(f"{SETTING}: {text!r} is not a number of bytes")
    return int(text)


def limit_jobs(connection: sqlite3.Connection) -> None:
    """Refuse, on this connection, jobs that are larger and were not so before."""
    columns = set(
        connection.execute("""
            select tables.name, columns.name
            from pragma_table_list as tables, pragma_table_info(tables.name) as columns
            where tables.schema = 'main'
            """)
    )
    most = max_job_bytes()
    for (table, column), counted in COUNTED.items():
        if (table, column) in columns:
            for event in ("insert", "update"):
                connection.execute(trigger(table, column, counted, event, most))


def trigger(table: str, column: str, counted: tuple[str, ...], event: str, most: int) -> str:
    """SQL: a trigger of this connection alone."""
    new, old = (
        " + ".join(f"ifnull(length(cast({row}.{name} as blob)), 0)" for name in counted)
        for row in ("new", "old")
    )
    grown = f" and {new} > {old}" if event == "update" else ""
    return f"""
        create temp trigger {table}_size_{event}
        after {event} on main.{table}
        when {new} > {most}{grown}
        begin
          select raise(abort, '{table}.{column}{TooLarge.WORDS}{most:,} bytes');
        end
        """
