"""Imports the public "Trending YouTube Video Statistics" lists into `metrics`.

The counts of each row become a snapshot on the platform `youtube`, and the latest row of a video
its metadata. Other columns go into `metadata` as JSON: those of the day (dislikes, switches,
columns that we do not know) with the snapshot, the others with the video.
"""

from __future__ import annotations

import gc
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loaders.conflicts import GIVEN_TWICE, resolve_conflict
from loaders.connections import Connection, bulk_cache, has_rows
from loaders.import_options import DEFAULT_OPTIONS, ImportOptions, RowProgress, import_transaction
from loaders.import_report import ImportReport, Origin
from loaders.metrics.youtube_csv import InvalidRow, Snapshot, TrendingList

# One statement inserts many rows, since SQLite journals the pages that a statement with triggers
# changes. Six values each must stay below the 32,766 that SQLite takes.
BATCH_ROWS = 5_000

# With the values that triggers would calculate, so that they need not write the row again.
INSERT_SNAPSHOTS = """
insert into video_metrics (
  video_id, timestamp, views, likes, comments, metadata,
  platform, shares, saves, watch_time_seconds, engagement_rate, measured_at
)
select
  *,
  'youtube', null, null, null,
  case column3
    when 0 then 0.0
    else min(1.0, (ifnull(column4, 0) + ifnull(column5, 0)) * 1.0 / column3) end,
  column2
from (values {rows})
"""

FIND_SNAPSHOT = """
select id, views, likes, comments, metadata
from video_metrics
where video_id = ?
  and platform = 'youtube'
  and measured_at = ?
order by id desc
limit 1
"""

UPDATE_SNAPSHOT = """
update video_metrics
set
  views = ?1,
  likes = ?2,
  comments = ?3,
  metadata = json_patch(iif(json_valid(metadata), metadata, '{}'), ?4),
  engagement_rate = null
where id = ?5
"""

INSERT_VIDEOS = """
insert into video_metadata (
  video_id, title, description, topic, posted_at, metadata, status
)
select *, 'posted'
from (values {rows})
"""

FIND_VIDEO = """
select iif(json_valid(metadata), metadata, '{}') ->> '$.trending_date'
from video_metadata
where video_id = ?
"""

# A topic that was not imported from a list names the trend that the video was made for.
UPDATE_VIDEO = """
update video_metadata
set
  title = coalesce(:title, title),
  description = coalesce(:description, description),
  topic = case
    when iif(json_valid(metadata), metadata, '{}') ->> '$.trending_date' is null
      then coalesce(topic, :topic)
    else coalesce(:topic, topic) end,
  posted_at = coalesce(:posted_at, posted_at),
  metadata = json_patch(iif(json_valid(metadata), metadata, '{}'), :metadata)
where video_id = :video_id
"""


