"""The Python functions of `trends`, and plain `sqlite-utils` on its tables."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils
from click.testing import CliRunner
from legacy import rows
from sqlite_utils.cli import cli

from loaders import checks, open_database, trends


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite_utils.Database]:
    with closing(open_database("trends", tmp_path / "trends.db")) as opened:
        yield opened


def test_a_topic_is_stored_with_what_is_said_of_it(db: sqlite_utils.Database) -> None:
    topic = trends.add_topic(
        db, "抹茶", "twitter", 0.5, "food", {"region": "JP"}, "2026-01-01T00:00:00.000Z"
    )
    assert topic == {
        "id": 1,
        "topic": "抹茶",
        "source": "twitter",
        "timestamp": "2026-01-01T00:00:00.000Z",
        "relevance_score": 0.5,
        "used_flag": 0,
        "category": "food",
        "metadata": '{"region": "JP"}',
        "created_at": topic["created_at"],
        "updated_at": topic["created_at"],
    }
    assert [*db["trending_topics"].rows] == [topic]
    assert trends.add_topic(db.conn, "抹茶", "twitter")["id"] == 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"topic": " "}, "topic must be text and not blank, not ' '"),
        ({"source": None}, "source must be text and not blank, not None"),
        (
            {"relevance_score": 95},
            "trending_topics.relevance_score: must be a number from 0 to 1, not 95",
        ),
        ({"metadata": {"a": object}}, "a value of type type cannot be stored"),
    ],
)
def test_bad_input_is_a_value_error(
    db: sqlite_utils.Database, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the whole message is compared
        trends.add_topic(db, **{"topic": "a", "source": "x", **values})
    assert str(refused.value) == message
    assert db["trending_topics"].count == 0


def test_unused_topics_come_best_first_until_they_are_used(db: sqlite_utils.Database) -> None:
    for score in (0.2, 0.9, 0.9, 0.5):
        trends.add_topic(db, f"t{score}", "x", score, "food" if score < 0.6 else None)
    assert [topic["id"] for topic in trends.unused_topics(db)] == [3, 2, 4, 1]
    assert trends.mark_used(db, 3)
    assert not trends.mark_used(db, 99)
    assert [topic["id"] for topic in trends.unused_topics(db, limit=2)] == [2, 4]
    assert [topic["id"] for topic in trends.unused_topics(db, category="food")] == [4, 1]
    assert [topic["id"] for topic in trends.unused_topics(db, "x", min_relevance=0.5)] == [2, 4]
    assert trends.unused_topics(db, source="y") == []


def run_sqlite_utils(*arguments: str | Path, stdin: str) -> Any:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], input=stdin)


@pytest.mark.parametrize("option", ["--upsert", "--replace", "--ignore"])
def test_sqlite_utils_keeps_every_promise(tmp_path: Path, option: str) -> None:
    path = tmp_path / "trends.db"
    open_database("trends", path).close()
    command = ["upsert"] if option == "--upsert" else ["insert"]
    more = [] if option == "--upsert" else [option]
    first = json.dumps([{"id": 1, "topic": "old words", "source": "x"}])
    again = json.dumps([{"id": 1, "topic": "new words", "source": "x", "used_flag": 1}])
    for document in (first, again, again):
        done = run_sqlite_utils(
            *command, path, "trending_topics", "-", "--pk", "id", *more, stdin=document
        )
        assert done.exit_code == 0, done.output
    [topic] = rows(path, "select topic, used_flag, updated_at from trending_topics")
    kept = option == "--ignore"
    assert (topic["topic"], topic["used_flag"]) == (("old words", 0) if kept else ("new words", 1))
    assert topic["updated_at"].endswith("Z")
    assert checks.check("trends", path) == []
    bad = json.dumps([{"id": 2, "topic": "a", "source": "x", "relevance_score": 7}])
    done = run_sqlite_utils(*command, path, "trending_topics", "-", "--pk", "id", *more, stdin=bad)
    assert done.exit_code == 1
    assert "trending_topics.relevance_score: must be a number from 0 to 1" in done.output + str(
        done.exception
    )


def test_a_lock_held_outside_is_waited_for(db: sqlite_utils.Database, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "trends.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        db.conn.execute("pragma busy_timeout = 10")
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            trends.add_topic(db, "a", "x")
        other.execute("rollback")
    assert trends.add_topic(db, "a", "x")["id"] == 1
