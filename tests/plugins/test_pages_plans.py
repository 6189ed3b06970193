"""What our pages ask costs by what they show, not by what the tables hold."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from canned import bare_scans
from in_process import asking, serving

from dailies.web.pages.viewer import Question, Viewer
from loaders.registry import database_path

PAGES = (
    "/",
    "/-/search?q=mat",
    "/campaigns/jobs/spring-matcha-avatar",
    "/yt-builder/jobs/1",
    "/presentation_jobs/presentation_jobs/pitch-sleep-spray",
    "/metrics/video_metadata/1",
    "/image_library/image_library/1",
    "/trends/trending_topics/1",
    "/-/videos/dly_vid_001",
)
# Read as far as what is counted or shown, or kept small by triggers.
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
SMALL = ("latest_snapshots", "newest", "running", "platforms", "found", "json_each", "job_counts")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Question, dict[str, Any]]]:
    """Every question that pages ask from now on."""
    found: list[tuple[Question, dict[str, Any]]] = []
    rows = Viewer.rows

    async def told(viewer: Viewer, question: Question, **values: Any) -> Any:
        found.append((question, values))
        return await rows(viewer, question, **values)

    monkeypatch.setattr(Viewer, "rows", told)
    return found


async def test_no_page_reads_a_whole_table_that_grows(
    samples: Path, asked: list[tuple[Question, dict[str, Any]]]
) -> None:
    with serving() as datasette:
        async with asking(datasette, None) as client:
            for path in PAGES:
                await client.get(path)
    assert len(asked) > 40
    for question, values in asked:
        counts = "select count(*) as found" in question.sql and "limit :most + 1" in question.sql
        allowed = (*SMALL, *BOUNDED) if counts else SMALL
        steps = [step for step in plan(question, values) if "(subquery-" not in step]
        assert bare_scans(steps, *allowed) == [], (question.sql, steps)


def plan(question: Question, values: dict[str, Any]) -> list[str]:
    with closing(sqlite3.connect(database_path(question.database))) as connection:
        connection.create_function("escape_fts", 1, str)
        explained = connection.execute(f"explain query plan {question.sql}", values)
        return [row[3] for row in explained]
