"""Clients of the jobs API: instances to test, tokens, jobs of both queues, errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from datasette.app import Datasette
from empty_databases import create_databases
from in_process import asking, serving

from dailies.api.resources import RESOURCES, Resource
from dailies.auth import tokens
from loaders.connections import connect, transaction
from loaders.registry import database_path

SIGN_IN = "Authentication required: send a token as Authorization: Bearer"
REVOKED = "This token has been revoked"
OUR_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def bearer(token: str, **headers: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", **headers}


def token_of(actor: str, *can: str) -> dict[str, str]:
    """Headers with a new token of this actor, limited to the actions in `can` if there are any."""
    return bearer(tokens.create(actor, can)[1])


@contextmanager
def serving_jobs(folder: Path) -> Iterator[tuple[Datasette, Callable[[], None]]]:
    """An instance over a new data folder, and a function that empties its databases again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAILIES_DATA_DIR", str(folder))
        create_databases(resource.database for resource in RESOURCES.values())
        paths = [database_path(resource.database) for resource in RESOURCES.values()]
        clear = clearing(paths)
        with serving() as datasette:
            yield datasette, clear


def clearing(paths: Iterable[Path]) -> Callable[[], None]:
    """A function that empties these databases, which are new now, while a server has them open."""
    tables_of = {path: tables_to_clear(path) for path in paths}

    def clear() -> None:
        for path, tables in tables_of.items():
            with closing(connect(path)) as connection, transaction(connection):
                for table in [*tables, *tables]:  # triggers log deletions in other tables
                    connection.execute(f"delete from [{table}]")

    return clear


def tables_to_clear(path: Path) -> list[str]:
    """Tables that are empty in a new database, in an order that foreign keys allow."""
    with closing(connect(path)) as connection:
        found = connection.execute("select name, sql from sqlite_master where type = 'table'")
        tables = dict(found.fetchall())
        indexes = [name for name, sql in tables.items() if sql.lower().startswith("create virtual")]
        return [
            name
            for name in tables
            if not any(name.startswith(index) for index in indexes)
            and not connection.execute(f"select 1 from [{name}] limit 1").fetchone()
        ]


@asynccontextmanager
async def jobs_client(**changes: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """A client with root's token, of an instance over the data folder of the test."""
    create_databases(resource.database for resource in RESOURCES.values())
    with serving(**changes) as datasette:
        async with asking(datasette, None) as client:
            client.headers |= token_of("root")
            yield client


def key(queue: Resource, number: int) -> int | str:
    """The key of a job in this queue."""
    return number if queue.columns["job_id"] == "number" else f"p{number}"


def running(queue: Resource) -> str:
    assert queue.queue is not None
    return queue.queue.running


def finished(queue: Resource) -> str:
    """The column that tells when a job ended."""
    assert queue.queue is not None
    return queue.queue.finished


async def add(
    client: httpx2.AsyncClient, queue: Resource, number: int = 1, **columns: Any
) -> dict[str, Any]:
    """A new job, queued unless `columns` say otherwise, as it came back."""
    job = {"job_id": key(queue, number), "status": "queued", **columns}
    answer = await client.post(f"/api/{queue.name}", json=job)
    assert answer.status_code == 201, answer.text
    return row_of(answer)


async def claim(client: httpx2.AsyncClient, queue: Resource, worker: str = "w") -> dict[str, Any]:
    answer = await client.post(f"/api/{queue.name}/claim", json={"worker": worker})
    assert answer.status_code == 200, answer.text
    return row_of(answer)


def row_of(answer: Any) -> dict[str, Any]:
    """The one row of an answer."""
    [row] = answer.json()["rows"]
    found: dict[str, Any] = row
    return found


def assert_error(answer: Any, status: int, *messages: str) -> None:
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert (answer.status_code, answer.json()) == (
        status,
        {"ok": False, "error": "; ".join(messages), "errors": list(messages), "status": status},
    )
