"""The tables of `metrics` under every kind of write, by plain SQL as any program may send it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils
from empty_databases import create_at
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from loaders import open_database
from loaders.metrics.snapshots import METRICS_COLUMNS

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
COLUMNS = ", ".join(("id", *METRICS_COLUMNS, "measured_at"))
BOTH = pytest.mark.parametrize("pragmas", [("on", "on"), ("off", "off")])


def connect(path: Path, recursive_triggers: str = "off", foreign_keys: str = "off") -> Any:
    """As a program does that knows nothing of us."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute(f"pragma recursive_triggers = {recursive_triggers}")
    connection.execute(f"pragma foreign_keys = {foreign_keys}")
    connection.execute("pragma synchronous = off")
    return connection


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return create_at("metrics", tmp_path / "metrics.db")


@pytest.fixture(params=["on", "off"])
def db(request: pytest.FixtureRequest, path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(path, request.param, request.param)) as connection:
        yield connection


def snapshot(db: sqlite3.Connection, **values: Any) -> sqlite3.Row:
    """Insert a snapshot and read it back."""
    row = {"video_id": "v", "platform": "youtube", **values}
    names = ", ".join(row)
    places = ", ".join(f":{name}" for name in row)
    cursor = db.execute(f"insert into video_metrics ({names}) values ({places})", row)
    found: sqlite3.Row = db.execute(
        "select * from video_metrics where id = ?", (cursor.lastrowid,)
    ).fetchone()
    return found


def search(db: sqlite3.Connection, word: str) -> list[int]:
    db.execute(
        "insert into video_metadata_fts (video_metadata_fts, rank) values ('integrity-check', 1)"
    )
    found = db.execute(
        "select rowid from video_metadata_fts where video_metadata_fts match ?", (word,)
    )
    return sorted(rowid for (rowid,) in found)


@pytest.mark.parametrize(
    ("values", "rate"),
    [
        ({"views": 1000, "likes": 50, "comments": 20, "shares": 20, "saves": 10}, 0.1),
        ({"views": 10, "likes": 50}, 1.0),
        ({"views": 0, "likes": 50}, 0.0),
        ({}, 0.0),
        ({"views": None, "likes": 50}, None),
        ({"views": 100, "likes": 5, "shares": None, "saves": None}, 0.05),
        ({"views": 100, "likes": 5, "engagement_rate": None}, 0.05),
        ({"views": 100, "likes": 5, "engagement_rate": 0.0}, 0.0),
        ({"views": 100, "likes": 5, "engagement_rate": 0.9}, 0.9),
        ({"views": 2**63 - 1, "likes": 2**63 - 1, "comments": 2**63 - 1}, 1.0),
    ],
)
def test_rate_of_a_new_snapshot(
    db: sqlite3.Connection, values: dict[str, Any], rate: float | None
) -> None:
    assert snapshot(db, **values)["engagement_rate"] == rate


def test_calculated_rate_follows_its_counts_and_a_given_one_stays(db: sqlite3.Connection) -> None:
    calculated = snapshot(db, video_id="a", views=100, likes=5)["id"]
    given_one = snapshot(db, video_id="b", views=100, likes=5, engagement_rate=0.9)["id"]
    db.execute("update video_metrics set likes = 10")
    rates = {row[0]: row[1] for row in db.execute("select id, engagement_rate from video_metrics")}
    assert rates == {calculated: 0.1, given_one: 0.9}
    db.execute("update video_metrics set engagement_rate = null")
    assert [rate for (rate,) in db.execute("select engagement_rate from latest_video_metrics")] == [
        0.1,
        0.1,
    ]


@pytest.mark.parametrize(
    ("time", "instant"),
    [
        ("2025-11-01", "2025-11-01T00:00:00.000Z"),
        ("2025-11-01 10:20:30", "2025-11-01T10:20:30.000Z"),
        ("2025-11-01T10:20:30", "2025-11-01T10:20:30.000Z"),
        ("2025-11-01T10:20:30Z", "2025-11-01T10:20:30.000Z"),
        ("2025-11-01T10:20:30.123456", "2025-11-01T10:20:30.123Z"),
        ("2025-11-01T10:20:30+02:00", "2025-11-01T08:20:30.000Z"),
        (1761992430, "2025-11-01T10:20:30.000Z"),
        (1761992430123, "2025-11-01T10:20:30.123Z"),
        ("25.01.11", "2025-11-01T00:00:00.000Z"),
        ("17.31.12", "2017-12-31T00:00:00.000Z"),
        ("17.12.31", None),
        ("yesterday", None),
        ("now", None),
        ("", None),
        (None, None),
        (12.5, None),
    ],
)
def test_instant_of_a_timestamp(db: sqlite3.Connection, time: Any, instant: str | None) -> None:
    row = snapshot(db, timestamp=time, measured_at="mine")
    assert (row["timestamp"], row["measured_at"]) == (time, instant)
    db.execute("update video_metrics set measured_at = 'mine', views = 3")
    latest = db.execute("select measured_at, views from latest_video_metrics").fetchone()
    assert tuple(latest) == (instant, 3)


