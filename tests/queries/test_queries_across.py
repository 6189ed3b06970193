"""The canned queries across databases against the same told in Python, on new rows and old ones."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from canned import ask, queries_of
from datasette.utils import named_parameters
from empty_databases import create_databases
from legacy import rows

from loaders.registry import DATABASES, database_path

Row = dict[str, Any]
QUERIES = ("topic_engagement", "image_engagement", "build_engagement", "video_lineage")
INTERACTIONS = ("likes", "comments", "shares", "saves")
LARGEST = 2**53 - 1


@pytest.fixture
def files(kind: str, copy_of: Callable[[str], Path]) -> dict[str, Path]:
    """The databases' files; one upload of the old ones is made that of a video with metrics."""
    files = {name: copy_of(name) for name in DATABASES}
    if kind == "old":
        with closing(sqlite3.connect(database_path("yt-builder"))) as connection, connection:
            connection.execute(
                "update youtube_uploads set video_id = 'video_001'"
                " where id = (select max(id) from youtube_uploads)"
            )
    return files


def sound(value: Any) -> Any:
    return value if isinstance(value, int | float) and 0 <= value <= LARGEST else None


def newest(files: dict[str, Path]) -> list[Row]:
    """What tests/test_metrics_queries.py shows to be the newest snapshots."""
    return rows(files["metrics"], "select * from latest_video_metrics")


def numbers(found: list[Row]) -> tuple[Any, Any]:
    """Views and engagement rate of these snapshots together."""
    viewed = [row for row in found if sound(row["views"]) is not None]
    views = sum(row["views"] for row in viewed)
    interactions = sum(sound(row[name]) or 0 for row in viewed for name in INTERACTIONS)
    rate = pytest.approx(interactions / views) if views else None
    return (pytest.approx(views) if viewed else None), rate


def topics_by_source(files: dict[str, Path]) -> dict[tuple[str, str], list[Any]]:
    found: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for row in rows(files["trends"], "select * from trending_topics"):
        found[row["topic"], row["source"]].append(row["relevance_score"])
    return found


async def test_topic_engagement(files: dict[str, Path]) -> None:
    videos = defaultdict(list)
    for row in rows(files["metrics"], "select * from video_metadata"):
        videos[row["topic"]].append(row["video_id"])
    expected = []
    for (topic, source), scores in topics_by_source(files).items():
        if topic in videos:
            views, rate = numbers([row for row in newest(files) if row["topic"] == topic])
            known = [
                score for score in scores if isinstance(score, int | float) and 0 <= score <= 1
            ]
            expected.append(
                {
                    "topic": topic,
                    "source": source,
                    "relevance_score": max(known, default=None),
                    "videos": len(videos[topic]),
                    "views": views,
                    "engagement_rate": rate,
                }
            )
    found = await ask("_memory", "topic_engagement")
    assert len(found) == len(expected) > 5
    assert sorted(found, key=by_topic) == sorted(expected, key=by_topic)


def by_topic(row: Row) -> tuple[str, str]:
    return row["topic"], row["source"]


async def test_image_engagement(files: dict[str, Path]) -> None:
    by_video = defaultdict(list)
    for row in newest(files):
        by_video[row["video_id"]].append(row)
    used = defaultdict(set)
    for row in rows(files["image_library"], "select * from image_usage"):
        used[row["image_id"]].add(row["video_id"])
    paths = {
        row["id"]: row["file_path"]
        for row in rows(files["image_library"], "select * from image_library")
    }
    found = await ask("_memory", "image_engagement")
    assert len(found) == min(len(used), 1000)
    for row in found:
        videos = used[row["image_id"]]
        _, rate = numbers([one for video in videos for one in by_video[video]])
        assert row == {
            "image_id": row["image_id"],
            "file_path": paths[row["image_id"]],
            "videos": len(videos),
            "engagement_rate": rate,
        }


