"""Attaches the databases of the registry under their own names, with their canned queries."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from datasette import hookimpl
from datasette.app import Datasette
from datasette.utils import StartupError

from dailies.auth.derived import find_closable
from dailies.canned_queries import FOLDER, needed_by, read_queries
from dailies.datasette_compat import (
    StoredQuery,
    catalog_listed_tables,
    replace_queries,
    select_listed_columns_of_rows,
)
from dailies.storage.databases import AcrossDatabase, ServedDatabase
from loaders.registry import DATABASES, database_path

MEMORY = "_memory"
SOURCE = "canned_queries"

log = logging.getLogger("dailies")

catalog_listed_tables()
select_listed_columns_of_rows()


@hookimpl(tryfirst=True, specname="startup")
def attach_databases(datasette: Datasette) -> Any:
    async def attach() -> None:
        files = {name: database_path(name) for name in DATABASES}
        files = {name: path for name, path in files.items() if path.is_file()}
        detach_others(datasette, files)
        served = {name: ServedDatabase(datasette, name, path) for name, path in files.items()}
        for name, database in served.items():
            datasette.add_database(database, name=name)
        # Datasette's own way of attaching knows no authorizer.
        datasette.crossdb = False
        datasette.add_database(AcrossDatabase(datasette, served), name=MEMORY)
        await datasette.refresh_schemas(force=True)

    return attach


def detach_others(datasette: Datasette, files: dict[str, Path]) -> None:
    """Detach the files of the command line: ours are attached again under their names."""
    for name, database in list(datasette.databases.items()):
        path = database.path and Path(database.path)
        if path and not any(path.samefile(file) for file in files.values()):
            log.warning("%s is none of the databases of Dailies: it is not served", path)
        datasette.remove_database(name)


@hookimpl(trylast=True, specname="startup")
def load_queries(datasette: Datasette) -> Any:
    """Store the queries whose databases are there, in place of those of earlier starts."""

    async def load() -> None:
        try:
            queries = [
                query
                for query in read_queries(FOLDER)
                if datasette.databases.keys() >= set(needed_by(query.database))
            ]
            await find_closable(datasette, queries)
        except ValueError as error:
            raise StartupError(str(error)) from error
        stored = [
            StoredQuery(one.database, one.name, one.sql, one.title, one.description, one.parameters)
            for one in queries
        ]
        await replace_queries(datasette, SOURCE, stored)

    return load
