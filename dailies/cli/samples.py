"""The sample rows that `dailies build --sample` adds to a database that never had any."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

from loaders import tables
from loaders.campaigns import files
from loaders.connections import acting_as
from loaders.import_options import ImportOptions

SAMPLES = Path(__file__).parent.parent.parent / "samples"


def add(name: str, connection: sqlite3.Connection) -> int:
    """Rows added: none where there are rows, or were."""
    return ADDERS[name](connection)


def add_campaigns(connection: sqlite3.Connection) -> int:
    if connection.execute("select 1 from job_history limit 1").fetchone():
        return 0
    source = SAMPLES / "campaigns.yaml"
    return files.import_jobs(connection, [source], ImportOptions(actor="sample")).imported


def add_tables(name: str, connection: sqlite3.Connection) -> int:
    """The rows of `samples/NAME.json`, which maps tables to rows."""
    document = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    if any(had_rows(connection, table) for table in document):
        return 0
    with acting_as(connection, "sample"):
        for table, rows in document.items():
            target = tables.Table(connection, table)
            for row in rows:
                target.insert({column: tables.to_sql(value) for column, value in row.items()})
    return sum(map(len, document.values()))


def had_rows(connection: sqlite3.Connection, table: str) -> bool:
    """Are there rows in the table, or numbers that it gave to rows since deleted?"""
    found = connection.execute(
        f"""
        select exists (select 1 from {table})
          or exists (select 1 from sqlite_sequence where name = :table)
        """,  # noqa: S608
        {"table": table},
    )
    return bool(found.fetchone()[0])


def add_presentations(connection: sqlite3.Connection) -> int:
    if connection.execute("select 1 from job_events limit 1").fetchone():
        return 0
    return add_tables("presentation_jobs", connection)


ADDERS: dict[str, Callable[[sqlite3.Connection], int]] = {
    "campaigns": add_campaigns,
    "yt-builder": partial(add_tables, "yt-builder"),
    "presentation_jobs": add_presentations,
    "trends": partial(add_tables, "trends"),
    "metrics": partial(add_tables, "metrics"),
    "image_library": partial(add_tables, "image_library"),
}
