"""The schema of `metrics`: `video_metrics`, `video_metadata`, and the newest snapshots.

`timestamp` holds a time as its writer spelt it; `measured_at` is the same instant in our form, kept
by triggers, null where the text names none. `latest_snapshots` holds a copy of the newest snapshot
of each video on each platform, kept by triggers too, so that whoever asks for the newest pays by
the number of videos and not of snapshots. Of two snapshots of one millisecond the one with the
higher id is newer; one without an instant is older than any other.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlite_utils import Database, Migrations

from loaders.migrations.bookkeeping import create_bookkeeping
from loaders.migrations.instants import instant
from loaders.migrations.rules import Rule, count, json_document, keep_rules, refusal, share
from loaders.migrations.search import create_search
from loaders.times import NOW_SQL

migrations = Migrations("metrics")

TRIGGER = re.compile(r"\s*create trigger (\w+)")

COUNTS = ("views", "likes", "comments", "shares", "saves", "watch_time_seconds")
INTERACTIONS = ("likes", "comments", "shares", "saves")
RATED = ("views", *INTERACTIONS)
STATUSES = ("draft", "rendered", "posted", "archived")

METRICS_COLUMNS = {
    "id": "INTEGER",
    "video_id": "TEXT",
    "platform": "TEXT",
    "views": "INTEGER",
    "likes": "INTEGER",
    "comments": "INTEGER",
    "shares": "INTEGER",
    "saves": "INTEGER",
    "watch_time_seconds": "INTEGER",
    "engagement_rate": "REAL",
    "timestamp": "DATETIME",
    "created_at": "DATETIME",
    "metadata": "TEXT",
    "measured_at": "TEXT",
}
PAIR = ("video_id", "platform")

# A rate has no default, so that a snapshot written without one can be told from a rate of 0.
CREATE_METRICS = f"""
create table {{name}} (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  video_id TEXT NOT NULL,
  platform TEXT NOT NULL,
  views INTEGER DEFAULT 0,
  likes INTEGER DEFAULT 0,
  comments INTEGER DEFAULT 0,
  shares INTEGER DEFAULT 0,
  saves INTEGER DEFAULT 0,
  watch_time_seconds INTEGER DEFAULT 0,
  engagement_rate REAL,
  timestamp DATETIME DEFAULT ({NOW_SQL}),
  created_at DATETIME DEFAULT ({NOW_SQL}),
  metadata TEXT,
  measured_at TEXT,
  UNIQUE (video_id, platform, timestamp)
)
"""

CREATE_METADATA = f"""
create table {{name}} (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  video_id TEXT NOT NULL UNIQUE,
  title TEXT,
  description TEXT,
  topic TEXT,
  script_path TEXT,
  audio_path TEXT,
  video_path TEXT,
  duration_seconds INTEGER,
  created_at DATETIME DEFAULT ({NOW_SQL}),
  posted_at DATETIME,
  status TEXT DEFAULT 'draft',
  metadata TEXT
)
"""

TABLES = {"video_metrics": CREATE_METRICS, "video_metadata": CREATE_METADATA}

INDEXES = {
    "idx_video_metrics_video_id": "video_metrics (video_id, platform, measured_at)",
    "idx_video_metrics_platform": "video_metrics (platform)",
    "idx_video_metrics_timestamp": "video_metrics (timestamp desc)",
    "idx_video_metrics_engagement": "video_metrics (engagement_rate desc)",
    "idx_video_metrics_measured_at": "video_metrics (measured_at)",
    "idx_video_metadata_status": "video_metadata (status)",
    "idx_video_metadata_topic": "video_metadata (topic)",
    "idx_video_metadata_created": "video_metadata (created_at desc)",
}


def instant_of(time: str) -> str:
    """SQL: the instant that a time names, in our form; null where it names none.

    YY.DD.MM is the year, the day and the month of the public trending lists.
    """
    two = "[0-9][0-9]"
    day = f"'20' || substr({time}, 1, 2) || '-' || substr({time}, 7) || '-' || substr({time}, 4, 2)"
    return f"""case
      when {time} glob '{two}.{two}.{two}' then strftime('%Y-%m-%dT%H:%M:%fZ', {day})
      else {instant(time)} end"""


def rate_of(row: str) -> str:
    """SQL: interactions over views, held to 0..1; null where the numbers do not allow it."""
    numbers = " and ".join(
        f"typeof({row}.{column}) in ('integer', 'real', 'null')" for column in RATED
    )
    interactions = " + ".join(f"coalesce({row}.{column}, 0)" for column in INTERACTIONS)
    return f"""case
      when not ({numbers}) then null
      when {row}.views = 0 then 0.0
      else max(0.0, min(1.0, ({interactions}) * 1.0 / {row}.views)) end"""


def name(column: str) -> Rule:
    return Rule(column, "(typeof({0}) <> 'text' or trim({0}) = '')", "must not be empty")


RULES = {
    "video_metrics": (
        name("video_id"),
        name("platform"),
        *(count(column) for column in COUNTS),
        share("engagement_rate"),
        json_document("metadata"),
    ),
    "video_metadata": (
        name("video_id"),
        Rule("duration_seconds", "{0} not between 0 and 9e15", "must be a number, 0 or more"),
        Rule("status", f"{{0}} not in {STATUSES}", f"must be one of {', '.join(STATUSES)}"),
        json_document("metadata"),
    ),
}


def refuse_statements(unless: str = "") -> str:
    """SQL: refuse a new value of a snapshot; `unless` may excuse one that an old row brought."""
    return "".join(
        f"{refusal('video_metrics', rule)}{unless.format(column=rule.column)};"
        for rule in RULES["video_metrics"]
    )


UNLESS_OLD = " and new.{column} is not old.{column}"

NOT_PAUSED = "(select paused from write_context) is not 1"
PAUSE = "update write_context set paused = 1;"
RESUME = "update write_context set paused = 0;"

ALL = ", ".join(METRICS_COLUMNS)
COPIED = ", ".join(column for column in METRICS_COLUMNS if column not in PAIR)

CREATE_LATEST = f"""
create table latest_snapshots (
  {", ".join(f"{column} {kind}" for column, kind in METRICS_COLUMNS.items())},
  UNIQUE (video_id, platform)
)
"""

CREATE_LATEST_INDEX = "create index idx_latest_snapshots_id on latest_snapshots (id)"

CREATE_LATEST_VIEW = f"""
create view latest_video_metrics as
select
  {", ".join(f"latest_snapshots.{column}" for column in METRICS_COLUMNS)},
  video_metadata.title,
  video_metadata.topic,
  video_metadata.duration_seconds
