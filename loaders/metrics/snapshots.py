"""Numbers of published videos: the Python functions of the database `metrics`.

Every function takes `db` first: a `sqlite_utils.Database` or a `sqlite3.Connection`. Rows go in and
come out as dictionaries of their columns. Bad input is ValueError; a key that exists is
`DuplicateKey`, which is `sqlite3.IntegrityError` as well.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from loaders.checks import shortened
from loaders.connections import Connection, sqlite_connection, transaction
from loaders.errors import translated
from loaders.migrations.metrics import ALL, METRICS_COLUMNS, NEWEST, RULES, instant_of

Row = dict[str, Any]

METADATA_COLUMNS = (
    "video_id",
    "title",
    "description",
    "topic",
    "script_path",
    "audio_path",
    "video_path",
    "duration_seconds",
    "created_at",
    "posted_at",
    "status",
    "metadata",
)

LATEST = """
select *
from latest_video_metrics
where (:video_id is null or video_id = :video_id)
  and (:platform is null or platform = :platform)
order by video_id, platform
"""


def add_metrics(db: Connection, snapshots: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> None:
    """Store a snapshot, or several (all or none).

    Each needs `video_id` and `platform`; without an `engagement_rate` it gets the calculated one.
    """
    columns = tuple(name for name in METRICS_COLUMNS if name not in ("id", "measured_at"))
    insert_rows(db, "video_metrics", columns, snapshots)


def add_metadata(db: Connection, videos: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> None:
    """Store what is known of a video, or of several (all or none); each needs `video_id`."""
    insert_rows(db, "video_metadata", METADATA_COLUMNS, videos)


def insert_rows(
    db: Connection,
    table: str,
    columns: tuple[str, ...],
    rows: Mapping[str, Any] | Iterable[Mapping[str, Any]],
) -> None:
    with transaction(db) as connection:
        for row in [rows] if isinstance(rows, Mapping) else rows:
            insert_row(connection, table, columns, row)


def insert_row(
    connection: sqlite3.Connection, table: str, columns: tuple[str, ...], row: Mapping[str, Any]
) -> None:
    unknown = [name for name in row if name not in columns]
    if unknown:
        raise ValueError(f"{table} has no column {', '.join(unknown)} to set")
    names = [name for name in columns if name in row]
    values = ", ".join(f":{name}" for name in names)
    with translated(f"{table} of video {row.get('video_id')!r}", row):
        connection.execute(
            f"insert into {table} ({', '.join(names)}) values ({values})",  # noqa: S608
            dict(row),
        )


def latest_metrics(
    db: Connection, video_id: str | None = None, platform: str | None = None
) -> list[Row]:
    """The newest snapshot of each video on each platform, with title, topic and duration."""
    cursor = sqlite_connection(db).execute(LATEST, {"video_id": video_id, "platform": platform})
    names = [name for name, *_ in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


UNDATED = f"""
select id
from video_metrics
where measured_at is null
  and ({instant_of("timestamp")}) is null
"""  # noqa: S608

SAME_INSTANT = """
select id
from (
    select
      id,
      row_number() over (partition by video_id, platform, measured_at order by id) as place
    from video_metrics
    where measured_at is not null
  )
where place > 1
"""

PLATFORMS_ALIKE = """
with platforms as (select distinct platform from video_metrics)
select platform
from platforms
where (
    select count(*)
    from platforms as other
    where other.platform = platforms.platform collate nocase
  ) > 1
"""

UNKNOWN_VIDEOS = """
select video_id
from (select distinct video_id from video_metrics)
where video_id not in (select video_id from video_metadata)
"""

NOT_LATEST = f"""
select video_id
from (
    {NEWEST}
    except
    select {ALL}
    from latest_snapshots
  )
"""  # noqa: S608

ODDITIES = {
    "video_metrics.timestamp names no instant": UNDATED,
    "video_metrics has another snapshot of the same video, platform and instant": SAME_INSTANT,
    "video_metrics.platform differs from another only in its capitals": PLATFORMS_ALIKE,
    "video_metrics is of a video that video_metadata does not know": UNKNOWN_VIDEOS,
    "latest_video_metrics does not show the newest snapshot": NOT_LATEST,
}


def check(connection: sqlite3.Connection) -> Iterator[str]:
    """Values of old rows that break today's rules, and whatever else makes a statistic odd."""
    for table, rules in RULES.items():
        for rule in rules:
            broken = rule.broken.format(rule.column)
            yield from named(
                connection,
                f"{table}.{rule.column} {rule.message}",
                f"select id from {table} where {broken}",  # noqa: S608
            )
    for problem, sql in ODDITIES.items():
        yield from named(connection, problem, sql)


def named(connection: sqlite3.Connection, problem: str, sql: str) -> Iterator[str]:
    keys = [str(key) for (key,) in connection.execute(sql)]
    if keys:
        yield f"{problem}: {shortened(keys)}"
