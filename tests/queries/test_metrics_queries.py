"""The canned queries of `metrics` against the same told in Python, on new rows and on old ones."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils
from canned import ask, bare_scans, plan, queries_of
from empty_databases import create_databases
from legacy import rows

from loaders import metrics, open_database
from loaders.times import format_instant

Row = dict[str, Any]
QUERIES = (
    "top_videos",
    "engagement_by_platform",
    "engagement_by_topic",
    "engagement_by_day",
    "video_growth",
    "fastest_growing",
    "videos_by_status",
    "search_videos",
)
COUNTS = ("views", "likes", "comments", "shares", "saves")
LARGEST = 2**53 - 1
ALL_DAYS = {"days": "36500"}


@pytest.fixture
def path(copy_of: Callable[[str], Path]) -> Path:
    return copy_of("metrics")


@pytest.fixture
def db(data_dir: Path) -> Iterator[sqlite_utils.Database]:
    with closing(open_database("metrics")) as database:
        yield database


def instant(value: Any) -> str | None:
    """Told independently of SQLite, in UTC where a text names no zone."""
    if value and re.fullmatch(r"\d\d\.\d\d\.\d\d", value):
        value = datetime.strptime(value, "%y.%d.%m").replace(tzinfo=UTC).isoformat()
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return format_instant(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def sound(value: Any) -> Any:
    """The number, or None for what is no count."""
    return value if isinstance(value, int | float) and 0 <= value <= LARGEST else None


def share(value: Any) -> Any:
    return value if isinstance(value, int | float) and 0 <= value <= 1 else None


def snapshots(path: Path) -> list[Row]:
    """Every snapshot, the newest last."""
    found = rows(path, "select * from video_metrics")
    return sorted(found, key=lambda row: (instant(row["timestamp"]) or "", row["id"]))


def newest(path: Path) -> list[Row]:
    return list({(row["video_id"], row["platform"]): row for row in snapshots(path)}.values())


def videos(path: Path) -> dict[str, Row]:
    return {row["video_id"]: row for row in rows(path, "select * from video_metadata")}


def total(found: list[Row], column: str) -> Any:
    numbers = [sound(row[column]) for row in found if sound(row[column]) is not None]
    return pytest.approx(sum(numbers)) if numbers else None


def summed(found: list[Row]) -> Row:
    """What a statistic says of these snapshots, but for how many videos they are of."""
    viewed = [row for row in found if sound(row["views"]) is not None]
    interactions = sum(sound(row[name]) or 0 for row in viewed for name in COUNTS[1:])
    views = sum(row["views"] for row in viewed)
    rate = pytest.approx(interactions / views) if views else None
    return {**{name: total(found, name) for name in COUNTS}, "engagement_rate": rate}


def grouped(found: list[Row], key: Any) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in found:
        groups[key(row)].append(row)
    return groups


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"limit": "7"},
        {"platform": "instagram", "limit": "1000"},
        {"status": "posted", "platform": "youtube"},
        {"status": "archived", "limit": "1000"},
        {"limit": "1000"},
    ],
)
async def test_top_videos(path: Path, parameters: dict[str, str]) -> None:
    known = videos(path)
    wanted = [
        row
        for row in newest(path)
        if parameters.get("platform", row["platform"]) == row["platform"]
        and parameters.get("status", "") in ("", (known.get(row["video_id"]) or {}).get("status"))
    ]
    wanted.sort(key=lambda row: (-1 if sound(row["views"]) is None else row["views"], -row["id"]))
    expected = [
        {
            "video_id": row["video_id"],
            "platform": row["platform"],
            "title": (known.get(row["video_id"]) or {}).get("title"),
            "topic": (known.get(row["video_id"]) or {}).get("topic"),
            "views": sound(row["views"]),
            "engagement_rate": share(row["engagement_rate"]),
            "timestamp": row["timestamp"],
        }
        for row in reversed(wanted)
    ]
    assert (
        await ask("metrics", "top_videos", **parameters)
        == expected[: int(parameters.get("limit", 20))]
    )


async def test_engagement_by_platform(path: Path) -> None:
    found = await ask("metrics", "engagement_by_platform")
    assert {row["platform"]: row for row in found} == {
        platform: {"platform": platform, "videos": len(group), **summed(group)}
        for platform, group in grouped(newest(path), lambda row: row["platform"]).items()
    }
    assert found == sorted(found, key=lambda row: -row["views"])


@pytest.mark.parametrize("platform", ["", "tiktok"])
async def test_engagement_by_topic(path: Path, platform: str) -> None:
    known = videos(path)
    groups = grouped(
        [row for row in newest(path) if platform in ("", row["platform"])],
        lambda row: (known.get(row["video_id"]) or {}).get("topic"),
    )
    found = await ask("metrics", "engagement_by_topic", platform=platform)
    assert {row["topic"]: row for row in found} == {
        topic: {"topic": topic, "videos": len({row["video_id"] for row in group}), **summed(group)}
        for topic, group in groups.items()
    }
    rates = [-1 if row["engagement_rate"] is None else row["engagement_rate"] for row in found]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("platform", ["", "Instagram"])
async def test_engagement_by_day(path: Path, platform: str) -> None:
    dated = [
        row
        for row in snapshots(path)
        if instant(row["timestamp"]) and platform in ("", row["platform"])
    ]
    last_of_day = {
        (instant(row["timestamp"])[:10], row["video_id"], row["platform"]): row for row in dated
    }
    days = grouped(list(last_of_day.values()), lambda row: instant(row["timestamp"])[:10])
    found = await ask("metrics", "engagement_by_day", platform=platform, **ALL_DAYS)
    assert found == [
        {"day": day, "videos": len({row["video_id"] for row in days[day]}), **summed(days[day])}
        for day in sorted(days, reverse=True)
    ]


async def test_video_growth(path: Path) -> None:
    series = grouped(
        [row for row in snapshots(path) if instant(row["timestamp"])],
        lambda row: (row["video_id"], row["platform"]),
    )
    for (video_id, platform), group in sorted(series.items())[:: len(series) // 8]:
        found = await ask("metrics", "video_growth", video_id=video_id, platform=platform)
        before = [None, *(sound(row["views"]) for row in group)]
        assert found == [
            {
                "timestamp": row["timestamp"],
                "views": sound(row["views"]),
                "views_gained": None
                if None in (earlier, sound(row["views"]))
                else row["views"] - earlier,
                "engagement_rate": share(row["engagement_rate"]),
            }
            for earlier, row in zip(before, group, strict=False)
        ]


async def test_video_growth_without_parameters_is_that_of_the_top_video(path: Path) -> None:
    top = (await ask("metrics", "top_videos", limit="1"))[0]
    expected = await ask("metrics", "video_growth", video_id=top["video_id"])
    assert await ask("metrics", "video_growth") == expected
    assert top["views"] in [row["views"] for row in expected]


async def test_fastest_growing(db: sqlite_utils.Database) -> None:
    now = datetime.now(UTC)

    def views(video_id: str, platform: str, *points: tuple[float, int]) -> None:
        for hours_ago, count in points:
            at = (now - timedelta(hours=hours_ago)).isoformat()
            row = {"video_id": video_id, "platform": platform, "views": count, "timestamp": at}
            metrics.add_metrics(db, row)

    views("slow", "youtube", (40, 100), (30, 900), (1, 1000))
    views("fast", "tiktok", (2, 5000), (26, 1000), (50, 10))
    views("new", "youtube", (20, 50), (10, 700))
    views("over", "youtube", (80, 0), (60, 90_000))
    db.execute("insert into video_metadata (video_id, title) values ('fast', 'Fast')")
    found = await ask("metrics", "fastest_growing")
    assert [(row["video_id"], row["views"], row["views_gained"]) for row in found] == [
        ("fast", 5000, 4000),
        ("new", 700, 650),
        ("slow", 1000, 100),
    ]
    assert found[0]["title"] == "Fast"
    found = await ask("metrics", "fastest_growing", hours="72")
    assert [(row["video_id"], row["views_gained"]) for row in found] == [
        ("over", 90_000),
        ("fast", 4990),
        ("slow", 900),
        ("new", 650),
    ]


async def test_only_the_last_days_count(db: sqlite_utils.Database) -> None:
    now = datetime.now(UTC)
    for days in (1, 29, 31):
        at = (now - timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S")
        row = {"video_id": "v", "platform": "tiktok", "views": days, "timestamp": at}
        metrics.add_metrics(db, row)
    assert [row["views"] for row in await ask("metrics", "engagement_by_day")] == [1, 29]
    assert [row["views"] for row in await ask("metrics", "engagement_by_day", days="2")] == [1]


async def test_videos_by_status(path: Path) -> None:
    with_metrics = {row["video_id"] for row in snapshots(path)}
    groups = grouped(list(videos(path).values()), lambda row: row["status"])
    found = await ask("metrics", "videos_by_status")
    assert {row["status"]: row for row in found} == {
        status: {
            "status": status,
            "videos": len(group),
            "videos_with_metrics": len({row["video_id"] for row in group} & with_metrics),
        }
        for status, group in groups.items()
    }


@pytest.mark.parametrize("word", ["matcha", "butcher", "trailer", "utche"])
async def test_search_videos(path: Path, word: str) -> None:
    latest = grouped(newest(path), lambda row: row["video_id"])
    expected = {
        video_id: total(latest[video_id], "views")
        for video_id, row in videos(path).items()
        if word in f"{row['title']} {row['description']}".lower()
    }
    found = await ask("metrics", "search_videos", q=word)
    assert len(found) == min(50, len(expected))
    for row in found:
        assert row["views"] == expected[row["video_id"]]


def test_the_queries_are_those_of_the_contract_and_one_that_home_links_to() -> None:
    assert tuple(queries_of("metrics")) == QUERIES


@pytest.mark.parametrize("name", QUERIES)
def test_no_query_scans_a_table_that_grows_with_snapshots(data_dir: Path, name: str) -> None:
    create_databases(["metrics"])
    made_here = ("newest", "placed", "found", "since", "wanted")
    steps = plan("metrics", name)
    assert bare_scans(steps, "published", "video_metadata_fts", *made_here) in (
        [],
        [step for step in steps if step.startswith("SCAN (subquery-")],
    )
    assert not [step for step in steps if step.startswith("SCAN video_metrics")]
