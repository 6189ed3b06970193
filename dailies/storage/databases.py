"""The databases as Datasette sees them: each file's served part, and all of them side by side."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from datasette.app import Datasette
from datasette.database import Database

from dailies.datasette_compat import keep_open, sqlite_timelimit
from dailies.storage.group_commit import GroupCommit
from dailies.storage.restricted import (
    ReadAuthorizer,
    Served,
    connect_across,
    connect_served,
    fold,
    reference,
    with_listed,
    write_authorizer,
)
from loaders.errors import NotFound
from loaders.search import SEARCHES

Result = TypeVar("Result")

groups: WeakKeyDictionary[Database, GroupCommit] = WeakKeyDictionary()


class InDatabase(Protocol):
    @property
    def database(self) -> str: ...


class ServedDatabase(Database):
    """One database file. What is not served is absent from every list of tables and columns."""

    def __init__(self, datasette: Datasette, name: str, path: Path) -> None:
        super().__init__(datasette, path=str(path), is_mutable=True)
        settings = ((datasette.config or {}).get("databases") or {}).get(name) or {}
        self.served = with_listed(reference(name), settings.get("tables") or {}, path)
        self.authorizer = ReadAuthorizer({"main": self.served}, [path])

    def connect(self, write: bool = False) -> sqlite3.Connection:
        authorizer = write_authorizer(self.served) if write else self.authorizer
        return keep_open(self, connect_served(Path(self.path), authorizer, write=write))

    async def table_exists(self, table: str) -> bool:
        return self.served.has(table) and await super().table_exists(table)

    async def view_exists(self, table: str) -> bool:
        return self.served.has(table) and await super().view_exists(table)

    async def table_names(self) -> list[str]:
        return [table for table in await super().table_names() if self.served.has(table)]

    async def view_names(self) -> list[str]:
        return [view for view in await super().view_names() if self.served.has(view)]

    async def table_columns(self, table: str) -> list[str]:
        return [column.name for column in await self.table_column_details(table)]

    async def table_column_details(self, table: str) -> list[Any]:
        columns = await super().table_column_details(table)
        return [column for column in columns if self.served.readable(table, column.name)]

    async def fts_table(self, table: str) -> str | None:
        if (self.name, table) in SEARCHES:
            return None  # plugins/search.py searches it
        found: str | None = await super().fts_table(table)
        return found if found and fold(found) in self.served.columns else None

    async def label_column_for_table(self, table: str) -> str | None:
        if not self.served.has(table):
            return None
        label: str | None = await super().label_column_for_table(table)
        return label if label and self.served.readable(table, label) else None

    async def foreign_keys_for_table(self, table: str) -> list[dict[str, str]]:
        return [
            key
            for key in await super().foreign_keys_for_table(table)
            if self.served.has(table, key["column"])
            and self.served.has(key["other_table"], key["other_column"])
        ]

    async def get_all_foreign_keys(self) -> dict[str, dict[str, list[dict[str, str]]]]:
        """As Datasette's, which would ask tables that are not served for theirs."""
        found: dict[str, dict[str, list[dict[str, str]]]] = {
            table: {"incoming": [], "outgoing": []} for table in await self.table_names()
        }
        for table, keys in found.items():
            for key in await self.foreign_keys_for_table(table):
                column, other, other_column = (
                    key["column"],
                    key["other_table"],
                    key["other_column"],
                )
                keys["outgoing"].append(
                    {"other_table": other, "column": column, "other_column": other_column}
                )
                if other in found:
                    found[other]["incoming"].append(
                        {"other_table": table, "column": other_column, "other_column": column}
                    )
        return found

    async def get_table_definition(self, table: str, type_: str = "table") -> str | None:
        if table in await self.tables_with_hidden_columns():
            return None
        definition: str | None = await super().get_table_definition(table, type_)
        return definition

    async def tables_with_hidden_columns(self) -> set[str]:
        """The served tables whose definition names columns that are not."""
        return {
            table
            for table in await self.table_names()
            if len(await Database.table_columns(self, table)) > len(await self.table_columns(table))
        }


class AcrossDatabase(Database):
    """`_memory`: the served parts of all files side by side, for queries across them."""

    def __init__(self, datasette: Datasette, databases: dict[str, ServedDatabase]) -> None:
        super().__init__(datasette, is_memory=True, is_mutable=False)
        self._files = {name: Path(database.path) for name, database in databases.items()}
        schemas: dict[str, Served] = {name: one.served for name, one in databases.items()}
        self.authorizer = ReadAuthorizer(schemas, self._files.values())

    def connect(self, write: bool = False) -> sqlite3.Connection:  # noqa: ARG002
        return keep_open(self, connect_across(self._files, self.authorizer))


async def read_from(
    datasette: Datasette, resource: InDatabase, read: Callable[[sqlite3.Connection], Result]
) -> Result:
    """Call `read` with a reading connection, within Datasette's time limit for queries."""

    def limited(connection: sqlite3.Connection) -> Result:
        with sqlite_timelimit(connection, datasette.sql_time_limit_ms):
            return read(connection)

    result: Result = await database_of(datasette, resource.database).execute_fn(limited)
    return result


async def write_to(
    datasette: Datasette, resource: InDatabase, write: Callable[[sqlite3.Connection], Result]
) -> Result:
    """Call `write` with the writing connection; return its result once it is on the disk."""
    return await write_to_database(datasette, resource.database, write)


async def write_to_database(
    datasette: Datasette, name: str, write: Callable[[sqlite3.Connection], Result]
) -> Result:
    database = database_of(datasette, name)
    group = groups.setdefault(database, GroupCommit(database))
    result: Result = await group.write(write)
    return result


def database_of(datasette: Datasette, name: str) -> Database:
    database = datasette.databases.get(name)
    if database is None:
        raise NotFound(f"The database {name} is not here")
    return database
