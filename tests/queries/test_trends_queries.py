"""The canned queries of `trends` compared with Python, on samples and old rows."""

from __future__ import annotations

import math
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from canned import ask, bare_scans, plan, queries_of, questions
from empty_databases import create_databases
from legacy import rows, unpack

from dailies.cli import build
from loaders.times import format_instant

Row = dict[str, Any]
QUERIES = (
    "unused_topics",
    "topics_by_source",
    "topics_by_category",
    "topic_usage",
    "search_topics",
    "search_history_summary",
)


@pytest.fixture
def path(copy_of: Callable[[str], Path]) -> Path:
    return copy_of("trends")


@pytest.fixture
def topics(path: Path) -> list[Row]:
    return rows(path, "select * from trending_topics order by id")


def sound(value: Any, low: float = 0, high: float = math.inf) -> bool:
    return isinstance(value, int | float) and low <= value <= high


def relevance(topic: Row) -> float:
    """Unknown is below every number."""
    score = topic["relevance_score"]
    return score if sound(score, 0, 1) else -1


def mean(values: list[float]) -> float | None:
    return pytest.approx(sum(values) / len(values)) if values else None


def instant(value: Any) -> str | None:
    """Told independently of SQLite, in UTC where a text names no zone."""
    if isinstance(value, int):
        return format_instant(datetime.fromtimestamp(value / (1000 if value > 1e11 else 1), UTC))
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return format_instant(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def best_unused(topics: list[Row], wanted: Callable[[Row], bool]) -> list[int]:
    unused = [topic for topic in topics if topic["used_flag"] == 0 and wanted(topic)]
    return [topic["id"] for topic in sorted(unused, key=lambda row: (-relevance(row), -row["id"]))]


@pytest.mark.parametrize(
    ("parameters", "wanted", "limit"),
    [
        ({}, lambda _: True, 5),
        ({"limit": "12"}, lambda _: True, 12),
        ({"limit": "900"}, lambda _: True, 900),
        ({"source": "google_trends"}, lambda topic: topic["source"] == "google_trends", 5),
        ({"category": "health"}, lambda topic: topic["category"] == "health", 5),
        ({"min_relevance": "0.8", "limit": "900"}, lambda topic: relevance(topic) >= 0.8, 900),
        (
            {"source": "twitter", "category": "food", "min_relevance": "0.5"},
            lambda topic: (
                topic["source"] == "twitter"
                and topic["category"] == "food"
                and relevance(topic) >= 0.5
            ),
            5,
        ),
    ],
)
async def test_unused_topics(
    topics: list[Row], parameters: dict[str, str], wanted: Callable[[Row], bool], limit: int
) -> None:
    found = await ask("trends", "unused_topics", **parameters)
    assert [row["id"] for row in found] == best_unused(topics, wanted)[:limit]
    by_id = {topic["id"]: topic for topic in topics}
    for row in found:
        stored = by_id[row["id"]]
        known = stored["relevance_score"] if relevance(stored) >= 0 else None
        assert row == {name: stored[name] for name in row} | {"relevance_score": known}


@pytest.mark.parametrize("column", ["source", "category"])
async def test_topics_by_source_and_by_category(topics: list[Row], column: str) -> None:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for topic in topics:
        groups[topic[column]].append(topic)
    found = await ask("trends", f"topics_by_{column}")
    assert {row[column]: row for row in found} == {
        name: {
            column: name,
            "topics": len(group),
            "unused_topics": sum(topic["used_flag"] == 0 for topic in group),
            "mean_relevance": mean([relevance(topic) for topic in group if relevance(topic) >= 0]),
        }
        for name, group in groups.items()
    }
    assert [row["topics"] for row in found] == sorted(
        (len(g) for g in groups.values()), reverse=True
    )


async def test_topic_usage(topics: list[Row]) -> None:
    names = {0: "unused", 1: "used"}
    expected = Counter(names.get(topic["used_flag"], "unknown") for topic in topics)
    found = await ask("trends", "topic_usage")
    assert {row["usage"]: row["topics"] for row in found} == expected


@pytest.mark.parametrize("word", ["matcha", "night", "atch", "trump"])
async def test_search_topics(topics: list[Row], word: str) -> None:
    found = await ask("trends", "search_topics", q=word)
    expected = {topic["id"] for topic in topics if word in topic["topic"].lower()}
    assert {row["id"] for row in found} == expected


async def test_search_history_summary(path: Path) -> None:
    groups: dict[str, list[Row]] = defaultdict(list)
    for search in rows(path, "select * from search_history"):
        groups[search["source"]].append(search)
    found = await ask("trends", "search_history_summary")
    assert {row["source"]: row for row in found} == {
        source: {
            "source": source,
            "searches": len(group),
            "results": sum(
                counts := [row["result_count"] for row in group if sound(row["result_count"])]
            ),
            "mean_results": mean(counts),
            "last_searched_at": max(filter(None, (instant(row["timestamp"]) for row in group))),
        }
        for source, group in groups.items()
    }


def test_the_queries_are_those_of_the_contract() -> None:
    assert tuple(queries_of("trends")) == QUERIES


@pytest.mark.parametrize("name", QUERIES)
def test_no_query_scans_a_table_without_an_index(data_dir: Path, name: str) -> None:
    create_databases(["trends"])
    assert bare_scans(plan("trends", name), "trending_topics_fts", "flags", "found") == []


async def test_infinity_is_left_out(data_dir: Path) -> None:
    with closing(sqlite3.connect(unpack("trends.db", data_dir))) as connection, connection:
        connection.execute("update trending_topics set relevance_score = 9e999, used_flag = 0")
        connection.execute("update search_history set result_count = 9e999")
    build.build("trends")
    async with questions("trends") as ask_one:
        for name in QUERIES:
            await ask_one(name)
        found = await ask_one("unused_topics")
    assert [row["relevance_score"] for row in found] == [None] * 5
