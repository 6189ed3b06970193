"""Gives each database the queries of `canned_queries/<database>.yml`."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from datasette import hookimpl
from datasette.app import Datasette
from datasette.utils import StartupError, named_parameters

from dailies.canned_queries import CannedQuery, needed_by, read_queries
from dailies.datasette_compat import StoredQuery, replace_queries
from dailies.storage.restricted import ServedConnection

FOLDER = Path(__file__).parent.parent / "canned_queries"
SOURCE = "canned_queries"


@hookimpl(trylast=True)
def startup(datasette: Datasette) -> Any:
    async def load() -> None:
        queries = [
            query
            for query in queries_of(FOLDER)
            if all(name in datasette.databases for name in needed_by(query.database))
        ]
        for database in {query.database for query in queries}:
            await check(datasette, database, [one for one in queries if one.database == database])
        # With a persistent internal database, queries that are in no file any more go.
        await replace_queries(datasette, SOURCE, [stored(query) for query in queries])

    return load


def queries_of(folder: Path) -> list[CannedQuery]:
    try:
        return list(read_queries(folder))
    except ValueError as error:
        raise StartupError(str(error)) from error


async def check(datasette: Datasette, database: str, queries: list[CannedQuery]) -> None:
    """StartupError naming the query that SQLite cannot compile."""
    served = datasette.databases[database]
    served.canned.update(query.sql for query in queries)

    def compile_all(connection: ServedConnection) -> None:
        for query in queries:
            try:
                connection.tables_read(query.sql, dict.fromkeys(named_parameters(query.sql), ""))
            except sqlite3.Error as error:
                raise StartupError(f'{query.file}: query "{query.name}": {error}') from error

    await served.execute_fn(compile_all)


def stored(query: CannedQuery) -> StoredQuery:
    return StoredQuery(
        query.database, query.name, query.sql, query.title, query.description, query.parameters
    )
