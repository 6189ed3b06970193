"""Reads on the event loop: short ones at once, others by a thread, none of them stale."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import httpx2
import pytest
from datasette.app import Datasette

from dailies.api.resources import CAMPAIGNS
from dailies.storage.databases import read_at_once
from loaders.connections import connect
from loaders.registry import database_path

COUNT = """
with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < :last)
select count(*) from numbers
"""


ROWS = """
with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < 100000)
select n from numbers
"""


def count_to(last: int, threads: list[str]) -> Callable[[sqlite3.Connection], Any]:
    def read(connection: sqlite3.Connection) -> Any:
        threads.append(threading.current_thread().name)
        return connection.execute(COUNT, {"last": last}).fetchone()[0]

    return read


@pytest.mark.parametrize(("last", "tries"), [(10, 1), (200_000, 2)])
async def test_a_read_that_takes_longer_is_done_by_a_thread(
    api: httpx2.AsyncClient,
    empty_site: Datasette,
    monkeypatch: pytest.MonkeyPatch,
    last: int,
    tries: int,
) -> None:
    if tries == 1:
        monkeypatch.setattr("dailies.storage.databases.QUICK_SECONDS", 60)
    threads: list[str] = []
    assert await read_at_once(empty_site, CAMPAIGNS, count_to(last, threads)) == last
    assert len(threads) == tries
    assert [name == threading.current_thread().name for name in threads] == [True, False][:tries]


async def test_an_interrupted_read_does_not_slow_down_the_next(
    api: httpx2.AsyncClient, empty_site: Datasette, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Python 3.12 a statement that was interrupted is compiled at each use."""
    connections: list[sqlite3.Connection] = []

    def read(connection: sqlite3.Connection) -> int:
        connections.append(connection)
        return sum(1 for _ in connection.execute(ROWS))

    assert await read_at_once(empty_site, CAMPAIGNS, read) == 100_000
    assert len(connections) == 2
    monkeypatch.setattr("dailies.storage.databases.QUICK_SECONDS", 60)
    for _ in range(2):
        assert await read_at_once(empty_site, CAMPAIGNS, read) == 100_000
    interrupted, _, quick, again = connections
    assert quick is again is not interrupted
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        interrupted.execute("select 1")


async def test_text_that_is_not_utf_8_is_read_by_a_thread(
    api: httpx2.AsyncClient, empty_site: Datasette
) -> None:
    def read(connection: sqlite3.Connection) -> str:
        return str(connection.execute("select cast(x'61ff' as text)").fetchone()[0])

    assert await read_at_once(empty_site, CAMPAIGNS, read) == "a\ufffd"


async def test_a_row_written_by_another_program_is_seen_at_once(api: httpx2.AsyncClient) -> None:
    with closing(connect(database_path("campaigns"))) as other:
        for number in range(3):
            job = f'{{"id": "seen", "job_name": "Job {number}"}}'
            other.execute("insert or replace into jobs (id, data) values ('seen', ?)", [job])
            found = (await api.get("/api/campaigns/seen")).json()["rows"]
            assert [row["job_name"] for row in found] == [f"Job {number}"]
            listed = (await api.get("/api/campaigns?_size=1")).json()["rows"]
            assert listed == found


async def test_a_locked_file_does_not_stop_the_event_loop(
    api: httpx2.AsyncClient, empty_site: Datasette
) -> None:
    threads: list[str] = []

    def locked_once(connection: sqlite3.Connection) -> str:
        threads.append(threading.current_thread().name)
        if len(threads) == 1:
            raise sqlite3.OperationalError("database is locked")
        return "read"

    assert await read_at_once(empty_site, CAMPAIGNS, locked_once) == "read"
    assert len(threads) == 2
