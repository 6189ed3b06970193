"""Files that `dailies serve FILE` serves beside the databases of Dailies: only to read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from datasette.app import Datasette

from dailies.datasette_compat import keep_open
from dailies.storage.bounds import BoundedConnection
from dailies.storage.databases import WatchedDatabase
from dailies.storage.restricted import set_serving_pragmas
from loaders import checks
from loaders.connections import BUSY_TIMEOUT_MS
from loaders.database_file import open_read_only, open_read_only_as
from loaders.errors import describe_error


def kind_of(path: Path) -> str:
    """The name of the database of Dailies that a file holds; empty for any other file."""
    with closing(open_read_only(path)) as connection:
        return checks.identify(connection) or ""


class ExtraDatabase(WatchedDatabase):
    """A file of the user's own, which other programs may change meanwhile."""

    def __init__(self, datasette: Datasette, path: Path) -> None:
        super().__init__(datasette, path, is_mutable=False)

    def reason_unavailable(self) -> str | None:
        try:
            return "is a database of Dailies" if kind_of(Path(self.path)) else None
        except sqlite3.Error as error:
            return describe_error(error)

    def reopened(self) -> ExtraDatabase:
        return ExtraDatabase(self.ds, Path(self.path))

    def connect(self, write: bool = False) -> sqlite3.Connection:
        if write:
            raise sqlite3.OperationalError(f"{self.name} is served read-only")
        connection = open_read_only_as(BoundedConnection, self.file, BUSY_TIMEOUT_MS / 1000)
        set_serving_pragmas(connection)
        connection.execute("pragma query_only = on")
        return keep_open(self, connection)

    async def table_counts(self, limit: int = 10) -> Any:
        counts = await super().table_counts(limit)
        self._cached_table_counts = None
        return counts
