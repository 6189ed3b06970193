from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest
from datasette.app import Datasette
from datasette.database import Database

from dailies.storage.group_commit import GroupCommit, run_together
from loaders.connections import connect
from loaders.database_file import create_file


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    create_file(tmp_path / "any.db")
    with closing(connect(tmp_path / "any.db")) as connection:
        connection.execute("create table seen (name text primary key)")
        yield connection


def insert(*names: str, sql: str = "insert into seen values (?)") -> object:
    def write(connection: sqlite3.Connection) -> int:
        for name in names:
            connection.execute(sql, [name])
        return len(names)

    return write


def names_on_disk(connection: sqlite3.Connection) -> list[str]:
    [(_, _, file)] = connection.execute("pragma database_list")
    with closing(sqlite3.connect(file)) as other:
        return [name for (name,) in other.execute("select name from seen order by name")]


def test_a_write_that_fails_takes_back_its_own_changes_only(
    connection: sqlite3.Connection,
) -> None:
    outcomes = run_together(connection, [insert("a"), insert("b", "a"), insert("c", "d")])
    assert [result for result, _ in outcomes] == [1, None, 2]
    assert [str(error) for _, error in outcomes] == [
        "None",
        "UNIQUE constraint failed: seen.name",
        "None",
    ]
    assert names_on_disk(connection) == ["a", "c", "d"]


def test_an_error_that_ends_the_transaction_fails_all(connection: sqlite3.Connection) -> None:
    rolling_back = insert("b", "b", sql="insert or rollback into seen values (?)")
    with pytest.raises(sqlite3.OperationalError, match="no such savepoint"):
        run_together(connection, [insert("a"), rolling_back])
    assert names_on_disk(connection) == []
    assert run_together(connection, [insert("c")]) == [(1, None)]
    assert names_on_disk(connection) == ["c"]


def test_a_transaction_left_open_is_not_joined(connection: sqlite3.Connection) -> None:
    connection.execute("begin immediate")
    connection.execute("insert into seen values ('unanswered')")
    assert run_together(connection, [insert("a")]) == [(1, None)]
    assert names_on_disk(connection) == ["a"]


def test_no_error_of_one_fails_the_others(connection: sqlite3.Connection) -> None:
    def broken(_: sqlite3.Connection) -> None:
        raise TypeError("a defect of ours")

    outcomes = run_together(connection, [insert("a"), broken, insert("b")])
    assert [result for result, _ in outcomes] == [1, None, 1]
    assert names_on_disk(connection) == ["a", "b"]


@pytest.fixture
def database(connection: sqlite3.Connection, tmp_path: Path) -> Iterator[Database]:
    datasette = Datasette([str(tmp_path / "any.db")])
    yield datasette.get_database("any")
    datasette.close()


async def test_a_cancelled_write_leaves_nobody_waiting(database: Database) -> None:
    """Neither callers that are cancelled, nor the task that writes for all of them."""
    group, started, go_on = GroupCommit(database), Event(), Event()

    def slow(connection: sqlite3.Connection) -> object:
        started.set()
        go_on.wait(10)
        return insert("slow")(connection)

    first = asyncio.create_task(group.write(slow))
    await asyncio.to_thread(started.wait, 10)
    second = asyncio.create_task(group.write(insert("second")))
    third = asyncio.create_task(group.write(insert("third")))
    await asyncio.sleep(0)
    second.cancel()
    go_on.set()
    assert (await first, await third) == (1, 1)
    with pytest.raises(asyncio.CancelledError):
        await second


async def test_callers_do_not_wait_for_a_task_that_was_cancelled(database: Database) -> None:
    group, started, go_on = GroupCommit(database), Event(), Event()

    def slow(connection: sqlite3.Connection) -> object:
        started.set()
        go_on.wait(10)
        return insert("slow")(connection)

    writes = [asyncio.create_task(group.write(slow))]
    await asyncio.to_thread(started.wait, 10)
    writes.append(asyncio.create_task(group.write(insert("waiting"))))
    await asyncio.sleep(0)
    assert group._task is not None
    group._task.cancel()
    done, _ = await asyncio.wait(writes, timeout=10)
    assert [task.cancelled() for task in writes] == [True, True]
    assert done == set(writes)
    go_on.set()
    assert await group.write(insert("later")) == 1
