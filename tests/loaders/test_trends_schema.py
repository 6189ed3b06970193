"""Rules, `updated_at` and the search index of `trends`, for each way to write a row."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from empty_databases import create_at
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from loaders import trends, upgrade
from loaders.connections import connect

OLD_TRIGGER = """
create trigger if not exists update_trending_topics_timestamp
    after update on trending_topics
    begin
        update trending_topics set updated_at = current_timestamp
        where id = new.id;
    end
"""

ids = st.integers(1, 3)
values = st.fixed_dictionaries(
    {"topic": st.sampled_from(["a b", "b c", "", "é"]), "source": st.sampled_from(["x", "y"])},
    optional={"id": ids, "used_flag": st.sampled_from([0, 1])},
)
VERBS = (
    "insert",
    "insert or replace",
    "insert or ignore",
    "upsert",
    "update",
    "update or replace",
    "update or ignore",
    "delete",
)
writes = st.tuples(st.sampled_from(VERBS), ids, values)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    path = create_at("trends", tmp_path / "trends.db")
    with closing(connect(path)) as opened:
        yield opened


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database just built, to begin each example with."""
    path = tmp_path_factory.mktemp("empty") / "trends.db"
    upgrade.build("trends", path)
    with closing(sqlite3.connect(path)) as opened:
        opened.execute("pragma journal_mode = delete")
    return path.read_bytes()


def statement_for(verb: str, row_id: int, row: dict[str, Any]) -> tuple[str, list[Any]]:
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    assignments = ", ".join(f"{name} = ?" for name in row)
    if verb == "delete":
        return "delete from trending_topics where id = ?", [row_id]
    if verb.startswith("update"):
        sql = f"{verb} trending_topics set {assignments} where id = ?"
        return sql, [*row.values(), row_id]
    if verb == "upsert":
        excluded = ", ".join(f"{name} = excluded.{name}" for name in row)
        insert = f"insert into trending_topics ({names}) values ({marks})"
        return f"{insert} on conflict (id) do update set {excluded}", [*row.values()]
    return f"{verb} into trending_topics ({names}) values ({marks})", [*row.values()]


@examples(200)
@given(st.lists(writes, min_size=1, max_size=10), st.booleans())
def test_the_search_index_follows_any_sequence_of_writes(
    empty_database: bytes, sequence: list[Any], old_program: bool
) -> None:
    outcomes = []
    for recursive_triggers, foreign_keys in itertools.product((0, 1), repeat=2):
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            connection.deserialize(empty_database)
            connection.execute(f"pragma recursive_triggers = {recursive_triggers}")
            connection.execute(f"pragma foreign_keys = {foreign_keys}")
            if old_program:
                connection.execute(OLD_TRIGGER)
            for verb, row_id, row in sequence:
                with suppress(sqlite3.IntegrityError):
                    connection.execute(*statement_for(verb, row_id, row))
                assert list(trends.check(connection)) == []
            outcomes.append(
                connection.execute(
                    "select id, topic, source, used_flag from trending_topics"
                ).fetchall()
            )
    assert outcomes == [outcomes[0]] * 4


@pytest.mark.parametrize("recursive_triggers", [0, 1])
def test_an_update_stamps_updated_at_unless_it_says_the_time(
    connection: sqlite3.Connection, recursive_triggers: int
) -> None:
    connection.execute(f"pragma recursive_triggers = {recursive_triggers}")
    connection.execute(
        """
        insert into trending_topics (topic, source, created_at, updated_at)
        values ('a', 'x', '2025-01-01 00:00:00', '2025-01-01 00:00:00')
        """
    )
    updated_at = "select updated_at, updated_at > '2026', created_at from trending_topics"
    connection.execute("update trending_topics set updated_at = '2025-02-02'")
    assert connection.execute(updated_at).fetchone()[0] == "2025-02-02"
    connection.execute("update trending_topics set used_flag = 1")
    stamped, is_new, created_at = connection.execute(updated_at).fetchone()
    assert (is_new, created_at) == (1, "2025-01-01 00:00:00")
    assert (stamped[10], stamped[-1], len(stamped)) == ("T", "Z", 24)


def test_many_updates_within_a_millisecond_do_not_call_each_other(
    connection: sqlite3.Connection,
) -> None:
    connection.execute("pragma recursive_triggers = on")
    connection.execute("insert into trending_topics (topic, source) values ('a', 'x')")
    for _ in range(500):
        connection.execute("update trending_topics set used_flag = 1 - used_flag")
    assert connection.execute("select used_flag from trending_topics").fetchone() == (0,)


@pytest.mark.parametrize(
    ("table", "column", "value", "message"),
    [
        ("trending_topics", "relevance_score", 95, "must be a number from 0 to 1"),
        ("trending_topics", "relevance_score", -0.2, "must be a number from 0 to 1"),
        ("trending_topics", "relevance_score", "high", "must be a number from 0 to 1"),
        ("trending_topics", "relevance_score", b"1", "must be a number from 0 to 1"),
        ("trending_topics", "relevance_score", float("inf"), "must be a number from 0 to 1"),
        ("trending_topics", "used_flag", 2, "must be 0 or 1"),
        ("trending_topics", "used_flag", "yes", "must be 0 or 1"),
        ("trending_topics", "metadata", "{'python': 'dict'}", "must be valid JSON"),
        ("trending_topics", "metadata", '{"a": NaN}', "must be valid JSON"),
        ("search_history", "result_count", "n/a", "must be a whole number, 0 or more"),
        ("search_history", "result_count", -1, "must be a whole number, 0 or more"),
    ],
)
@pytest.mark.parametrize("verb", ["insert", "insert or ignore", "insert or replace", "update"])
def test_a_value_out_of_range_is_refused_by_name(
    connection: sqlite3.Connection, table: str, verb: str, column: str, value: Any, message: str
) -> None:
    text = "topic" if table == "trending_topics" else "query"
    connection.execute(f"insert into {table} ({text}, source) values ('a', 'x')")
    insert = f"{verb} into {table} ({text}, source, {column}) values ('b', 'x', ?)"
    with pytest.raises(sqlite3.IntegrityError) as refused:
        connection.execute(
            f"update {table} set {column} = ?" if verb == "update" else insert, (value,)
        )
    assert str(refused.value) == f"{table}.{column}: {message}"


def test_nothing_said_is_no_value_out_of_range(connection: sqlite3.Connection) -> None:
    connection.execute(
        """
        insert into trending_topics (topic, source, relevance_score, used_flag, metadata)
        values ('a', 'x', null, null, null)
        """
    )
    connection.execute(
        "insert into trending_topics (topic, source, relevance_score) values ('b', 'x', 1)"
    )
    found = connection.execute("select relevance_score, used_flag, metadata from trending_topics")
    assert found.fetchall() == [(None, None, None), (1.0, 0, None)]
