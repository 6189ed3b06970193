"""Canned queries as the server answers them, and how SQLite would run them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

import pytest
from datasette.app import Datasette
from datasette.utils import named_parameters
from empty_databases import create_databases
from in_process import READING, asking, serving

from dailies.canned_queries import CannedQuery, needed_by, read_queries
from dailies.home import HOME
from loaders.registry import DATABASES, database_path
from loaders.search import add_functions

SHARED: list[tuple[Datasette, Path]] = []  # what `sharing` serves, if anything


def refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


class Ask(Protocol):
    async def __call__(self, name: str, /, **parameters: str) -> list[dict[str, Any]]: ...


@contextmanager
def sharing(folder: Path) -> Iterator[None]:
    """Have all queries be asked of one instance, over copies in `folder` of the test's databases.

    To start one for each test would take longer than everything that is tested.
    """
    with serving(**READING) as datasette:
        SHARED[:] = [(datasette, folder)]
        yield
        SHARED.clear()


async def shared() -> tuple[Datasette, Path]:
    [(datasette, folder)] = SHARED
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAILIES_DATA_DIR", str(folder))
        create_databases()
        await datasette.invoke_startup()
    return datasette, folder


def copy_databases(names: Iterable[str], folder: Path) -> None:
    """Copy the databases of the test into the open files in `folder`."""
    for name in names:
        source = database_path(name)
        assert source.exists(), source
        with (
            closing(sqlite3.connect(source)) as found,
            closing(sqlite3.connect(folder / DATABASES[name].filename)) as copy,
        ):
            found.backup(copy)


@asynccontextmanager
async def questions(database: str) -> AsyncIterator[Ask]:
    """Gives a function that asks the database's queries over HTTP, of one and the same server.

    It returns every row; the answer must be strictly JSON.
    """
    datasette, folder = await shared()
    queries = queries_of(database)
    async with asking(datasette, None) as client:

        async def ask_one(name: str, /, **parameters: str) -> list[dict[str, Any]]:
            copy_databases(needed_by(queries[name]), folder)
            response = await client.get(f"/{database}/{name}.json?{urlencode(parameters)}")
            assert response.status_code == 200, response.text
            answer = json.loads(response.text, parse_constant=refuse_constant)
            rows: list[dict[str, Any]] = answer["rows"]
            return rows

        yield ask_one


async def ask(database: str, name: str, /, **parameters: str) -> list[dict[str, Any]]:
    """The rows of one query, as `questions` gives them."""
    async with questions(database) as ask_one:
        return await ask_one(name, **parameters)


def queries_of(database: str) -> dict[str, CannedQuery]:
    found = read_queries(HOME / "canned_queries")
    return {query.name: query for query in found if query.database == database}


def plan(database: str, name: str, path: Path | None = None) -> list[str]:
    """The steps of the query with every parameter left empty."""
    sql = queries_of(database)[name].sql
    with closing(sqlite3.connect(path or database_path(database))) as connection:
        add_functions(connection)
        steps = connection.execute(
            f"explain query plan {sql}", dict.fromkeys(named_parameters(sql), "")
        )
        return [step for *_, step in steps]


def bare_scans(steps: list[str], *small: str) -> list[str]:
    """Steps that read a whole table without an index, but for tables that stay `small`."""
    return [
        step
        for step in steps
        if step.startswith("SCAN ")
        and "INDEX" not in step
        and step.split()[1] not in (*small, "CONSTANT")
        and not step.startswith("SCAN (subquery-")
    ]
