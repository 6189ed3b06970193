"""What Dailies uses of Datasette 1.0a41 beyond its documented interface, behind plain functions.

Nothing else imports or patches Datasette's internals (tests/project/test_datasette_use.py).
tests/dailies/test_datasette_compat.py fails when an upgrade of Datasette changes one of these.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from datasette.app import Datasette

INSERT_QUERY = """
insert or replace into queries
  (database_name, name, sql, title, description, parameters, is_trusted, source)
values
  (:database, :name, :sql, :title, :description, :parameters, 1, :source)
"""
INSERT_METADATA = (
    "insert or replace into metadata_instance values (?, ?)",
    "insert or replace into metadata_databases values (?, ?, ?)",
    "insert or replace into metadata_resources values (?, ?, ?, ?)",
    "insert or replace into metadata_columns values (?, ?, ?, ?, ?)",
)


class StoredQuery(NamedTuple):
    """One trusted query; `parameters` in the order of its form's fields."""

    database: str
    name: str
    sql: str
    title: str
    description: str
    parameters: tuple[str, ...]


async def replace_queries(datasette: Datasette, source: str, queries: list[StoredQuery]) -> None:
    """Store trusted queries in one write, in place of all that `source` stored before.

    `Datasette.add_query` takes one write for each, and there are many at every start.
    """
    rows = [
        query._asdict() | {"source": source, "parameters": json.dumps(query.parameters)}
        for query in queries
    ]

    def write(connection: sqlite3.Connection) -> None:
        connection.execute("delete from queries where source = ?", [source])
        connection.executemany(INSERT_QUERY, rows)

    await datasette.get_internal_database().execute_write_fn(write)


async def store_metadata(datasette: Datasette, rows: Iterable[tuple[str, ...]]) -> None:
    """Store metadata in one write, for which `Datasette.set_column_metadata` takes hundreds.

    A row is (key, value), after the names of the database, table and column that it describes.
    """
    by_length: dict[int, list[tuple[str, ...]]] = {}
    for row in rows:
        by_length.setdefault(len(row), []).append(row)

    def write(connection: sqlite3.Connection) -> None:
        for length, described in by_length.items():
            connection.executemany(INSERT_METADATA[length - 2], described)

    await datasette.get_internal_database().execute_write_fn(write)