async def test_build_engagement(files: dict[str, Path]) -> None:
    runs = {row["job_id"]: row["run_id"] for row in rows(files["yt-builder"], "select * from jobs")}
    uploads = rows(files["yt-builder"], "select distinct job_id, video_id from youtube_uploads")
    expected = [
        {
            "job_id": upload["job_id"],
            "run_id": runs[upload["job_id"]],
            "video_id": row["video_id"],
            "platform": row["platform"],
            "views": sound(row["views"]),
            "engagement_rate": row["engagement_rate"],
        }
        for upload in uploads
        for row in newest(files)
        if row["video_id"] == upload["video_id"]
    ]
    expected.sort(key=lambda row: (-row["views"], row["job_id"], row["video_id"], row["platform"]))
    assert expected
    assert await ask("_memory", "build_engagement") == expected


async def test_video_lineage(files: dict[str, Path]) -> None:
    [upload] = rows(
        files["yt-builder"],
        """
        select video_id, job_id, run_id, video_url
        from youtube_uploads
        join jobs using (job_id)
        where video_id in ('video_001', 'dly_vid_003')
        """,
    )
    video_id = upload["video_id"]
    [known] = [
        row
        for row in rows(files["metrics"], "select * from video_metadata")
        if row["video_id"] == video_id
    ]
    images = rows(
        files["image_library"],
        f"""
        select distinct image_id, file_path
        from image_usage
        join image_library on image_library.id = image_id
        where video_id = '{video_id}'
        """,
    )
    latest = {row["platform"]: row for row in newest(files) if row["video_id"] == video_id}
    sources = sorted(source for topic, source in topics_by_source(files) if topic == known["topic"])
    found = await ask("_memory", "video_lineage", video_id=video_id)
    assert [row["platform"] for row in found] == sorted(latest)
    for row in found:
        assert sorted(json.loads(row.pop("images"))) == sorted(one["file_path"] for one in images)
        assert json.loads(row.pop("uploads")) == [upload["video_url"]]
        assert row == {
            "video_id": video_id,
            "title": known["title"],
            "topic": known["topic"],
            "source": ", ".join(sources) or None,
            "job_id": upload["job_id"],
            "run_id": upload["run_id"],
            **{
                name: latest[row["platform"]][name] for name in ("platform", "views", *INTERACTIONS)
            },
            "engagement_rate": latest[row["platform"]]["engagement_rate"],
            "timestamp": latest[row["platform"]]["timestamp"],
        }


async def test_lineage_of_a_video_that_only_an_upload_knows(files: dict[str, Path]) -> None:
    with closing(sqlite3.connect(files["yt-builder"])) as connection, connection:
        connection.execute(
            "update youtube_uploads set video_id = 'new', video_url = 'https://youtu.be/new'"
            " where id = (select min(id) from youtube_uploads)"
        )
    [row] = await ask("_memory", "video_lineage", video_id="new")
    assert (row["video_id"], row["uploads"], row["images"]) == (
        "new",
        '["https://youtu.be/new"]',
        "[]",
    )
    assert (row["topic"], row["platform"], row["views"]) == (None, None, None)
    assert row["job_id"] is not None


async def test_lineage_without_a_video_is_that_of_the_top_video(files: dict[str, Path]) -> None:
    [top] = await ask("metrics", "top_videos", limit="1")
    found = await ask("_memory", "video_lineage")
    assert {row["video_id"] for row in found} == {top["video_id"]}


def test_the_queries_are_those_of_the_contract() -> None:
    assert tuple(queries_of("_memory")) == QUERIES


GROWING = ("trending_topics", "video_metrics", "image_usage", "image_library", "youtube_uploads")


@pytest.mark.parametrize("name", QUERIES)
def test_no_query_scans_a_table_without_an_index(data_dir: Path, name: str) -> None:
    sql = queries_of("_memory")[name].sql
    with closing(sqlite3.connect(":memory:")) as connection:
        for database in ("trends", "metrics", "image_library", "yt-builder"):
            create_databases([database])
            connection.execute(f'attach ? as "{database}"', (str(database_path(database)),))
        plan = connection.execute(
            f"explain query plan {sql}", dict.fromkeys(named_parameters(sql), "")
        )
        scans = [step for *_, step in plan if step.startswith("SCAN ") and "INDEX" not in step]
    assert not [step for step in scans if step.split(".")[-1].split()[0] in GROWING]
