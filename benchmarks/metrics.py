"""Queries of newest snapshots against the earlier system's view, and import of a trending list.

    python benchmarks/metrics.py [--snapshots 5000000] [--videos 5000] [--list USvideos.csv.gz]

Each is a ratio of two times taken in one run: a query of ours and the same query where
`latest_video_metrics` is defined as the earlier system did; an import, with indexes, search and
newest snapshots, and Python's csv reader with one bare `executemany` into a bare table.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from dailies.canned_queries import read_queries
from dailies.home import HOME
from loaders import open_database
from loaders.connections import bulk_cache, connect, transaction
from loaders.metrics import youtube_import
from loaders.repair import repair

QUERIES = ("top_videos", "engagement_by_platform")
NO_PARAMETERS = {"platform": "", "status": "", "limit": ""}

EARLIER_VIEW = """
create temp view earlier_latest_video_metrics as
select
  vm.*,
  vmd.title,
  vmd.topic,
  vmd.duration_seconds
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

INSERT_VIDEOS = """
insert into video_metadata (video_id, title, description, topic, duration_seconds, status)
with recursive numbers (number) as (
  select 0
  union all
  select number + 1
  from numbers
  where number + 1 < :videos
)
select
  printf('video_%06d', number),
  'Video ' || number,
  'What happens in video ' || number,
  'topic ' || (number % 40),
  30 + number % 30,
  'posted'
from numbers
"""

# An hour between a video's snapshots, each video on one of four platforms.
INSERT_SNAPSHOTS = """
insert into video_metrics (
  video_id, platform, views, likes, comments, shares, saves, watch_time_seconds,
  engagement_rate, timestamp, measured_at
)
with recursive numbers (number) as (
  select 0
  union all
  select number + 1
  from numbers
  where number + 1 < :snapshots
),
timed as (
  select
    number,
    strftime(
      '%Y-%m-%dT%H:%M:%fZ', 1600000000 + number / :videos * 3600, 'unixepoch'
    ) as instant
  from numbers
)
select
  printf('video_%06d', number % :videos),
  case number % 4
    when 0 then 'youtube'
    when 1 then 'tiktok'
    when 2 then 'instagram'
    else 'facebook' end,
  number / 7 * 31 % 1000003,
  number % 997,
  number % 97,
  number % 53,
  number % 41,
  number,
  0.05,
  instant,
  instant
from timed
"""


def best_of(times: int, work: Callable[[], Any]) -> float:
    """Seconds of the quickest run."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def fill(path: Path, snapshots: int, videos: int) -> float:
    """A database with that many rows; the seconds that it took."""
    with closing(open_database("metrics", path)) as db:
        began = time.perf_counter()
        with bulk_cache(db.conn), transaction(db) as connection:
            drop_triggers_and_indexes(connection)
            connection.execute(INSERT_VIDEOS, {"videos": videos})
            connection.execute(INSERT_SNAPSHOTS, {"videos": videos, "snapshots": snapshots})
            repair("metrics", connection)
        return time.perf_counter() - began


def drop_triggers_and_indexes(connection: sqlite3.Connection) -> None:
    """Inserting without them takes a tenth of the time; a repair restores them."""
    found = connection.execute(
        """
        select type, name
        from sqlite_master
        where type in ('trigger', 'index')
          and sql is not null
        """
    )
    for kind, name in found.fetchall():
        connection.execute(f"drop {kind} {name}")


def measure_queries(path: Path) -> dict[str, dict[str, float]]:
    """Seconds of each query on our view and on the earlier one, which must give the same rows."""
    sql = {query.name: query.sql for query in read_queries(HOME / "canned_queries")}
    results = {}
    with closing(connect(path)) as connection:
        connection.execute(EARLIER_VIEW)
        for name in QUERIES:
            ours = sql[name]
            theirs = ours.replace("latest_video_metrics", "earlier_latest_video_metrics")
            assert rows(connection, ours) == rows(connection, theirs), name
            results[name] = {
                "ours": best_of(20, lambda ours=ours: rows(connection, ours)),
                "earlier": best_of(2, lambda theirs=theirs: rows(connection, theirs)),
            }
            results[name]["ratio"] = results[name]["ours"] / results[name]["earlier"]
    return results


def rows(connection: sqlite3.Connection, sql: str) -> list[Any]:
    return connection.execute(sql, NO_PARAMETERS).fetchall()


def write_list(path: Path, rows: int = 40_949, videos: int = 6_351) -> None:
    """A trending list of the public one's size and shape."""
    random.seed(1)
    names = [f"{number:011x}" for number in range(videos)]
    columns = (
        "video_id,trending_date,title,channel_title,category_id,publish_time,tags,views,likes,"
        "dislikes,comment_count,thumbnail_link,comments_disabled,ratings_disabled,"
        "video_error_or_removed,description"
    )
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns.split(","))
        for number in range(rows):
            video = names[number % videos]
            day = f"18.{number // videos + 1:02d}.05"
            views = random.randrange(1_000, 9_000_000)
            text = f"What happens in {video}\\n\\nSubscribe, and so on. " * (number % 13 == 0)
            address = f"https://i.ytimg.com/vi/{video}/default.jpg"
            counts = (views, views // 30, views // 900, views // 400)
            about = (f"Title of {video}", f"Channel {number % 900}", 24, "2018-04-30T17:13:01.000Z")
            tags = 'one|"two words"|"three"'
            flags = (False, False, False)
            writer.writerow((video, day, *about, tags, *counts, address, *flags, text * 5))


def read_and_insert(source: Path, path: Path) -> float:
    """The least that an import could do: Python's csv reader into a bare table."""
    with closing(connect(path)) as connection:
        connection.execute("drop table if exists bare")
        began = time.perf_counter()
        with gzip.open(source, "rt", encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            header = next(reader)
            connection.execute(f"create table bare ({', '.join(header)})")
            connection.execute("begin")
            places = ", ".join("?" * len(header))
            connection.executemany(f"insert into bare values ({places})", reader)
            connection.execute("commit")
        return time.perf_counter() - began


def import_twice(source: Path, path: Path) -> tuple[float, float]:
    with closing(open_database("metrics", path)) as db:
        seconds = []
        for _ in range(2):
            began = time.perf_counter()
            report = youtube_import.load(db, [source])
            seconds.append(time.perf_counter() - began)
    assert report.found > 0
    assert report.imported == 0
    return seconds[0], seconds[1]


def measure_import(source: Path, folder: Path, runs: int = 5) -> dict[str, float]:
    bare = min(read_and_insert(source, folder / f"bare{run}.db") for run in range(runs))
    imports = [import_twice(source, folder / f"list{run}.db") for run in range(runs)]
    first, second = (min(times) for times in zip(*imports, strict=True))
    return {"bare": bare, "import": first, "again": second, "ratio": first / bare}


def run(snapshots: int, videos: int, source: Path | None = None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "metrics.db"
        filled = fill(path, snapshots, videos)
        queries = measure_queries(path)
        path.unlink()
        if source is None:
            source = folder / "list.csv.gz"
            write_list(source)
        return {
            "snapshots": snapshots,
            "videos": videos,
            "filled_in": filled,
            "queries": queries,
            "trending_list": measure_import(source, folder),
        }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--snapshots", type=int, default=5_000_000)
    parser.add_argument("--videos", type=int, default=5_000)
    parser.add_argument("--list", type=Path, help="a packed list to import; made up if not given")
    options = parser.parse_args()
    print(json.dumps(run(options.snapshots, options.videos, options.list), indent=2))


if __name__ == "__main__":
    main()