def test_new_times_are_in_our_form(db: sqlite3.Connection) -> None:
    row = snapshot(db)
    for column in ("timestamp", "created_at", "measured_at"):
        assert datetime.strptime(row[column], "%Y-%m-%dT%H:%M:%S.%f%z")
        assert len(row[column]) == len("2026-11-20T07:15:00.000Z")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("views", -1, "video_metrics.views: must be a whole number, 0 or more"),
        ("likes", 1.5, "video_metrics.likes: must be a whole number, 0 or more"),
        ("comments", "N/A", "video_metrics.comments: must be a whole number, 0 or more"),
        ("shares", -5, "video_metrics.shares: must be a whole number, 0 or more"),
        ("saves", "1,234", "video_metrics.saves: must be a whole number, 0 or more"),
        ("watch_time_seconds", -1, "video_metrics.watch_time_seconds: must be a whole number"),
        ("engagement_rate", 1.01, "video_metrics.engagement_rate: must be a number from 0 to 1"),
        ("engagement_rate", float("inf"), "video_metrics.engagement_rate: must be a number"),
        ("engagement_rate", "3.2%", "video_metrics.engagement_rate: must be a number from 0 to 1"),
        ("platform", "", "video_metrics.platform: must not be empty"),
        ("video_id", " ", "video_metrics.video_id: must not be empty"),
        ("metadata", "{", "video_metrics.metadata: must be valid JSON"),
    ],
)
def test_broken_snapshot_is_refused(
    db: sqlite3.Connection, column: str, value: Any, message: str
) -> None:
    with pytest.raises(sqlite3.IntegrityError, match=message):
        snapshot(db, **{column: value})
    kept = snapshot(db, views=1)
    for verb in ("update", "update or ignore", "update or replace"):
        with pytest.raises(sqlite3.IntegrityError, match=message):
            db.execute(f"{verb} video_metrics set {column} = ?", (value,))
    assert [tuple(row) for row in db.execute("select * from video_metrics")] == [tuple(kept)]
    assert db.execute("select paused from write_context").fetchone()[0] == 0


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("status", "POSTED", "video_metadata.status: must be one of draft, rendered, posted"),
        ("status", "", "video_metadata.status: must be one of draft"),
        ("duration_seconds", -1, "video_metadata.duration_seconds: must be a number, 0 or more"),
        ("duration_seconds", "0:45", "video_metadata.duration_seconds: must be a number"),
        ("video_id", "", "video_metadata.video_id: must not be empty"),
        ("metadata", "NaN", "video_metadata.metadata: must be valid JSON"),
    ],
)
def test_broken_metadata_is_refused(
    db: sqlite3.Connection, column: str, value: Any, message: str
) -> None:
    row = {"video_id": "v", column: value}
    places = ", ".join("?" * len(row))
    with pytest.raises(sqlite3.IntegrityError, match=message):
        db.execute(
            f"insert into video_metadata ({', '.join(row)}) values ({places})", [*row.values()]
        )
    assert db.execute("select count(*) from video_metadata").fetchone()[0] == 0


def test_same_video_platform_and_timestamp_only_once(db: sqlite3.Connection) -> None:
    snapshot(db, timestamp="2026-11-01")
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE constraint failed: video_metrics"):
        snapshot(db, timestamp="2026-11-01")


def test_search_follows_every_write(db: sqlite3.Connection) -> None:
    db.execute("insert into video_metadata (video_id, title) values ('a', 'apple'), ('b', 'berry')")
    assert (search(db, "apple"), search(db, "berry")) == ([1], [2])
    db.execute("insert or replace into video_metadata (video_id, title) values ('a', 'cherry')")
    assert (search(db, "apple"), search(db, "cherry")) == ([], [3])
    db.execute("insert or ignore into video_metadata (video_id, title) values ('a', 'date')")
    assert (search(db, "date"), search(db, "cherry")) == ([], [3])
    db.execute(
        """
        insert into video_metadata (video_id, title) values ('a', 'elder')
        on conflict (video_id) do update set description = excluded.title
        """
    )
    assert (search(db, "elder"), search(db, "cherry")) == ([3], [3])
    db.execute("update or replace video_metadata set video_id = 'b' where video_id = 'a'")
    assert (search(db, "berry"), search(db, "elder")) == ([], [3])
    db.execute("delete from video_metadata")
    assert search(db, "elder") == []


def test_view_has_every_column_and_title_topic_duration(db: sqlite3.Connection) -> None:
    db.execute(
        """
        insert into video_metadata (video_id, title, topic, duration_seconds)
        values ('v', 'Trail mix', 'nuts', 38)
        """
    )
    row = snapshot(db, views=7, metadata='{"dislikes": 1}')
    snapshot(db, video_id="unknown")
    known, unknown = db.execute("select * from latest_video_metrics order by id").fetchall()
    assert dict(known) == {
        **dict(row),
        "title": "Trail mix",
        "topic": "nuts",
        "duration_seconds": 38,
    }
    assert (unknown["video_id"], unknown["title"]) == ("unknown", None)


