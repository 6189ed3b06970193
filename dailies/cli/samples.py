"""The sample rows that `dailies build --sample` adds to a database that never had any."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from loaders import tables
from loaders.campaigns import files
from loaders.connections import acting_as, has_rows
from loaders.import_options import ImportOptions
from loaders.registry import database_spec

SAMPLES = Path(__file__).parent.parent.parent / "samples"


def add(name: str, connection: sqlite3.Connection) -> int:
    """Add the sample rows unless the database has or had rows; the number of rows added."""
    if had_rows(name, connection):
        return 0
    if name == "campaigns":
        options = ImportOptions(actor="sample")
        return files.import_jobs(connection, [SAMPLES / "campaigns.yaml"], options).imported
    return add_tables(name, connection)


def had_rows(name: str, connection: sqlite3.Connection) -> bool:
    """True if a served table has rows, or numbered rows that were deleted since."""
    served = database_spec(name).tables
    if any(has_rows(connection, table) for table in served):
        return True
    if not connection.execute("select 1 from pragma_table_list('sqlite_sequence')").fetchone():
        return False
    numbered = {table for (table,) in connection.execute("select name from sqlite_sequence")}
    return not numbered.isdisjoint(served)


def add_tables(name: str, connection: sqlite3.Connection) -> int:
    """Add the rows of `samples/NAME.json`, which maps tables to rows."""
    document = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    with acting_as(connection, "sample"):
        for table, rows in document.items():
            target = tables.Table(connection, table)
            for row in rows:
                target.insert({column: tables.to_sql(value) for column, value in row.items()})
    return sum(map(len, document.values()))
