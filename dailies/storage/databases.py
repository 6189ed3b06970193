"""The databases as Datasette sees them: each file's served part, and all of them side by side."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from datasette.app import Datasette
from datasette.database import Database, Results

from dailies import datasette_compat
from dailies.datasette_compat import (
    InvalidSql,
    close_now,
    in_table_page,
    keep_open,
    prepare_connection,
    sorted_page,
)
from dailies.storage.availability import reason_unavailable, require_available
from dailies.storage.bounds import TooManyBytes, time_limit
from dailies.storage.group_commit import GroupCommit
from dailies.storage.restricted import (
    ReadAuthorizer,
    Served,
    connect_across,
    connect_served,
    fold,
    joins_by_name,
    reference,
    with_listed,
    write_authorizer,
)
from dailies.storage.sorted_pages import read_page
from loaders.database_file import WatchedFile
from loaders.errors import NotFound
from loaders.search import SEARCHES

MEMORY = "_memory"

Result = TypeVar("Result")

COUNT = "select count(*) from (select * from "
COUNT_ROWS = COUNT.replace("select *", "select 1")
QUICK_SECONDS = 0.005
QUICK_STEPS = 20  # instructions of SQLite; of a large row each takes long
MAX_HTML_ROWS = 200
MAX_TOKEN = 2_000  # characters of a value in the address of the next page
JOIN_BY_NAME = (
    "USING and NATURAL are refused, since a table has columns that are not served:"
    " write JOIN ... ON ..."
)

datasette_compat.limit_queries_with(time_limit)
datasette_compat.sort_equal_rows()
datasette_compat.limit_page_tokens(MAX_TOKEN)
datasette_compat.shorten_table_pages(
    lambda error: (error.fit or None) if isinstance(error, TooManyBytes) else None, MAX_HTML_ROWS
)

groups: WeakKeyDictionary[Database, GroupCommit] = WeakKeyDictionary()
quick_readers: WeakKeyDictionary[Database, QuickReader] = WeakKeyDictionary()


class QuickReader:
    """The event loop's own connection, on which nothing takes longer than `QUICK_SECONDS`."""

    def __init__(self, datasette: Datasette, database: Database) -> None:
        self._connection: sqlite3.Connection = database.connect(waiting=False)
        prepare_connection(datasette, self._connection, database.name)
        self._connection.row_factory = None
        self._connection.text_factory = str  # a thread reads what is not UTF-8
        self._connection.set_progress_handler(self._is_late, QUICK_STEPS)
        self._end = 0.0

    def read(self, read: Callable[[sqlite3.Connection], Result]) -> Result:
        self._end = time.monotonic() + QUICK_SECONDS
        return read(self._connection)

    def close(self, database: Database) -> None:
        close_now(database, self._connection)

    def _is_late(self) -> bool:
        return time.monotonic() > self._end


class InDatabase(Protocol):
    @property
    def database(self) -> str: ...


class BoundedDatabase(Database):
    """A database whose results are bounded by bytes, too."""

    async def execute(self, sql: str, params: Any = None, *args: Any, **options: Any) -> Results:
        """As Datasette's; a result that is too large is truncated, the page of a table shorter.

        Errors are not printed: they are the client's, who gets them in the response.
        """
        try:
            return await super().execute(sql, params, *args, **{**options, "log_sql_errors": False})
        except TooManyBytes as error:
            if in_table_page.get():
                raise
            return Results(error.rows, True, error.description)


class WatchedDatabase(BoundedDatabase):
    """A database that is not served any more once its file is gone or another one."""

    def __init__(self, datasette: Datasette, path: Path, *, is_mutable: bool) -> None:
        super().__init__(datasette, path=str(path), is_mutable=is_mutable)
        self.file = WatchedFile.at(path)

    def reason_unavailable(self) -> str | None:
        """Why the file that is at the path now cannot be served."""
        raise NotImplementedError

    def reopened(self) -> WatchedDatabase:
        """The same database, of the file that is at the path now."""
        raise NotImplementedError


