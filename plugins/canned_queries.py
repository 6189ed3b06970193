"""Gives each database the queries of `canned_queries/<database>.yml`."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from datasette import hookimpl
from datasette.app import Datasette
from datasette.utils import StartupError, named_parameters

from dailies.canned_queries import CannedQuery, needed_by, read_queries

FOLDER = Path(__file__).parent.parent / "canned_queries"
SOURCE = "canned_queries"


@hookimpl(trylast=True)
def startup(datasette: Datasette) -> Any:
    async def load() -> None:
        await forget_queries(datasette)
        for query in queries_of(FOLDER):
            if all(name in datasette.databases for name in needed_by(query.database)):
                await add_query(datasette, query)

    return load


def queries_of(folder: Path) -> list[CannedQuery]:
    try:
        return list(read_queries(folder))
    except ValueError as error:
        raise StartupError(str(error)) from error


async def forget_queries(datasette: Datasette) -> None:
    """A persistent internal database would keep queries that their file no longer has."""
    await datasette.get_internal_database().execute_write(
        "delete from queries where source = ?", [SOURCE]
    )


async def add_query(datasette: Datasette, query: CannedQuery) -> None:
    database = datasette.databases[query.database]
    empty = dict.fromkeys(named_parameters(query.sql), "")
    database.canned.update((query.sql, f"explain {query.sql}"))
    try:
        await database.execute(f"explain {query.sql}", empty, log_sql_errors=False)
    except sqlite3.Error as error:
        raise StartupError(f'{query.file}: query "{query.name}": {error}') from error
    await datasette.add_query(
        query.database,
        query.name,
        query.sql,
        title=query.title,
        description=query.description,
        parameters=query.parameters,
        is_trusted=True,
        source=SOURCE,
    )