from latest_snapshots
left join video_metadata on video_metadata.video_id = latest_snapshots.video_id
"""

FORGET_LATEST = """
delete from latest_snapshots
where video_id = {video}
  and platform = {platform}
"""

FIND_LATEST = f"""
insert into latest_snapshots ({ALL})
select {ALL}
from video_metrics
where video_id = {{video}}
  and platform = {{platform}}
order by measured_at desc, id desc
limit 1
"""


def refresh_statements(row: str) -> str:
    """SQL: the newest snapshot of the video and platform of `row`, looked up anew."""
    pair = {"video": f"{row}.video_id", "platform": f"{row}.platform"}
    return f"{FORGET_LATEST.format(**pair)};\n{FIND_LATEST.format(**pair)};"


# `or replace` may remove the snapshot that has the new row's id from under another video, and tells
# delete triggers of it only where recursive_triggers is on.
REFRESH_REPLACED = f"""
  update latest_snapshots
  set ({COPIED}) = (
      select {COPIED}
      from video_metrics
      where video_metrics.video_id = latest_snapshots.video_id
        and video_metrics.platform = latest_snapshots.platform
      order by measured_at desc, id desc
      limit 1
    )
  where id = new.id
    and (video_id <> new.video_id or platform <> new.platform);
  delete from latest_snapshots where id is null;"""

NEWEST = f"""
select {ALL}
from video_metrics
where id in (
    select (
        select id
        from video_metrics
        where video_id = pairs.video_id
          and platform = pairs.platform
        order by measured_at desc, id desc
        limit 1
      )
    from (select distinct video_id, platform from video_metrics) as pairs
  )
