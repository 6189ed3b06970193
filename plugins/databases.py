"""Attaches the databases of the registry under their own names, and nothing else."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from datasette import hookimpl
from datasette.app import Datasette
from datasette.database import Database

from dailies.storage.restricted import ServedConnection, connect_across, connect_served, reference
from loaders.registry import DATABASES, database_path

MEMORY = "_memory"

log = logging.getLogger("dailies")


class ServedDatabase(Database):
    """One database file, of which only the served part can be read."""

    def __init__(self, datasette: Datasette, name: str, path: Path) -> None:
        super().__init__(datasette, path=str(path), is_mutable=True)
        self.served = reference(name)
        self.canned: set[str] = set()

    def connect(self, write: bool = False) -> ServedConnection:
        connection = connect_served(Path(self.path), self.served, write)
        connection.canned = self.canned
        self._all_connections.append(connection)
        return connection


class AcrossDatabase(Database):
    """`_memory`: the served parts of all files side by side, for queries across them."""

    def __init__(self, datasette: Datasette, files: dict[str, Path]) -> None:
        super().__init__(datasette, is_memory=True, is_mutable=False)
        self.files = files
        self.canned: set[str] = set()

    def connect(self, write: bool = False) -> ServedConnection:  # noqa: ARG002
        connection = connect_across(self.files)
        connection.canned = self.canned
        self._all_connections.append(connection)
        return connection


@hookimpl(tryfirst=True)
def startup(datasette: Datasette) -> Any:
    async def attach() -> None:
        files = {name: database_path(name) for name in DATABASES}
        files = {name: path for name, path in files.items() if path.is_file()}
        detach_others(datasette, files)
        for name, path in files.items():
            datasette.add_database(ServedDatabase(datasette, name, path), name=name)
        # Datasette's own way of attaching knows no authorizer.
        datasette.crossdb = False
        datasette.add_database(AcrossDatabase(datasette, files), name=MEMORY)
        await datasette.refresh_schemas(force=True)

    return attach


def detach_others(datasette: Datasette, files: dict[str, Path]) -> None:
    """Close what the command line attached: a file of ours comes back under its own name."""
    for name, database in list(datasette.databases.items()):
        path = database.path and Path(database.path)
        if path and not any(path.samefile(file) for file in files.values()):
            log.warning("%s is none of the databases of Dailies: it is not served", path)
        datasette.remove_database(name)
