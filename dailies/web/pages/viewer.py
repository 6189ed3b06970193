"""Run the queries of a page with the permissions of its actor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from datasette.app import Datasette
from datasette.database import QueryInterrupted, Results
from datasette.utils import named_parameters

from dailies.auth.permissions import Actor, all_allowed

Row = dict[str, Any]


class PageQuery(NamedTuple):
    """SQL over one database, and every table and view that it reads."""

    database: str
    tables: tuple[str, ...]
    sql: str


class Viewer:
    """An actor who requests a page; `time_limit_ms` overrides Datasette's limit for each query."""

    def __init__(
        self, datasette: Datasette, actor: Actor, time_limit_ms: int | None = None
    ) -> None:
        self.datasette = datasette
        self.actor = actor
        self.time_limit_ms = time_limit_ms

    async def can_view(self, database: str, *tables: str) -> bool:
        """True if the database is attached and the actor may see all these tables and views."""
        allowed = await all_allowed(self.datasette, self.actor, "view-table")
        return database in self.datasette.databases and all(
            (database, table) in allowed for table in tables
        )

    async def can_run(self, database: str, name: str) -> bool:
        """True if the actor may see the canned query."""
        return (database, name) in await all_allowed(self.datasette, self.actor, "view-query")

    async def rows(self, query: PageQuery, **values: Any) -> list[Row] | None:
        """The rows; None if the actor may not see them, or the query takes too long."""
        if not await self.can_view(query.database, *query.tables):
            return None
        try:
            results = await self.datasette.databases[query.database].execute(
                query.sql, values, custom_time_limit=self.time_limit_ms
            )
        except QueryInterrupted:
            return None
        return [dict(row) for row in results.rows]

    async def row(self, query: PageQuery, **values: Any) -> Row | None:
        """The first row, if there is one."""
        return next(iter(await self.rows(query, **values) or []), None)

    async def canned(self, database: str, name: str, **values: str) -> Results | None:
        """The results of a canned query; None as for `rows`."""
        if not await self.can_run(database, name):
            return None
        try:
            return await run_canned(self.datasette, database, name, values, self.time_limit_ms)
        except QueryInterrupted:
            return None


async def run_canned(
    datasette: Datasette,
    database: str,
    name: str,
    values: Mapping[str, str],
    time_limit_ms: int | None = None,
) -> Results:
    """Run a canned query; parameters that `values` lacks are empty."""
    sql = (await datasette.get_query(database, name)).sql
    parameters = {parameter: values.get(parameter, "") for parameter in named_parameters(sql)}
    return await datasette.databases[database].execute(
        sql, parameters, truncate=True, custom_time_limit=time_limit_ms
    )
