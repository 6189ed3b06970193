"""Trending topics: the Python functions of the database `trends`.

Every function takes `db` first: a `sqlite_utils.Database` or a `sqlite3.Connection`. Rows are
dictionaries. A value that the database refuses is ValueError.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

from loaders.connections import Connection, sqlite_connection, transaction
from loaders.errors import translated
from loaders.migrations.trends import RELEVANCE, RULES
from loaders.range_checks import broken_rules
from loaders.rows import dictionaries, json_text, required_text
from loaders.times import now

INSERT_TOPIC = """
insert into trending_topics (topic, source, timestamp, relevance_score, category, metadata)
values (:topic, :source, :timestamp, :relevance_score, :category, :metadata)
returning *
"""

UNUSED_TOPICS = f"""
select *
from trending_topics
where used_flag = 0
  and (:source is null or source = :source)
  and (:category is null or category = :category)
  and (:min_relevance is null or {RELEVANCE} >= :min_relevance)
order by {RELEVANCE} desc, id desc
limit :limit
"""  # noqa: S608

MARK_USED = """
update trending_topics
set used_flag = 1
where id = :id
"""


def add_topic(
    db: Connection,
    topic: str,
    source: str,
    relevance_score: float = 0.0,
    category: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    timestamp: str | None = None,
) -> dict[str, Any]:
    """Store a topic as seen at `timestamp` (now, if None); the row.

    A topic may be seen often: each time is a row of its own.
    """
    values = {
        "topic": required_text("topic", topic),
        "source": required_text("source", source),
        "timestamp": timestamp or now(),
        "relevance_score": relevance_score,
        "category": category,
        "metadata": json_text(metadata),
    }
    with transaction(db) as connection, translated(f'topic "{topic}"', values):
        [row] = dictionaries(connection.execute(INSERT_TOPIC, values))
    return row


def unused_topics(
    db: Connection,
    source: str | None = None,
    category: str | None = None,
    min_relevance: float | None = None,
    limit: int = 5,
) -> list[dict[str, Any]]:
    """Topics that no video used, the most relevant first and of equals the newest.

    A relevance that is no number from 0 to 1 comes last.
    """
    values = {
        "source": source,
        "category": category,
        "min_relevance": min_relevance,
        "limit": limit,
    }
    return dictionaries(sqlite_connection(db).execute(UNUSED_TOPICS, values))


def mark_used(db: Connection, topic_id: int) -> bool:
    """Say that a video uses the topic; False if there is no such topic."""
    with transaction(db) as connection:
        return connection.execute(MARK_USED, {"id": topic_id}).rowcount > 0


def check(connection: sqlite3.Connection) -> Iterator[str]:
    """Old rows that break today's rules."""
    yield from broken_rules(connection, RULES)
