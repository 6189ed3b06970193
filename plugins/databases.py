"""Attaches the databases of the registry under their own names, with their canned queries."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from datasette import hookimpl
from datasette.app import Datasette
from datasette.utils import StartupError

from dailies.auth.derived import find_closable
from dailies.canned_queries import all_queries, needed_by
from dailies.datasette_compat import (
    StoredQuery,
    catalog_listed_tables,
    replace_queries,
    select_listed_columns_of_rows,
)
from dailies.storage.availability import find_unavailable, message
from dailies.storage.databases import MEMORY, AcrossDatabase, ServedDatabase
from dailies.storage.extra import ExtraDatabase, kind_of
from loaders.registry import DATABASES, database_path

SOURCE = "canned_queries"

log = logging.getLogger("dailies")

catalog_listed_tables()
select_listed_columns_of_rows()


@hookimpl(tryfirst=True, specname="startup")
def attach_databases(datasette: Datasette) -> Any:
    async def attach() -> None:
        broken = find_unavailable(datasette)
        for name, reason in broken.items():
            log.warning("%s: run `dailies check %s`", message(name, reason), name)
        files = {name: database_path(name) for name in DATABASES if name not in broken}
        files = {name: path for name, path in files.items() if path.exists()}
        extra = detach_all(datasette)
        served = {name: ServedDatabase(datasette, name, path) for name, path in files.items()}
        for name, database in served.items():
            datasette.add_database(database, name=name)
        for path in extra:
            if not is_ours(path):
                datasette.add_database(ExtraDatabase(datasette, path))
        # Datasette's own way of attaching knows no authorizer.
        datasette.crossdb = False
        datasette.add_database(AcrossDatabase(datasette, served), name=MEMORY)
        await datasette.refresh_schemas(force=True)

    return attach


def detach_all(datasette: Datasette) -> list[Path]:
    """Detach what Datasette attached itself: the files of the command line, which are returned."""
    paths = [Path(database.path) for database in datasette.databases.values() if database.path]
    for name in list(datasette.databases):
        datasette.remove_database(name)
    return paths


def is_ours(path: Path) -> bool:
    """True for a database of Dailies, of which not everything is served."""
    found = kind_of(path)
    files = (database_path(name) for name in DATABASES)
    if found and not any(path.samefile(file) for file in files if file.exists()):
        log.warning("%s is a %s database of Dailies: it is not served", path, found)
    return bool(found)


@hookimpl(trylast=True, specname="startup")
def load_queries(datasette: Datasette) -> Any:
    """Store the queries whose databases are there, in place of those of earlier starts."""

    async def load() -> None:
        try:
            queries = [
                query
                for query in all_queries()
                if datasette.databases.keys() >= set(needed_by(query))
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