def load(
    db: Connection,
    paths: Iterable[Path],
    options: ImportOptions = DEFAULT_OPTIONS,
) -> ImportReport:
    """Store the rows of lists in one transaction; a row's key is its video and day."""
    report = ImportReport()
    with (
        bulk_cache(db),
        without_garbage_collection(),
        import_transaction(db, ["video_metrics"], options, report) as connection,
    ):
        for path in paths:
            try:
                importer = ListImporter(connection, path, options.on_conflict, report)
            except (ValueError, OSError) as error:
                report.found += 1
                report.fail(str(path), "line 1", None, str(error))
            else:
                importer.run(options.progress)
    return report


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Rows hold no cycles, and looking for some among so many takes a tenth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class ListImporter:
    """The import of one list."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path, on_conflict: str, report: ImportReport
    ) -> None:
        self.connection = connection
        self.source = str(path)
        self.list = TrendingList(path)
        self.on_conflict = on_conflict
        self.report = report
        self.is_first = not has_rows(connection, "video_metrics")
        self.contents: dict[tuple[str, str], int] = {}  # a hash of each video and day
        self.batch: list[tuple[Any, ...]] = []
        self.latest: dict[str, Snapshot] = {}  # of each video, to describe it

    def run(self, progress: RowProgress) -> None:
        for row in self.list.rows():
            self.report.found += 1
            progress(1)
            if isinstance(row, InvalidRow):
                self.fail(row, row.reason)
            else:
                self.add(row)
        self.insert_batch()
        self.describe_videos()

    def add(self, row: Snapshot) -> None:
        key, content = row[:2], hash("\0".join(row.cells))
        if key not in self.contents:
            self.contents[key] = content
            self.store(row)
        elif self.contents[key] == content:
            self.report.skipped += 1
        else:
            self.fail(row, GIVEN_TWICE)

    def store(self, row: Snapshot) -> None:
        stored = None if self.is_first else self.find(row)
        if stored is None:
            self.batch.append(row[:6])
            self.remember(row)
            if len(self.batch) == BATCH_ROWS:
                self.insert_batch()
        elif has_content(stored, row):
            self.report.skipped += 1
            self.remember(row)
        else:
            resolve_conflict(
                self.on_conflict, self.report, self.origin(row), lambda: self.update(row, stored[0])
            )

    def find(self, row: Snapshot) -> tuple[Any, ...] | None:
        found: tuple[Any, ...] | None = self.connection.execute(FIND_SNAPSHOT, row[:2]).fetchone()
        return found

    def insert_batch(self) -> None:
        insert(self.connection, INSERT_SNAPSHOTS, self.batch)
        self.report.imported += len(self.batch)
        self.batch.clear()

    def update(self, row: Snapshot, snapshot_id: int) -> None:
        changes = (row.views, row.likes, row.comments, row.metadata, snapshot_id)
        self.connection.execute(UPDATE_SNAPSHOT, changes)
        self.remember(row)

    def remember(self, row: Snapshot) -> None:
        """Describe the video by this row, if it is of the latest day."""
        before = self.latest.get(row.video_id)
        if before is None or row.day >= before.day:
            self.latest[row.video_id] = row

    def describe_videos(self) -> None:
        """Insert or update the metadata of each video."""
        new = []
        for row in self.latest.values():
            stored = self.connection.execute(FIND_VIDEO, row[:1]).fetchone()
            if stored is None:
                new.append(tuple(self.list.video(row).values()))
            elif self.is_newer(row, stored[0]):
                self.connection.execute(UPDATE_VIDEO, self.list.video(row))
        insert(self.connection, INSERT_VIDEOS, new)

    def is_newer(self, row: Snapshot, listed_on: str | None) -> bool:
        """True if the row may replace metadata of the day `listed_on`; None: of another source."""
        if self.on_conflict == "update":
            return row.day[:10] >= (listed_on or "")
        return listed_on is not None and row.day[:10] > listed_on

    def fail(self, row: Snapshot | InvalidRow, reason: str) -> None:
        self.report.fail(*self.origin(row), reason)

    def origin(self, row: Snapshot | InvalidRow) -> Origin:
        return Origin(self.source, f"row {row.number}", row.video_id)


def has_content(stored: tuple[Any, ...], row: Snapshot) -> bool:
    """True if the stored snapshot holds all that the row does."""
    _, *counts, metadata = stored
    if counts != [row.views, row.likes, row.comments]:
        return False
    if metadata == row.metadata:
        return True
    try:
        document = json.loads(metadata or "{}")
    except ValueError:
        return False
    return isinstance(document, dict) and json.loads(row.metadata).items() <= document.items()


def insert(connection: sqlite3.Connection, statement: str, rows: list[tuple[Any, ...]]) -> None:
    """Insert rows of six values each."""
    for start in range(0, len(rows), BATCH_ROWS):
        batch = rows[start : start + BATCH_ROWS]
        sql = statement.format(rows=", ".join(["(?, ?, ?, ?, ?, ?)"] * len(batch)))
        connection.execute(sql, [value for row in batch for value in row])
