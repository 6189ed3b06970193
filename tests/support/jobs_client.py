"""Asking the jobs API in tests: actors and their tokens, jobs of both queues, errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from empty_databases import create_databases
from in_process import asking, serving

from dailies.api.resources import RESOURCES, Resource
from dailies.auth import tokens

SIGN_IN = "Prove who you are: send a token as Authorization: Bearer"
REVOKED = "This token has been revoked"
OUR_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def bearer(token: str, **headers: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", **headers}


def token_of(actor: str, *can: str) -> dict[str, str]:
    """Headers with a new token of this actor, limited to the actions in `can` if there are any."""
    return bearer(tokens.create(actor, can)[1])


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
    assert queue.queue is not None
    return number if queue.queue.cycle.key_type == "INTEGER" else f"p{number}"


def running(queue: Resource) -> str:
    assert queue.queue is not None
    return queue.queue.cycle.running


def finished(queue: Resource) -> str:
    """The column that tells when a job ended."""
    assert queue.queue is not None
    return queue.queue.cycle.finished


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
