"""A view or a canned query is closed to whom a table beneath it is closed.

Datasette itself takes each of them for a grant of its own. Nothing is asked while every table that
they read is open to everybody.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from datasette import hookimpl
from datasette.app import Datasette
from datasette.permissions import PermissionSQL
from datasette.resources import TableResource
from datasette.utils import named_parameters

from dailies.canned_queries import read_queries
from dailies.storage.restricted import ServedConnection, quoted, reference
from loaders.registry import DATABASES

FOLDER = Path(__file__).parent.parent / "canned_queries"
KIND_OF = {"view-table": "view", "view-query": "query"}

Table = tuple[str, str]


class Derived(NamedTuple):
    """A view or query of a database, and the served tables that it is made from."""

    kind: str
    database: str
    name: str
    sources: frozenset[Table]


derived: WeakKeyDictionary[Datasette, list[Derived]] = WeakKeyDictionary()
asking_for_sources: ContextVar[bool] = ContextVar("asking_for_sources", default=False)


@hookimpl(trylast=True)
def startup(datasette: Datasette) -> Any:
    async def find() -> None:
        found = [
            item
            for database in datasette.databases
            for item in await derived_in(datasette, database)
        ]
        closed = {
            source
            for source in {source for item in found for source in item.sources}
            if not await datasette.allowed(action="view-table", resource=TableResource(*source))
        }
        derived[datasette] = [item for item in found if item.sources & closed]

    return find


async def derived_in(datasette: Datasette, database: str) -> list[Derived]:
    """Every view and query of a database, with the served tables that it reads."""

    def find(connection: ServedConnection) -> list[Derived]:
        return [
            Derived(kind, database, name, sources_of(connection, database, sql))
            for kind, name, sql in statements(database)
        ]

    found: list[Derived] = await datasette.databases[database].execute_fn(find)
    return found


def statements(database: str) -> Iterator[tuple[str, str, str]]:
    """Kind, name and SQL of each query and view of a database."""
    for query in read_queries(FOLDER):
        if query.database == database:
            yield "query", query.name, query.sql
    if database in DATABASES:
        for view in sorted(reference(database).views):
            yield "view", view, f"select * from {quoted(view)}"  # noqa: S608


def sources_of(connection: ServedConnection, database: str, sql: str) -> frozenset[Table]:
    """The served tables that `sql` reads; our helper tables are made from the main one."""
    empty = dict.fromkeys(named_parameters(sql), "")
    try:
        read = connection.tables_read(sql, empty)
    except sqlite3.Error:
        return frozenset()  # plugins/canned_queries.py names what is wrong
    tables = {(database if schema == "main" else schema, name) for schema, name in read}
    sources = {source_of(*table) for table in tables if table[0] in DATABASES}
    return frozenset(source for source in sources if source)


def source_of(database: str, table: str) -> Table | None:
    served = reference(database)
    if table in served.columns and table not in served.views:
        return database, table
    if table in served.helpers:
        return database, DATABASES[database].main_table
    return None


@hookimpl
async def permission_resources_sql(
    datasette: Datasette, actor: dict[str, Any] | None, action: str
) -> PermissionSQL | None:
    items = [item for item in derived.get(datasette, []) if item.kind == KIND_OF.get(action)]
    if not items or asking_for_sources.get():
        return None
    closed = await closed_to(datasette, actor, {table for item in items for table in item.sources})
    names = [(item.database, item.name) for item in items if item.sources & closed]
    return PermissionSQL(
        sql="""
            select
              value ->> 0 as parent,
              value ->> 1 as child,
              0 as allow,
              'a table beneath it is closed' as reason
            from json_each(:closed_beneath)
            """,
        params={"closed_beneath": json.dumps(names)},
    )


async def closed_to(
    datasette: Datasette, actor: dict[str, Any] | None, tables: set[Table]
) -> set[Table]:
    token = asking_for_sources.set(True)
    try:
        return {
            table
            for table in tables
            if not await datasette.allowed(
                action="view-table", resource=TableResource(*table), actor=actor
            )
        }
    finally:
        asking_for_sources.reset(token)
