"""What is closed with a table: views and queries that read it, tables about its rows, and SQL.

Datasette itself takes each of them for a grant of its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from datasette.app import Datasette
from datasette.resources import TableResource
from datasette.utils import named_parameters

from dailies.auth.permissions import cached
from dailies.canned_queries import CannedQuery
from dailies.storage.restricted import reference, tables_read
from loaders.connections import quoted
from loaders.registry import DATABASES

KINDS = {"view-table": "table", "view-query": "query"}
SET_ASIDE = "set_aside"
MEMORY = "_memory"

Table = tuple[str, str]  # its database and name


class Derived(NamedTuple):
    """A table, view or query of a database, and the served tables that it tells about."""

    kind: str
    database: str
    name: str
    sources: frozenset[Table]


# Those of which a source is not open to everybody: nothing else needs to be asked about.
closable: WeakKeyDictionary[Datasette, list[Derived]] = WeakKeyDictionary()
not_public: WeakKeyDictionary[Datasette, frozenset[Table]] = WeakKeyDictionary()
checking_sources: ContextVar[bool] = ContextVar("checking_sources", default=False)


async def find_closable(datasette: Datasette, queries: Iterable[CannedQuery]) -> None:
    """Remember what may be closed; ValueError if a query does not compile."""
    tables = {
        (name, table)
        for name in datasette.databases.keys() & DATABASES.keys()
        for table in reference(name).tables
    }
    closed = await closed_to(datasette, None, tables)
    found = await find_derived(datasette, queries)
    closable[datasette] = [one for one in found if one.sources & closed]
    not_public[datasette] = frozenset(closed)


async def find_derived(datasette: Datasette, queries: Iterable[CannedQuery]) -> list[Derived]:
    found = []
    for name, database in datasette.databases.items():
        if not hasattr(database, "authorizer"):  # a file of the user's own
            continue
        own = [query for query in queries if query.database == name]
        found += await database.execute_fn(derived_in(name, own, database.authorizer))
    return found


def derived_in(
    database: str, queries: list[CannedQuery], authorizer: Any
) -> Callable[[sqlite3.Connection], list[Derived]]:
    def find(connection: sqlite3.Connection) -> list[Derived]:
        def sources(sql: str) -> frozenset[Table]:
            empty = dict.fromkeys(named_parameters(sql), "")
            return served_sources(database, tables_read(connection, authorizer, sql, empty))

        found = []
        for query in queries:
            try:
                found.append(Derived("query", database, query.name, sources(query.sql)))
            except sqlite3.Error as error:
                raise ValueError(f'{query.file}: query "{query.name}": {error}') from error
        if database in DATABASES:
            found += tables_about(database)
            for view in sorted(reference(database).views):
                sql = f"select * from {quoted(view)}"  # noqa: S608
                found.append(Derived("table", database, view, sources(sql)))
        return found

    return find


def tables_about(database: str) -> list[Derived]:
    """The tables that hold something about the rows of others."""
    spec, served = DATABASES[database], reference(database)
    main = frozenset([(database, spec.main_table)])
    others = served.tables - served.views - {SET_ASIDE}
    return [
        *(Derived("table", database, part, main) for part in spec.parts),
        Derived("table", database, SET_ASIDE, frozenset((database, table) for table in others)),
    ]


def served_sources(database: str, read: Iterable[tuple[str | None, str]]) -> frozenset[Table]:
    """The served tables among those read; another table of ours belongs to one of them.

    With a part of a main table comes that table itself.
    """

    def sources() -> Iterator[Table]:
        for schema, table in read:
            at = database if schema in (None, "main") else schema
            for name in DATABASES if at not in DATABASES else [at]:
                served = reference(name)
                if table in served.tables - served.views:
                    yield name, table
                    if table in DATABASES[name].parts:
                        yield name, DATABASES[name].main_table
                elif table in served.columns and table not in served.views:
                    owner = table.partition("_fts")[0]
                    main = DATABASES[name].main_table
                    yield name, owner if owner in served.tables else main

    return frozenset(sources())


async def closed_names(
    datasette: Datasette, actor: dict[str, Any] | None, action: str
) -> list[Table]:
    """The views or queries, by the action, that this actor may not see for what they read."""
    items = [item for item in closable.get(datasette, []) if item.kind == KINDS.get(action)]
    if not items or checking_sources.get():
        return []

    async def ask() -> set[Table]:
        return await closed_to(
            datasette, actor, {table for item in items for table in item.sources}
        )

    closed = await cached(datasette, actor, ("closed", action), ask)
    return [(item.database, item.name) for item in items if item.sources & closed]


async def databases_without_sql(
    datasette: Datasette, actor: dict[str, Any] | None
) -> list[tuple[str, None]]:
    """The databases in which the actor may run no SQL, since a table is closed to them."""
    tables = set(not_public.get(datasette, ()))
    closed = await closed_to(datasette, actor, tables)
    found = {name for name, _ in closed}
    return [(name, None) for name in sorted(found | {MEMORY} if found else found)]


async def closed_to(
    datasette: Datasette, actor: dict[str, Any] | None, tables: set[Table]
) -> set[Table]:
    token = checking_sources.set(True)
    try:
        return {
            table
            for table in tables
            if not await datasette.allowed(
                action="view-table", resource=TableResource(*table), actor=actor
            )
        }
    finally:
        checking_sources.reset(token)
