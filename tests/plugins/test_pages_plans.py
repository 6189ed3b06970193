"""The queries of our pages use indexes, so that their cost does not grow with the tables."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from canned import bare_scans
from in_process import asking, serving

from dailies.web.pages.viewer import PageQuery, Viewer
from loaders.registry import database_path
from loaders.search import add_functions

PAGES = (
    "/",
    "/-/search?q=mat",
    "/-/queue",
    "/-/queue?state=queued",
    "/-/queue?state=failed",
    "/-/queue?state=completed&hours=24",
    "/campaigns/jobs/spring-matcha-avatar",
    "/yt-builder/jobs/1",
    "/presentation_jobs/presentation_jobs/pitch-sleep-spray",
    "/metrics/video_metadata/1",
    "/image_library/image_library/1",
    "/trends/trending_topics/1",
    "/-/videos/dly_vid_001",
)
# Counted up to a limit only.
BOUNDED = (
    "image_collections",
    "image_library",
    "image_usage",
    "search_history",
    "trending_topics",
    "video_metadata",
    "video_metrics",
    "youtube_uploads",
)
SMALL = ("published", "newest", "running", "platforms", "found", "json_each", "job_counts")


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> list[tuple[PageQuery, dict[str, Any]]]:
    """Every query of a page from now on, with its values."""
    found: list[tuple[PageQuery, dict[str, Any]]] = []
    rows = Viewer.rows

    async def record(viewer: Viewer, query: PageQuery, **values: Any) -> Any:
        found.append((query, values))
        return await rows(viewer, query, **values)

    monkeypatch.setattr(Viewer, "rows", record)
    return found


async def test_no_page_reads_a_whole_table_that_grows(
    samples: Path, queries: list[tuple[PageQuery, dict[str, Any]]]
) -> None:
    with serving() as datasette:
        async with asking(datasette, None) as client:
            for path in PAGES:
                await client.get(path)
    assert len(queries) > 40
    for query, values in queries:
        counts = "select count(*) as found" in query.sql and "limit :max + 1" in query.sql
        if "holds_terms" in query.sql:
            continue  # parts of words may have to be looked for in all rows
        allowed = (*SMALL, *BOUNDED) if counts else SMALL
        steps = [step for step in plan(query, values) if "(subquery-" not in step]
        assert bare_scans(steps, *allowed) == [], (query.sql, steps)


def plan(query: PageQuery, values: dict[str, Any]) -> list[str]:
    with closing(sqlite3.connect(database_path(query.database))) as connection:
        add_functions(connection)
        explained = connection.execute(f"explain query plan {query.sql}", values)
        return [row[3] for row in explained]
