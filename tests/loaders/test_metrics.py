"""The Python functions of `metrics`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils

from loaders import metrics, open_database
from loaders.errors import DuplicateKey

SNAPSHOT = {"video_id": "v", "platform": "tiktok", "views": 100, "likes": 5}


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite_utils.Database]:
    database = open_database("metrics", tmp_path / "metrics.db")
    yield database
    database.close()


def test_newest_snapshots(db: sqlite_utils.Database) -> None:
    metrics.add_metadata(db, {"video_id": "v", "title": "Trail mix", "status": "posted"})
    metrics.add_metrics(
        db,
        [
            {**SNAPSHOT, "timestamp": "2026-11-02"},
            {**SNAPSHOT, "timestamp": "2026-11-01T23:59:59Z", "views": 90},
            {**SNAPSHOT, "platform": "youtube", "views": 7},
        ],
    )
    found = [
        (row["platform"], row["views"], row["title"]) for row in metrics.latest_metrics(db, "v")
    ]
    assert found == [("tiktok", 100, "Trail mix"), ("youtube", 7, "Trail mix")]
    assert [row["engagement_rate"] for row in metrics.latest_metrics(db, platform="tiktok")] == [
        0.05
    ]
    assert metrics.latest_metrics(db, "other") == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"views": -3}, "video_metrics.views: must be a whole number, 0 or more, not -3"),
        ({"engagement_rate": 1.5}, "video_metrics.engagement_rate: .* from 0 to 1, not 1.5"),
        ({"platform": None}, "video_metrics.platform: must not be empty|NOT NULL"),
        ({"veiws": 3}, "video_metrics has no column veiws to set"),
        ({"measured_at": "now"}, "video_metrics has no column measured_at to set"),
    ],
)
def test_bad_snapshot_is_refused_with_all_beside_it(
    db: sqlite_utils.Database, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        metrics.add_metrics(db, [SNAPSHOT, {**SNAPSHOT, "video_id": "w", **change}])
    assert metrics.latest_metrics(db) == []


def test_duplicate_key(db: sqlite_utils.Database) -> None:
    metrics.add_metadata(db, {"video_id": "v"})
    with pytest.raises(DuplicateKey, match="video_metadata of video 'v' already exists"):
        metrics.add_metadata(db, {"video_id": "v"})
    metrics.add_metrics(db, {**SNAPSHOT, "timestamp": "2026-11-02"})
    with pytest.raises(sqlite3.IntegrityError, match="already exists"):
        metrics.add_metrics(db, {**SNAPSHOT, "timestamp": "2026-11-02"})
