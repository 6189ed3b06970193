"""The page of a topic: the same topic in other sources, and the videos about it."""

from __future__ import annotations

from typing import Any

from dailies.web.pages.viewer import PageQuery, Viewer

TOPIC = PageQuery(
    "trends",
    ("trending_topics",),
    """
    select *
    from trending_topics
    where id = :id
    """,
)

SAME = PageQuery(
    "trends",
    ("trending_topics",),
    """
    select id, source, relevance_score, timestamp
    from trending_topics
    where topic = :topic
      and id <> :id
    order by id desc
    limit 50
    """,
)

VIDEOS = PageQuery(
    "metrics",
    ("video_metadata",),
    """
    select id, video_id, title, status, posted_at
    from video_metadata
    where topic = :topic
    order by id desc
    limit 50
    """,
)


async def read(viewer: Viewer, key: str) -> dict[str, Any] | None:
    topic = await viewer.row(TOPIC, id=key)
    if topic is None:
        return None
    return {
        "topic": topic,
        "same": await viewer.rows(SAME, topic=topic["topic"], id=topic["id"]),
        "videos": await viewer.rows(VIDEOS, topic=topic["topic"]),
    }