"""

FILL_LATEST = f"insert into latest_snapshots ({ALL}) {NEWEST}"

METRICS_AI = f"""
create trigger video_metrics_ai after insert on video_metrics
when {NOT_PAUSED}
begin
  {refuse_statements()}
  {PAUSE}
  update video_metrics
  set
    measured_at = {instant_of("new.timestamp")},
    engagement_rate = case
      when new.engagement_rate is null then {rate_of("new")}
      else new.engagement_rate end
  where id = new.id;
  {RESUME}
  {REFRESH_REPLACED}
  {refresh_statements("new")}
end
"""

COUNTS_CHANGED = "(" + " or ".join(f"new.{name} is not old.{name}" for name in RATED) + ")"

# A rate that was calculated follows its counts; one that was given stays.
METRICS_AU = f"""
create trigger video_metrics_au after update on video_metrics
when {NOT_PAUSED}
begin
  {refuse_statements(UNLESS_OLD)}
  {PAUSE}
  update video_metrics
  set
    measured_at = case
      when new.timestamp is old.timestamp then old.measured_at
      else {instant_of("new.timestamp")} end,
    engagement_rate = case
      when new.engagement_rate is null
        and (old.engagement_rate is not null or {COUNTS_CHANGED})
        then {rate_of("new")}
      when {COUNTS_CHANGED}
        and new.engagement_rate is old.engagement_rate
        and old.engagement_rate is {rate_of("old")}
        then {rate_of("new")}
      else new.engagement_rate end
  where id = new.id;
  {RESUME}
  {REFRESH_REPLACED}
  {refresh_statements("old")}
  {refresh_statements("new")}
end
"""

METRICS_AD = f"""
create trigger video_metrics_ad after delete on video_metrics
when {NOT_PAUSED}
begin
  {refresh_statements("old")}
end
"""

SEARCH = create_search("video_metadata", ("title", "description"), ("id", "video_id"))
VIDEO_RULES = tuple(keep_rules("video_metadata", RULES["video_metadata"], ("id", "video_id")))
WATCHING = (METRICS_AI, METRICS_AU, METRICS_AD, *SEARCH, *VIDEO_RULES)
TRIGGERS = {found[1]: sql for sql in WATCHING if (found := TRIGGER.match(sql))}


@migrations()
def m001_create_metrics(db: Database) -> None:
    """All of the schema; an earlier system's tables are taken over whole."""
    from loaders.legacy import metrics as earlier  # here, since it builds on this module

    connection = db.conn
    create_bookkeeping(connection)
    connection.execute("drop view if exists latest_video_metrics")
    for table, statement in TABLES.items():
        if db[table].exists():
            earlier.take_over(connection, table)
        else:
            connection.execute(statement.format(name=table))
    earlier.measure(connection)
    create_indexes(connection)
    for statement in (CREATE_LATEST, CREATE_LATEST_INDEX, CREATE_LATEST_VIEW, FILL_LATEST):
        connection.execute(statement)
    for statement in WATCHING:
        connection.execute(statement)


def create_indexes(connection: sqlite3.Connection) -> None:
    for index, columns in INDEXES.items():
        connection.execute(f"create index if not exists {index} on {columns}")


@contextmanager
def bulk_load(connection: sqlite3.Connection) -> Iterator[None]:
    """Fill the empty tables with rows that keep the rules, without triggers and indexes.

    Sorting once is cheaper than inserting in turn. Within one transaction, so nobody else sees it.
    """
    for index in INDEXES:
        connection.execute(f"drop index {index}")
    for trigger in TRIGGERS:
        connection.execute(f"drop trigger {trigger}")
    yield
    create_indexes(connection)
    connection.execute(FILL_LATEST)
    connection.execute("insert into video_metadata_fts (video_metadata_fts) values ('rebuild')")
    for statement in TRIGGERS.values():
        connection.execute(statement)
