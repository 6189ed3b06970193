"""Jobs of both queues that earlier programs stored: shown as valid JSON, and left as they are."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

import httpx2
import pytest
from jobs_client import key, row_of

from dailies.api.resources import BUILDS, Resource
from loaders.connections import connect
from loaders.registry import database_path

OLD = "2020-01-01T00:00:00.000Z"
OLD_ROWS: dict[str, dict[str, Any]] = {
    "infinite": {"progress": float("inf"), "attempts": float("-inf")},
    "text": {"progress": "half", "attempts": "two", "created_at": "long ago"},
    "blob": {"error": b"\xff\x00", "worker": b"w", "created_at": b"1"},
    "utf-16": {"error": "a", "worker": "\x00"},
    "status": {"status": "lost", "created_at": 1577836800},
}
OLD_JSON = ["{broken", "[1, NaN, 1e999]", '{"a": "\\ud800"}', b"\x00", "5", '"text"', "[" * 5000]


async def test_whatever_old_rows_hold_is_shown_as_json(
    api: httpx2.AsyncClient, queue: Resource
) -> None:
    column = "config" if queue is BUILDS else "created_files"
    rows = [*OLD_ROWS.values(), *({column: text} for text in OLD_JSON)]
    store_past_rules(queue, rows)
    before = stored(queue, f"progress, attempts, error, worker, {column}")
    assert before[0][0] == float("inf")
    listed = await api.get(f"/api/{queue.name}?_sort=job_id")
    assert strict(listed.text)["rows"][0]["progress"] is None
    assert len(listed.json()["rows"]) == len(rows)
    changes = strict((await api.get(f"/api/{queue.name}/changes")).text)["rows"]
    assert len(changes) == 0  # they came past the triggers
    for number in range(1, len(rows) + 1):
        path = f"/api/{queue.name}/{key(queue, number)}"
        read = await api.get(path)
        same = await api.put(path, json=strict(read.text)["rows"][0])
        assert (same.status_code, same.json()) == (200, read.json()), (rows[number - 1], same.text)
        noted = await api.patch(path, json={"current_step": "seen"})
        assert row_of(noted) == {**row_of(read), "current_step": "seen"}
        for sort in ("created_at", "progress", "error", column):
            assert (await api.get(f"/api/{queue.name}?_sort={sort}&_size=3")).status_code == 200
    assert stored(queue, f"progress, attempts, error, worker, {column}") == before


def store_past_rules(queue: Resource, rows: list[dict[str, Any]]) -> None:
    """Rows as they were before there were rules."""
    with closing(sqlite3.connect(database_path(queue.database))) as connection, connection:
        named = "select name, sql from sqlite_master where type = 'trigger' and tbl_name = ?"
        triggers = connection.execute(named, [queue.table]).fetchall()
        for name, _ in triggers:
            connection.execute(f"drop trigger {name}")
        for number, row in enumerate(rows, 1):
            row = {"job_id": key(queue, number), "status": "queued", "created_at": OLD} | row
            if queue is BUILDS:
                row |= {"run_id": f"r{number}", "run_dir": "runs"}
            names, marks = ", ".join(row), ", ".join("?" * len(row))
            sql = f"insert into {queue.table} ({names}) values ({marks})"
            connection.execute(sql, tuple(row.values()))
        for _, sql in triggers:
            connection.execute(sql)


def stored(queue: Resource, columns: str) -> list[tuple[Any, ...]]:
    with closing(connect(database_path(queue.database))) as connection:
        sql = f"select {columns} from {queue.table} order by rowid"
        return connection.execute(sql).fetchall()


def strict(text: str) -> Any:
    """What a strict reader makes of JSON text."""
    text.encode()
    return json.loads(text, parse_constant=pytest.fail)
