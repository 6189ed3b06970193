"""A `metrics` file of the earlier system, taken over whole, and its programs on ours."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from canned import refuse_constant
from in_process import ROOT, serving
from legacy import rows, unpack

from loaders import checks, metrics, open_database, upgrade

TABLES = ("video_metrics", "video_metadata", "monitoring_metrics")

# As the earlier system's script creates its file, again at every start.
EARLIER_SCHEMA = """
CREATE TABLE IF NOT EXISTS video_metrics (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    video_id TEXT NOT NULL,
    platform TEXT NOT NULL,
    views INTEGER DEFAULT 0,
    likes INTEGER DEFAULT 0,
    comments INTEGER DEFAULT 0,
    shares INTEGER DEFAULT 0,
    saves INTEGER DEFAULT 0,
    watch_time_seconds INTEGER DEFAULT 0,
    engagement_rate REAL DEFAULT 0.0,
    timestamp DATETIME DEFAULT CURRENT_TIMESTAMP,
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP,
    UNIQUE(video_id, platform, timestamp)
);
CREATE TABLE IF NOT EXISTS video_metadata (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    video_id TEXT NOT NULL UNIQUE,
    title TEXT,
    description TEXT,
    topic TEXT,
    script_path TEXT,
    audio_path TEXT,
    video_path TEXT,
    duration_seconds INTEGER,
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP,
    posted_at DATETIME,
    status TEXT DEFAULT 'draft'
);
CREATE INDEX IF NOT EXISTS idx_video_metrics_video_id ON video_metrics(video_id);
CREATE INDEX IF NOT EXISTS idx_video_metrics_timestamp ON video_metrics(timestamp DESC);
CREATE VIEW IF NOT EXISTS latest_video_metrics AS SELECT * FROM video_metrics;
"""


def typed_rows(path: Path, table: str, columns: list[str]) -> list[dict[str, Any]]:
    """Values and their types, row by row."""
    listed = ", ".join(f"{name}, typeof({name}) as type_of_{name}" for name in columns)
    return rows(path, f"select {listed} from {table} order by id")


def columns_of(path: Path, table: str) -> list[str]:
    return [row["name"] for row in rows(path, f"select name from pragma_table_info('{table}')")]


def newest(path: Path) -> list[dict[str, Any]]:
    return rows(path, "select id from latest_video_metrics order by id")


def test_every_row_keeps_its_number_its_values_and_their_types(tmp_path: Path) -> None:
    path = unpack("metrics.db", tmp_path)
    columns = {table: columns_of(path, table) for table in TABLES}
    before = {table: typed_rows(path, table, columns[table]) for table in TABLES}
    numbers = rows(path, "select * from sqlite_sequence order by name")
    built = upgrade.build("metrics", path)
    assert {table: typed_rows(path, table, columns[table]) for table in TABLES} == before
    assert rows(path, "select * from sqlite_sequence order by name") == numbers
    assert built.backup is not None
    kept = Path(built.backup)
    assert {table: typed_rows(kept, table, columns[table]) for table in TABLES} == before


def test_second_build_changes_nothing(tmp_path: Path) -> None:
    path = unpack("metrics.db", tmp_path)
    upgrade.build("metrics", path)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    again = upgrade.build("metrics", path)
    assert (again.migrations, again.backup) == ([], None)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


def test_newest_snapshot_of_old_rows_is_by_instant(tmp_path: Path) -> None:
    """The earlier view compared texts, and showed old days where they are written YY.DD.MM."""
    path = unpack("metrics.db", tmp_path)
    upgrade.build("metrics", path)
    stored = rows(path, "select id, video_id, platform, timestamp from video_metrics")
    assert {type(row["timestamp"]) for row in stored} == {str, type(None)}
    latest: dict[tuple[str, str], tuple[str, int]] = {}
    for row in stored:
        key = row["video_id"], row["platform"]
        latest[key] = max(latest.get(key, ("", 0)), (day_and_time(row["timestamp"]), row["id"]))
    assert [row["id"] for row in newest(path)] == sorted(number for _, number in latest.values())


def day_and_time(text: str | None) -> str:
    """A text that sorts; the old file has no offsets."""
    if text is None:
        return ""
    if len(text) == 8:
        year, day, month = text.split(".")
        text = f"20{year}-{month}-{day}"
    day, time = text[:10], text[11:].rstrip("Z")
    return f"{day} {time or '00:00:00'}".ljust(26, "0").replace(".", "0")


def test_times_without_a_zone_are_of_the_configured_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "metrics.db"
    texts = {
        "2025-11-01T10:00:00": "2025-11-01T14:00:00.000Z",
        "2025-11-01 10:00:00.500000": "2025-11-01T14:00:00.500Z",
        "2025-11-01 10:00:00": "2025-11-01T10:00:00.000Z",
        "2025-11-01T10:00:00Z": "2025-11-01T10:00:00.000Z",
        "2025-11-01T10:00:00-01:00": "2025-11-01T11:00:00.000Z",
        "2025-11-01": "2025-11-01T00:00:00.000Z",
        "25.01.11": "2025-11-01T00:00:00.000Z",
        "soon": None,
    }
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(EARLIER_SCHEMA)
        connection.executemany(
            "insert into video_metrics (video_id, platform, timestamp) values ('v', 'tiktok', ?)",
            [(text,) for text in texts],
        )
        connection.commit()
    monkeypatch.setenv("DAILIES_TIMEZONE", "America/New_York")
    upgrade.build("metrics", path)
    measured = rows(path, "select timestamp, measured_at from video_metrics")
    assert {row["timestamp"]: row["measured_at"] for row in measured} == texts
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("update video_metrics set views = 5")
        connection.commit()
    assert rows(path, "select timestamp, measured_at from video_metrics") == measured


def test_check_names_what_is_odd(tmp_path: Path) -> None:
    path = unpack("metrics.db", tmp_path)
    upgrade.build("metrics", path)
    findings = checks.examine("metrics", path)
    assert "table monitoring_metrics: not created by Dailies" in findings.notes
    assert [text.split(":")[0] for text in findings.problems] == [
        "video_metrics.views must be a whole number, 0 or more",
        "video_metrics.likes must be a whole number, 0 or more",
        "video_metrics.engagement_rate must be a number from 0 to 1",
        "video_metadata.duration_seconds must be a number, 0 or more",
        "video_metadata.status must be one of draft, rendered, posted, archived",
        "video_metrics.timestamp names no instant",
        "video_metrics has another snapshot of the same video, platform and instant",
        "video_metrics.platform differs from another only in its capitals",
        "video_metrics is of a video that video_metadata does not know",
    ]


def test_check_notices_a_wrong_newest_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    unknown = "video_metrics is of a video that video_metadata does not know: v"
    with closing(open_database("metrics", path)) as db:
        metrics.add_metrics(db, {"video_id": "v", "platform": "tiktok"})
        assert checks.check("metrics", path) == [unknown]
        with db.conn:
            db.conn.execute("delete from video_platforms")
    newest = "latest_video_metrics does not show the newest snapshot: v"
    assert checks.check("metrics", path) == [f"{newest}: run `dailies build metrics`", unknown]


def test_unknown_columns_tables_indexes_and_triggers_stay(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(EARLIER_SCHEMA)
        connection.executescript(
            """
            alter table video_metrics add column "campaign name" text;
            create index by_campaign on video_metrics ("campaign name");
            create table notes (text);
            create trigger note after delete on video_metrics
            begin insert into notes values (old.video_id); end;
            insert into video_metrics (video_id, platform, "campaign name") values ('v', 'x', 'c');
            insert into video_metrics (id, video_id, platform) values (99, 'w', 'x');
            delete from video_metrics where id = 99;
            """
        )
    upgrade.build("metrics", path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute('select "campaign name" from video_metrics').fetchall() == [
            ("c",)
        ]
        cursor = connection.execute(
            "insert into video_metrics (video_id, platform) values ('y', 'x')"
        )
        assert cursor.lastrowid == 100
        connection.execute("delete from video_metrics where video_id = 'v'")
        assert connection.execute("select * from notes").fetchall() == [("w",), ("v",)]
        plan = "explain query plan select * from video_metrics where \"campaign name\" = 'c'"
        assert "by_campaign" in str(connection.execute(plan).fetchall())


@pytest.mark.parametrize("recursive_triggers", ["on", "off"])
def test_earlier_programs_keep_working(tmp_path: Path, recursive_triggers: str) -> None:
    path = unpack("metrics.db", tmp_path)
    upgrade.build("metrics", path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"pragma recursive_triggers = {recursive_triggers}")
        connection.executescript(EARLIER_SCHEMA)
        connection.execute(
            """
            INSERT OR REPLACE INTO video_metadata
            (video_id, title, description, topic, video_path, duration_seconds, status)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            """,
            ("video_001", "New title", "d", "AI trends 2025", "data/x.mp4", 45, "draft"),
        )
        connection.execute(
            """
            INSERT INTO video_metrics (video_id, platform, views, likes, comments, shares, saves)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            """,
            ("video_001", "instagram", 1500, 120, 15, 8, 7),
        )
        connection.execute(
            "UPDATE video_metadata SET status = 'posted', posted_at = CURRENT_TIMESTAMP"
            " WHERE video_id = 'video_001'"
        )
        latest = connection.execute(
            """
            SELECT title, views, engagement_rate FROM latest_video_metrics
            WHERE video_id = 'video_001' AND platform = 'instagram'
            """
        ).fetchall()
        assert latest == [("New title", 1500, 0.1)]
        found = (
            "select video_id from video_metadata where id in (select rowid from video_metadata_fts"
        )
        match = connection.execute(f"{found} where video_metadata_fts match 'title AND new')")
        assert ("video_001",) in match.fetchall()


PAGES = (
    "/metrics/video_metrics.json?_size=max&_sort_desc=engagement_rate",
    "/metrics/video_metrics.json?_shape=array&_size=max&engagement_rate__gt=1",
    "/metrics/video_metrics.json?_shape=arrays&_size=max&_facet=engagement_rate",
    "/metrics/video_metrics.json?_shape=objects&_nl=on&_size=max",
    "/metrics/latest_video_metrics.json?_size=max",
    "/metrics/latest_video_metrics.json?_shape=array&_size=max",
    "/metrics/-/query.json?sql=select+max(engagement_rate)+from+video_metrics",
    "/metrics/top_videos.json",
)


@pytest.mark.parametrize("address", PAGES)
async def test_answers_are_json_whatever_old_rows_hold(data_dir: Path, address: str) -> None:
    unpack("metrics.db", data_dir)
    upgrade.build("metrics", data_dir / "metrics.db")
    with serving() as datasette:
        await datasette.invoke_startup()
        response = await datasette.client.get(address, actor=ROOT)
    assert response.status_code == 200
    assert json.loads(response.text, parse_constant=refuse_constant)


async def test_answer_to_a_write_is_json_whatever_the_old_row_holds(data_dir: Path) -> None:
    unpack("metrics.db", data_dir)
    upgrade.build("metrics", data_dir / "metrics.db")
    [row] = rows(
        data_dir / "metrics.db",
        "select id, views from video_metrics where engagement_rate = 9e999 limit 1",
    )
    with serving() as datasette:
        await datasette.invoke_startup()
        response = await datasette.client.post(
            f"/metrics/video_metrics/{row['id']}/-/update",
            actor=ROOT,
            json={"update": {"watch_time_seconds": 5}, "return": True},
        )
    assert response.status_code == 200, response.text
    [returned] = json.loads(response.text, parse_constant=refuse_constant)["rows"]
    assert (returned["watch_time_seconds"], returned["engagement_rate"]) == (5, None)


async def test_only_the_contract_is_served(data_dir: Path) -> None:
    """A table of the old system is not readable; a helper table of ours has no page."""
    unpack("metrics.db", data_dir)
    upgrade.build("metrics", data_dir / "metrics.db")
    with serving() as datasette:
        await datasette.invoke_startup()
        for name in ("monitoring_metrics", "video_platforms"):
            page = await datasette.client.get(f"/metrics/{name}.json", actor=ROOT)
            assert (page.status_code, page.json()["error"]) == (404, "Table not found")
        query = await datasette.client.get(
            "/metrics/-/query.json?sql=select+*+from+monitoring_metrics", actor=ROOT
        )
    assert query.status_code == 400
    assert "prohibited" in query.json()["error"]
