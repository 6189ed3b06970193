"""The schema of `yt-builder`: builds of videos, their files, and what was uploaded of them."""

from __future__ import annotations

from sqlite_utils import Database, Migrations

from loaders.migrations.bookkeeping import create_bookkeeping
from loaders.migrations.instants import instant
from loaders.migrations.jobs_api import create_api_tables
from loaders.migrations.life_cycle import (
    LifeCycle,
    Move,
    Status,
    create_change_log,
    create_indexes,
    create_rules,
    create_tables,
    create_triggers,
    job_rules,
    json_or_null,
    one_of,
)
from loaders.migrations.rules import Rule
from loaders.times import NOW_SQL

migrations = Migrations("yt-builder")

FILE_TYPES = ("videos", "music", "sounds", "quotes")
PRIVACIES = ("private", "unlisted", "public")

# Earlier programs report only what they noticed: a build may complete without ever having been
# said to run, and the runner reports the end of a cancelled build as a failure.
LIFE_CYCLE = LifeCycle(
    table="jobs",
    key_type="INTEGER",
    statuses=(
        Status("preparing"),
        Status("queued", waits=True, progress=0),
        Status("running", runs=True),
        Status("completed", ends=True, progress=100),
        Status("failed", ends=True),
        Status("cancelled", ends=True),
    ),
    moves=(
        Move("preparing", "queued"),
        Move("preparing", "running"),
        Move("preparing", "completed", shortcut=True),
        Move("preparing", "failed"),
        Move("preparing", "cancelled"),
        Move("queued", "running"),
        Move("queued", "completed", shortcut=True),
        Move("queued", "failed", shortcut=True),
        Move("queued", "cancelled"),
        Move("running", "queued"),
        Move("running", "completed"),
        Move("running", "failed"),
        Move("running", "cancelled"),
        Move("failed", "queued"),
        Move("cancelled", "queued"),
        Move("cancelled", "failed"),
    ),
    started="started_at",
    finished="finished_at",
    unique=("run_id",),
    children=("job_files", "youtube_uploads"),
)

# AUTOINCREMENT, since a number that is given again shows a new job with an old job's files.
CREATE_JOBS = f"""
create table {{name}} (
  job_id INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id TEXT NOT NULL UNIQUE,
  run_dir TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'preparing',
  progress INTEGER DEFAULT 0,
  current_step TEXT,
  config TEXT,
  output_file TEXT,
  error TEXT,
  created_at TEXT NOT NULL DEFAULT ({NOW_SQL}),
  started_at TEXT,
  finished_at TEXT,
  worker TEXT,
  last_heartbeat TEXT,
  attempts INTEGER DEFAULT 0
)
"""

CREATE_FILES = f"""
create table {{name}} (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  job_id INTEGER NOT NULL,
  file_type TEXT NOT NULL,
  filename TEXT NOT NULL,
  file_path TEXT NOT NULL,
  uploaded_at TEXT NOT NULL DEFAULT ({NOW_SQL}),
  FOREIGN KEY (job_id) REFERENCES jobs (job_id) ON DELETE CASCADE,
  UNIQUE (job_id, file_type, filename)
)
"""

CREATE_UPLOADS = f"""
create table {{name}} (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  job_id INTEGER NOT NULL,
  video_id TEXT NOT NULL,
  video_url TEXT NOT NULL,
  title TEXT NOT NULL,
  description TEXT,
  privacy TEXT NOT NULL DEFAULT 'private',
  tags TEXT,
  category TEXT,
  uploaded_at TEXT NOT NULL DEFAULT ({NOW_SQL}),
  FOREIGN KEY (job_id) REFERENCES jobs (job_id) ON DELETE CASCADE
)
"""

TABLES = {"jobs": CREATE_JOBS, "job_files": CREATE_FILES, "youtube_uploads": CREATE_UPLOADS}

INDEXES = (
    "idx_jobs_status on jobs (status)",
    "idx_jobs_created on jobs (created_at desc)",
    "idx_job_files_job on job_files (job_id)",
    "idx_youtube_job on youtube_uploads (job_id)",
    f"idx_youtube_uploads_instant on youtube_uploads ({instant('uploaded_at')}, id)",
    "idx_youtube_uploads_video on youtube_uploads (video_id)",
    "idx_youtube_uploads_privacy on youtube_uploads (privacy, job_id)",
)

RULES: dict[str, tuple[Rule, ...]] = {
    "jobs": (
        # SQLite gives no number after its largest: those far below it leave room for all others.
        Rule("job_id", f"{{0}} >= {2**62}", f"must be below {2**62}"),
        *job_rules(LIFE_CYCLE, whole_progress=True),
        json_or_null("config", "object", "object"),
    ),
    "job_files": (one_of("file_type", FILE_TYPES),),
    "youtube_uploads": (
        one_of("privacy", PRIVACIES),
        json_or_null("tags", "array", "list"),
    ),
}
KEYS = {"jobs": LIFE_CYCLE.keys, "job_files": ("id",), "youtube_uploads": ("id",)}


@migrations()
def m001_create_jobs(db: Database) -> None:
    """All of the schema; an earlier system's tables are taken over whole."""
    from loaders.legacy import yt_builder as earlier  # here, since it builds on this module

    connection = db.conn
    create_bookkeeping(connection)
    create_tables(connection, LIFE_CYCLE)
    earlier.upgrade(connection)
    for index in INDEXES:
        connection.execute(f"create index if not exists {index}")
    create_indexes(connection, LIFE_CYCLE)
    for table, rules in RULES.items():
        create_rules(connection, table, rules, KEYS[table])
    create_triggers(connection, LIFE_CYCLE)


@migrations()
def m002_keep_changes(db: Database) -> None:
    """What the jobs API tells of changes, and what it answered to requests that may come again."""
    create_api_tables(db.conn)
    create_change_log(db.conn, LIFE_CYCLE)
    for trigger in ("jobs_bi_rules", "jobs_bu_rules"):
        db.conn.execute(f"drop trigger {trigger}")
    create_rules(db.conn, "jobs", RULES["jobs"], KEYS["jobs"])
