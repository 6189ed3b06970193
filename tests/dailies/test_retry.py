"""A retried job has nothing of the attempt before, by whatever route it is retried."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import httpx2
import pytest
from cli_runner import run_in_process
from click.testing import CliRunner
from jobs_client import add, claim, key
from sqlite_utils.cli import cli as sqlite_utils_cli

from dailies.api.resources import BUILDS, Resource
from loaders.registry import data_dir, database_path

Retry = Callable[[httpx2.AsyncClient, Resource, dict[str, Any]], Awaitable[None]]
CLEARED = ("error", "current_step", "worker", "started_at", "finished_at", "completed_at")


async def by_patch(api: httpx2.AsyncClient, queue: Resource, job: dict[str, Any]) -> None:
    path = f"/api/{queue.name}/{job['job_id']}"
    assert (await api.patch(path, json={"status": "queued"})).status_code == 200


async def by_put(api: httpx2.AsyncClient, queue: Resource, job: dict[str, Any]) -> None:
    """As a program that read the whole job and writes it back."""
    path = f"/api/{queue.name}/{job['job_id']}"
    assert (await api.put(path, json={**job, "status": "queued"})).status_code == 200


async def by_bulk(api: httpx2.AsyncClient, queue: Resource, _: dict[str, Any]) -> None:
    body = {"action": "retry", "filter": {"status": "failed"}}
    answer = await api.post(f"/api/{queue.name}/bulk", json=body)
    assert (answer.status_code, answer.json().get("changed")) == (200, 1), answer.text


async def by_row_update(api: httpx2.AsyncClient, queue: Resource, job: dict[str, Any]) -> None:
    path = f"/{queue.database}/{queue.table}/{job['job_id']}/-/update"
    answer = await api.post(path, json={"update": {"status": "queued"}})
    assert answer.status_code == 200, answer.text


async def by_row_upsert(api: httpx2.AsyncClient, queue: Resource, job: dict[str, Any]) -> None:
    """As an edit form, which sends every field."""
    path = f"/{queue.database}/{queue.table}/-/upsert"
    row = {**stored(queue, "*", queue.table)[0], "status": "queued"}
    answer = await api.post(path, json={"row": row})
    assert answer.status_code == 200, answer.text


async def by_command(_: httpx2.AsyncClient, queue: Resource, job: dict[str, Any]) -> None:
    where = f"job_id={job['job_id']}"
    done = run_in_process(data_dir(), "jobs", "retry", queue.database, "--where", where)
    assert done.returncode == 0, done.stderr


async def by_sqlite_utils(_: httpx2.AsyncClient, queue: Resource, job: dict[str, Any]) -> None:
    file = str(database_path(queue.database))
    row = json.dumps({**stored(queue, "*", queue.table)[0], "status": "queued"})
    words = ["upsert", file, queue.table, "-", "--pk", "job_id"]
    done = CliRunner().invoke(sqlite_utils_cli, words, input=row)
    assert done.exit_code == 0, done.output


async def by_sql(_: httpx2.AsyncClient, queue: Resource, job: dict[str, Any]) -> None:
    with closing(sqlite3.connect(database_path(queue.database))) as connection:
        connection.execute(f"update {queue.table} set status = 'queued'")
        connection.commit()


ROUTES: list[Retry] = [
    by_patch, by_put, by_bulk, by_row_update, by_row_upsert, by_command, by_sqlite_utils, by_sql,
]  # fmt: skip


def stored(queue: Resource, columns: str, table: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(database_path(queue.database))) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"select {columns} from {table}")]


async def end(api: httpx2.AsyncClient, queue: Resource, **changes: Any) -> None:
    path = f"/api/{queue.name}/{key(queue, 1)}"
    answer = await api.patch(path, json=changes)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("retry", ROUTES, ids=lambda retry: retry.__name__.removeprefix("by_"))
async def test_a_retry_keeps_nothing_of_the_attempt_before(
    api: httpx2.AsyncClient, queue: Resource, retry: Retry
) -> None:
    await add(api, queue)
    await claim(api, queue)
    await end(api, queue, status="failed", error="no voice", progress=40, current_step="mixing")
    # The attempt took an hour, an hour ago.
    with closing(sqlite3.connect(database_path(queue.database))) as connection:
        connection.execute("update job_attempts set started_at = '2020-01-01T00:00:00.000Z'")
        if queue is BUILDS:
            connection.execute("update jobs set started_at = '2020-01-01T00:00:00.000Z'")
        connection.commit()
    [failed] = (await api.get(f"/api/{queue.name}")).json()["rows"]
    await retry(api, queue, failed)
    [queued] = stored(queue, "*", queue.table)
    assert {name: queued[name] for name in CLEARED if name in queued} == {
        name: None for name in CLEARED if name in queued
    }
    assert (queued["status"], queued["progress"], queued["attempts"]) == ("queued", 0, 1)
    await claim(api, queue)
    await end(api, queue, status="completed")
    [job] = stored(queue, "*", queue.table)
    attempts = stored(queue, "worker, outcome, error, ended_at, started_at", "job_attempts")
    finished = job["finished_at" if queue is BUILDS else "completed_at"]
    assert [tuple(one.values())[:3] for one in attempts] == [
        ("w", "failed", "no voice"), ("w", "completed", None),
    ]  # fmt: skip
    assert attempts[1]["ended_at"] == finished
    assert job.get("started_at", attempts[1]["started_at"]) == attempts[1]["started_at"]
    assert (job["error"], job["progress"], job["attempts"]) == (None, 100, 2)
    name = "build_durations" if queue is BUILDS else "durations"
    [durations] = (await api.get(f"/{queue.database}/{name}.json?_shape=array")).json()
    assert durations["jobs"] == 1
    if queue is BUILDS:  # a presentation counts from its creation
        assert durations["mean_seconds"] < 60