class ServedDatabase(WatchedDatabase):
    """One database file. What is not served is absent from every list of tables and columns."""

    def __init__(self, datasette: Datasette, name: str, path: Path) -> None:
        super().__init__(datasette, path, is_mutable=True)
        settings = ((datasette.config or {}).get("databases") or {}).get(name) or {}
        self.served = with_listed(reference(name), settings.get("tables") or {}, path)
        self.authorizer = ReadAuthorizer({"main": self.served}, [path])

    def reason_unavailable(self) -> str | None:
        return reason_unavailable(self.name, Path(self.path))

    def reopened(self) -> ServedDatabase:
        return ServedDatabase(self.ds, self.name, Path(self.path))

    def connect(self, write: bool = False, waiting: bool = True) -> sqlite3.Connection:
        authorizer = write_authorizer(self.served) if write else self.authorizer
        connection = connect_served(self.file, authorizer, write=write, waiting=waiting)
        return keep_open(self, connection)

    async def execute(self, sql: str, *args: Any, **options: Any) -> Any:
        await refuse_joins_by_name(sql, [self])
        if sql.startswith(COUNT) and sql.endswith(f" limit {self.count_limit + 1})"):
            sql = self.counting(sql)
        page = sorted_page.get()
        if page and options.get("truncate"):  # the rows of a table page
            return await read_page(page, super().execute, sql, *args, **options)
        return await super().execute(sql, *args, **options)

    def counting(self, sql: str) -> str:
        """Datasette's query for a number of rows, without reading whole rows for it."""
        sql = sql.replace("select *", "select 1", 1)
        for (database, table), search in SEARCHES.items():
            found = search.condition_of_row.replace(":q", ":search")
            if (
                database == self.name
                and search.trigrams
                and sql == f"{COUNT_ROWS}{table} where {found}  limit {self.count_limit + 1})"
            ):
                return search.count_up_to(self.count_limit + 1).replace(":q", ":search")
        return sql

    def sorts_by_row(self, table: str) -> bool:
        """True for tables whose sorted pages are read by dailies/storage/sorted_pages.py."""
        ours = reference(self.name)
        return fold(table) in ours.tables - ours.views

    async def execute_write(self, *_: Any, **__: Any) -> Any:
        """Refused: a POST to the page of a canned query would run it while writers wait."""
        raise InvalidSql("Queries only read: send a GET request")

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
        if await self.has_hidden_columns(table):
            return None
        definition: str | None = await super().get_table_definition(table, type_)
        return definition

    async def tables_with_hidden_columns(self) -> set[str]:
        """The served tables whose definition names columns that are not."""
        names = await self.table_names()
        return {table for table in names if await self.has_hidden_columns(table)}

    async def has_hidden_columns(self, table: str) -> bool:
        columns = await super().table_columns(table)
        return not all(self.served.readable(table, column) for column in columns)


class AcrossDatabase(BoundedDatabase):
    """`_memory`: the served parts of all files side by side, for queries across them."""

    def __init__(self, datasette: Datasette, databases: dict[str, ServedDatabase]) -> None:
        super().__init__(datasette, is_memory=True, is_mutable=False)
        self._files = {name: database.file for name, database in databases.items()}
        self._databases = tuple(databases.values())
        schemas: dict[str, Served] = {name: one.served for name, one in databases.items()}
        self.authorizer = ReadAuthorizer(
            schemas, (Path(file.path) for file in self._files.values())
        )

    def connect(self, write: bool = False) -> sqlite3.Connection:  # noqa: ARG002
        return keep_open(self, connect_across(self._files, self.authorizer))

    async def execute(self, sql: str, *args: Any, **options: Any) -> Any:
        await refuse_joins_by_name(sql, self._databases)
        return await super().execute(sql, *args, **options)


async def refuse_joins_by_name(sql: str, databases: Iterable[ServedDatabase]) -> None:
    """InvalidSql if the statement could compare a column that is not served.

    SQLite 3.40 does not ask the authorizer about columns that USING and NATURAL JOIN compare.
    """
    if joins_by_name(sql):
        for database in databases:
            if await database.tables_with_hidden_columns():
                raise InvalidSql(JOIN_BY_NAME)


async def read_from(
    datasette: Datasette, resource: InDatabase, read: Callable[[sqlite3.Connection], Result]
) -> Result:
    """Call `read` with a reading connection, within Datasette's time limit for queries."""

    def limited(connection: sqlite3.Connection) -> Result:
        with time_limit(connection, datasette.sql_time_limit_ms):
            return read(connection)

    result: Result = await database_of(datasette, resource.database).execute_fn(limited)
    return result


async def read_at_once(
    datasette: Datasette, resource: InDatabase, read: Callable[[sqlite3.Connection], Result]
) -> Result:
    """Like `read_from`, for what an index answers: waiting for a thread would take far longer.

    A read that takes longer after all, or meets a lock, is done again by a thread.
    """
    database = database_of(datasette, resource.database)
    reader = quick_readers.get(database)
    if reader is None:
        reader = quick_readers[database] = QuickReader(datasette, database)
    try:
        return reader.read(read)
    except sqlite3.OperationalError:
        # Before Python 3.12 an interrupted statement would be compiled anew each time from now on.
        quick_readers.pop(database).close(database)
        return await read_from(datasette, resource, read)


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
        require_available(datasette, name)
        raise NotFound(f"The database {name} is not here")
    return database
