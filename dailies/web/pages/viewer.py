"""The way from a page to its rows: only what whoever looks at it may see."""

from __future__ import annotations

from typing import Any, NamedTuple

from datasette.app import Datasette
from datasette.database import QueryInterrupted

from dailies.auth.permissions import Actor, all_allowed

Row = dict[str, Any]

# A page that differs from viewer to viewer is no page for caches in between.
PRIVATE = {"Cache-Control": "private, no-cache"}


class Question(NamedTuple):
    """SQL over one database, and every table and view that it reads."""

    database: str
    tables: tuple[str, ...]
    sql: str


class Viewer:
    """Somebody who looks at a page; `milliseconds` bound each question, if not Datasette's own."""

    def __init__(self, datasette: Datasette, actor: Actor, milliseconds: int | None = None) -> None:
        self.datasette = datasette
        self.actor = actor
        self.milliseconds = milliseconds

    async def may_see(self, database: str, *tables: str) -> bool:
        """Whether the database is here and all these tables and views are open to this viewer."""
        found = await all_allowed(self.datasette, self.actor, "view-table")
        return database in self.datasette.databases and all(
            (database, table) in found for table in tables
        )

    async def may_ask(self, database: str, query: str) -> bool:
        """Whether the page of this canned query is open to this viewer."""
        found = await all_allowed(self.datasette, self.actor, "view-query")
        return (database, query) in found

    async def rows(self, question: Question, **values: Any) -> list[Row] | None:
        """The answer; None where the viewer may not have it, or it takes too long."""
        if not await self.may_see(question.database, *question.tables):
            return None
        try:
            results = await self.datasette.databases[question.database].execute(
                question.sql, values, custom_time_limit=self.milliseconds
            )
        except QueryInterrupted:
            return None
        return [dict(row) for row in results.rows]

    async def row(self, question: Question, **values: Any) -> Row | None:
        """The first row of the answer, if there is one."""
        return next(iter(await self.rows(question, **values) or []), None)