def test_sqlite_utils_insert_and_upsert(path: Path) -> None:
    database = sqlite_utils.Database(path)
    rows = [
        {"video_id": "v", "platform": "tiktok", "views": n, "timestamp": n + 1_700_000_000}
        for n in (5, 9, 7)
    ]
    database["video_metrics"].insert_all(rows)
    assert [row["views"] for row in database.query("select * from latest_video_metrics")] == [9]
    earlier = {"id": 2, "video_id": "v", "platform": "tiktok", "timestamp": 1_600_000_000}
    database["video_metrics"].upsert(earlier, pk="id")
    assert [row["views"] for row in database.query("select * from latest_video_metrics")] == [7]
    database["video_metrics"].delete(3)
    database["video_metrics"].delete_where("views = 5")
    assert [row["views"] for row in database.query("select * from latest_video_metrics")] == [9]
    database.close()


# One video and platform has few instants, so that ties and late arrivals are many.
VIDEOS = st.sampled_from(["a", "b"])
PLATFORMS = st.sampled_from(["youtube", "instagram", "Instagram"])
IDS = st.integers(1, 6)
ZONES = st.sampled_from(
    [UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=3))]
)


def spelled(moment: datetime, spelling: int, zone: timezone) -> Any:
    naive = moment.replace(tzinfo=None)
    return [
        naive.isoformat(" "),
        naive.isoformat(),
        naive.isoformat() + "Z",
        naive.isoformat(timespec="microseconds"),
        moment.astimezone(zone).isoformat(),
        int(moment.timestamp()),
        int(moment.timestamp()) * 1000,
        f"{naive:%Y-%m-%d}",
        f"{naive:%y.%d.%m}",
        "soon",
        None,
    ][spelling]


TIMES = st.builds(
    spelled,
    st.builds(lambda hours: NOON + timedelta(hours=hours), st.integers(0, 30)),
    st.integers(0, 10),
    ZONES,
)


def instant(value: Any) -> datetime:
    """Independent of SQLite; what names no instant is older than everything."""
    if isinstance(value, int):
        return datetime.fromtimestamp(value / (1000 if value > 10**11 else 1), UTC)
    text = value or ""
    if len(text) == 8:
        text = datetime.strptime(text, "%y.%d.%m").replace(tzinfo=UTC).isoformat()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def newest(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    latest: dict[tuple[str, str], dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: (instant(row["timestamp"]), row["id"])):
        latest[row["video_id"], row["platform"]] = row
    return sorted(latest.values(), key=lambda row: row["id"])


BY_KEY = """
into video_metrics (video_id, platform, timestamp, views)
values (:v, :p, :t, :n)
"""
BY_ID = """
into video_metrics (id, video_id, platform, timestamp, views)
values (:i, :v, :p, :t, :n)
"""

WRITES = st.tuples(
    st.sampled_from(
        [
            f"insert or ignore {BY_KEY}",
            f"insert or replace {BY_KEY}",
            f"insert or ignore {BY_ID}",
            f"insert or replace {BY_ID}",
            f"insert {BY_KEY} on conflict (video_id, platform, timestamp) do update set views = 50",
            f"insert {BY_ID} on conflict do nothing",
            f"insert or ignore {BY_KEY}, (:v, :p, null, 0), (:v, 'facebook', :t, 1)",
            "update or ignore video_metrics set timestamp = :t where video_id = :v",
            "update or replace video_metrics set timestamp = :t where platform = :p",
            "update or replace video_metrics set platform = :p where id = :i",
            "update or replace video_metrics set id = :i, video_id = :v where id = :j",
            "update video_metrics set views = :n",
            "delete from video_metrics where id = :i",
            "delete from video_metrics where video_id = :v and platform = :p",
            "delete from video_metrics",
        ]
    ),
    st.fixed_dictionaries(
        {"v": VIDEOS, "p": PLATFORMS, "t": TIMES, "i": IDS, "j": IDS, "n": st.integers(0, 99)}
    ),
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("shared") / "metrics.db"
    open_database("metrics", file).close()
    return file


@pytest.mark.parametrize("recursive_triggers", ["on", "off"])
@examples(150)
@given(writes=st.lists(WRITES, max_size=12))
def test_newest_snapshot_after_every_write(
    shared: Path, recursive_triggers: str, writes: list[tuple[str, dict[str, Any]]]
) -> None:
    with closing(connect(shared, recursive_triggers)) as db:
        db.execute("begin")
        for sql, values in writes:
            db.execute(sql, values)
            stored = [dict(row) for row in db.execute("select * from video_metrics")]
            latest = db.execute(f"select {COLUMNS} from latest_video_metrics order by id")
            assert [dict(row) for row in latest] == newest(stored)
        db.execute("rollback")
