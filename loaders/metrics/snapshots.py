"""Numbers of published videos: the Python functions of the database `metrics`.

Every function takes `db` first: a `sqlite_utils.Database` or a `sqlite3.Connection`. Rows go in and
come out as dictionaries of their columns. Bad input is ValueError; a key that exists is
`DuplicateKey`, which is `sqlite3.IntegrityError` as well.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from loaders.checks import named_rows
from loaders.connections import Connection, transaction
from loaders.errors import translated
from loaders.rows import select

Row = dict[str, Any]

METRICS_COLUMNS = (
    "video_id",
    "platform",
    "views",
    "likes",
    "comments",
    "shares",
    "saves",
    "watch_time_seconds",
    "engagement_rate",
    "timestamp",
    "created_at",
    "metadata",
)
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
    insert_rows(db, "video_metrics", METRICS_COLUMNS, snapshots)


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
    values = {"video_id": video_id, "platform": platform}
    return select(db, LATEST, values)


CHECKS = {
    "video_metrics.video_id must not be empty": """
        select id
        from video_metrics
        where trim(video_id) = ''
        """,
    "video_metrics.platform must not be empty": """
        select id
        from video_metrics
        where trim(platform) = ''
        """,
    "video_metrics.views must be a whole number, 0 or more": """
        select id
        from video_metrics
        where views is not cast(max(views, 0) as integer)
        """,
    "video_metrics.likes must be a whole number, 0 or more": """
        select id
        from video_metrics
        where likes is not cast(max(likes, 0) as integer)
        """,
    "video_metrics.comments must be a whole number, 0 or more": """
        select id
        from video_metrics
        where comments is not cast(max(comments, 0) as integer)
        """,
    "video_metrics.shares must be a whole number, 0 or more": """
        select id
        from video_metrics
        where shares is not cast(max(shares, 0) as integer)
        """,
    "video_metrics.saves must be a whole number, 0 or more": """
        select id
        from video_metrics
        where saves is not cast(max(saves, 0) as integer)
        """,
    "video_metrics.watch_time_seconds must be a whole number, 0 or more": """
        select id
        from video_metrics
        where watch_time_seconds is not cast(max(watch_time_seconds, 0) as integer)
        """,
    "video_metrics.engagement_rate must be a number from 0 to 1": """
        select id
        from video_metrics
        where engagement_rate not between 0 and 1
        """,
    "video_metrics.metadata must be valid JSON": """
        select id
        from video_metrics
        where not iif(typeof(metadata) = 'text', json_valid(metadata), metadata is null)
        """,
    "video_metadata.video_id must not be empty": """
        select id
        from video_metadata
        where trim(video_id) = ''
        """,
    "video_metadata.duration_seconds must be a number, 0 or more": """
        select id
        from video_metadata
        where duration_seconds not between 0 and 9e15
        """,
    "video_metadata.status must be one of draft, rendered, posted, archived": """
        select id
        from video_metadata
        where status not in ('draft', 'rendered', 'posted', 'archived')
        """,
    "video_metadata.metadata must be valid JSON": """
        select id
        from video_metadata
        where not iif(typeof(metadata) = 'text', json_valid(metadata), metadata is null)
        """,
    "video_metrics.timestamp names no instant": """
        select id
        from video_metrics
        where measured_at is null
        """,
    "video_metrics has another snapshot of the same video, platform and instant": """
        select id
        from (
            select
              id,
              row_number() over (partition by video_id, platform, measured_at order by id) as place
            from video_metrics
            where measured_at is not null
          )
        where place > 1
        """,
    "video_metrics.platform differs from another only in its capitals": """
        with platforms as (select distinct platform from video_metrics)
        select platform
        from platforms
        where (
            select count(*)
            from platforms as other
            where other.platform = platforms.platform collate nocase
          ) > 1
        """,
    "video_metrics is of a video that video_metadata does not know": """
        select video_id
        from (select distinct video_id from video_metrics)
        where video_id not in (select video_id from video_metadata)
        """,
}

# What triggers derive from other rows: `dailies build` derives it again.
DERIVED = {
    "latest_video_metrics does not show the newest snapshot": """
        select video_id
        from (
            select video_id, platform
            from video_metrics
            except
            select video_id, platform
            from video_platforms
          )
        """,
    "video_metadata_fts does not agree with video_metadata": """
        select id
        from (
            select id, title, description
            from video_metadata
            except
            select rowid, title, description
            from video_metadata_fts
          )
        union all
        select rowid
        from video_metadata_fts
        where rowid not in (select id from video_metadata)
        """,
}


def check(connection: sqlite3.Connection) -> Iterator[str]:
    """Name old rows that break today's rules, and whatever else makes a statistic odd."""
    yield from named_rows(connection, CHECKS)
