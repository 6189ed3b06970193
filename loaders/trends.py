"""Trending topics: the Python functions of the database `trends`.

Every function takes `db` first: a `sqlite_utils.Database` or a `sqlite3.Connection`. Rows are
dictionaries. A value that the database refuses raises ValueError.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

from loaders.checks import named_rows
from loaders.connections import Connection, transaction
from loaders.errors import translated
from loaders.rows import json_text, required_text, select
from loaders.times import now

INSERT_TOPIC = """
insert into trending_topics (topic, source, timestamp, relevance_score, category, metadata)
values (:topic, :source, :timestamp, :relevance_score, :category, :metadata)
returning *
"""

UNUSED_TOPICS = """
select *
from trending_topics
where used_flag = 0
  and (:source is null or source = :source)
  and (:category is null or category = :category)
  and (:min_relevance is null or relevance_score between max(:min_relevance, 0) and 1)
order by iif(relevance_score between 0 and 1, relevance_score, null) desc, id desc
limit :limit
"""

MARK_USED = """
update trending_topics
set used_flag = 1
where id = :id
"""

CHECKS = {
    "trending_topics.relevance_score must be a number from 0 to 1": """
        select id
        from trending_topics
        where relevance_score not between 0 and 1
        """,
    "trending_topics.used_flag must be 0 or 1": """
        select id
        from trending_topics
        where used_flag not in (0, 1)
        """,
    "trending_topics.metadata must be valid JSON": """
        select id
        from trending_topics
        where metadata is not null
          and not (typeof(metadata) = 'text' and json_valid(metadata))
        """,
    "search_history.result_count must be a whole number, 0 or more": """
        select id
        from search_history
        where result_count < 0
          or typeof(result_count) not in ('integer', 'null')
        """,
}

# What triggers derive from other rows: `dailies build` derives it again.
DERIVED = {
    "trending_topics_fts does not agree with trending_topics": """
        select id
        from (
            select id, topic
            from trending_topics
            except
            select rowid, topic
            from trending_topics_fts
          )
        union all
        select rowid
        from trending_topics_fts
        where rowid not in (select id from trending_topics)
        """,
}


def add_topic(
    db: Connection,
    topic: str,
    source: str,
    relevance_score: float = 0.0,
    category: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    timestamp: str | None = None,
) -> dict[str, Any]:
    """Store a topic seen at `timestamp` (now if None) and return its row.

    The same topic may be stored several times.
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
        [row] = select(connection, INSERT_TOPIC, values)
    return row


def unused_topics(
    db: Connection,
    source: str | None = None,
    category: str | None = None,
    min_relevance: float | None = None,
    limit: int = 5,
) -> list[dict[str, Any]]:
    """Topics that no video used, ordered by relevance, then newest first.

    A relevance that is no number from 0 to 1 is treated as unknown and comes last.
    """
    values = {
        "source": source,
        "category": category,
        "min_relevance": min_relevance,
        "limit": limit,
    }
    return select(db, UNUSED_TOPICS, values)


def mark_used(db: Connection, topic_id: int) -> bool:
    """Mark the topic as used by a video; False if there is no such topic."""
    with transaction(db) as connection:
        return connection.execute(MARK_USED, {"id": topic_id}).rowcount > 0


def check(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield old rows that break today's rules, and topics that search does not find."""
    yield from named_rows(connection, CHECKS)
