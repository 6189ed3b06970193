"""Import of many snapshots into metrics, and the newest ones beside the earlier system's view."""

from __future__ import annotations

import csv
import gc
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.files import per_second, seconds
from benchmarks.rows import Row
from benchmarks.workspace import Workspace, run_command
from dailies.canned_queries import read_queries
from dailies.home import HOME

VIDEOS = 5_000
PLATFORMS = ("youtube", "tiktok", "instagram", "facebook")
COLUMNS = (
    "video_id", "platform", "views", "likes", "comments", "shares", "saves",
    "watch_time_seconds", "timestamp",
)  # fmt: skip
EARLIER_VIEW = """
create temp view earlier_latest_video_metrics as
select vm.*, vmd.title, vmd.topic, vmd.duration_seconds
from video_metrics vm
inner join (
    select video_id, platform, max(timestamp) as max_timestamp
    from video_metrics
    group by video_id, platform
  ) latest
  on vm.video_id = latest.video_id
  and vm.platform = latest.platform
  and vm.timestamp = latest.max_timestamp
left join video_metadata vmd on vm.video_id = vmd.video_id
"""


def measure(work: Workspace) -> Iterator[Row]:
    count, database = work.snapshots, work.data_dir / "metrics.db"
    source = write_csv(work.folder / "snapshots.csv", count)
    bare = count / seconds(lambda: bare_import(source, work.folder / "bare.db"))
    done = run_command(work.data_dir, "import", "metrics", source, "--table", "video_metrics")
    check_latest(database, count)
    name = "import snapshots, CSV"
    yield per_second(name, count, done.seconds, bare, 80_000)
    yield Row(f"{name}: memory", done.megabytes, "MB", "less")
    source.unlink()
    yield query(database)


def write_csv(path: Path, count: int) -> Path:
    """An hour between the snapshots of a video, each video on one of four platforms."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(map(snapshot, range(count)))
    return path


def snapshot(number: int) -> tuple[object, ...]:
    video = number % VIDEOS
    platform = PLATFORMS[video % len(PLATFORMS)]
    numbers = (number * 31 % 1_000_003, number % 997, number % 97, number % 53, number % 41, number)
    return f"video_{video:06}", platform, *numbers, measured_at(number // VIDEOS)


def measured_at(hour: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(1_600_000_000 + 3600 * hour))


def check_latest(database: Path, count: int) -> None:
    """RuntimeError unless each video's newest snapshot is the last one that was imported."""
    expected = [snapshot(number) for number in range(max(0, count - VIDEOS), count)]
    sql = f"select {', '.join(COLUMNS)} from latest_video_metrics order by video_id"
    with closing(sqlite3.connect(database)) as connection:
        if connection.execute(sql).fetchall() != sorted(expected):
            raise RuntimeError("latest_video_metrics differs from what was imported")


def bare_import(source: Path, path: Path) -> None:
    marks = ", ".join("?" * len(COLUMNS))
    with closing(sqlite3.connect(path)) as connection, source.open(newline="") as file:
        rows = csv.reader(file)
        connection.execute(f"create table bare ({', '.join(next(rows))})")
        connection.executemany(f"insert into bare values ({marks})", rows)
        connection.commit()
    path.unlink()


def query(database: Path) -> Row:
    """`top_videos`, which must give the same rows with both views."""
    queries = {query.name: query.sql for query in read_queries(HOME / "canned_queries")}
    ours = queries["top_videos"]
    earlier = ours.replace("latest_video_metrics", "earlier_latest_video_metrics")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(EARLIER_VIEW)
        expected, theirs = timed(connection, earlier)
        found = [timed(connection, ours) for _ in range(10)]
        if any(rows != expected for rows, _ in found):
            raise RuntimeError("top_videos differs from what it is with the earlier view")
    took = 1000 * min(spent for _, spent in found)
    return Row("query top_videos", took, "ms", "less", "the earlier view", 1000 * theirs)


def timed(connection: sqlite3.Connection, sql: str) -> tuple[list[Any], float]:
    gc.collect()
    began = time.perf_counter()
    rows = connection.execute(sql, {"platform": "", "status": "", "limit": ""}).fetchall()
    return rows, time.perf_counter() - began
