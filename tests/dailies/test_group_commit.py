from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dailies.storage.group_commit import run_together
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
