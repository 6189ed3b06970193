"""The schema of `presentation_jobs`: presentations to render."""

from __future__ import annotations

from sqlite_utils import Database, Migrations

from loaders.migrations.bookkeeping import create_bookkeeping
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
)
from loaders.migrations.rules import Rule
from loaders.times import NOW_SQL

migrations = Migrations("presentation_jobs")

LIFE_CYCLE = LifeCycle(
    table="presentation_jobs",
    key_type="TEXT",
    statuses=(
        Status("queued", waits=True, progress=0),
        Status("processing", runs=True),
        Status("completed", ends=True, progress=100),
        Status("failed", ends=True),
    ),
    moves=(
        Move("queued", "processing"),
        Move("queued", "completed", shortcut=True),
        Move("queued", "failed", shortcut=True),
        Move("processing", "queued"),
        Move("processing", "completed"),
        Move("processing", "failed"),
        Move("failed", "queued"),
    ),
    finished="completed_at",
)

CREATE_JOBS = f"""
create table {{name}} (
  job_id VARCHAR(50) NOT NULL,
  status VARCHAR(20) NOT NULL DEFAULT 'queued',
  progress FLOAT DEFAULT 0,
  error TEXT,
  video_url VARCHAR(500),
  thumbnail_url VARCHAR(500),
  slide_image_path VARCHAR(500),
  created_at DATETIME NOT NULL DEFAULT ({NOW_SQL}),
  completed_at DATETIME,
  last_heartbeat DATETIME,
  created_files JSON DEFAULT '[]',
  worker TEXT,
  attempts INTEGER DEFAULT 0,
  current_step TEXT,
  PRIMARY KEY (job_id)
)
"""

# All five are the earlier system's, in whose files they are found.
INDEXES = (
    "ix_presentation_jobs_created_at on presentation_jobs (created_at)",
    "ix_presentation_jobs_status on presentation_jobs (status)",
    "ix_presentation_jobs_job_id on presentation_jobs (job_id)",
    "idx_created_at on presentation_jobs (created_at)",
    "idx_status_created on presentation_jobs (status, created_at)",
)

RULES = (
    Rule("job_id", "{0} = ''", "must not be empty"),
    *job_rules(LIFE_CYCLE, whole_progress=False),
    json_or_null("created_files", "array", "list"),
)


@migrations()
def m001_create_presentation_jobs(db: Database) -> None:
    """All of the schema; an earlier system's table is taken over whole."""
    from loaders.legacy import presentation_jobs as earlier  # here: it builds on this module

    connection = db.conn
    create_bookkeeping(connection)
    create_tables(connection, LIFE_CYCLE)
    earlier.upgrade(connection)
    for index in INDEXES:
        connection.execute(f"create index if not exists {index}")
    create_indexes(connection, LIFE_CYCLE)
    create_rules(connection, "presentation_jobs", RULES, LIFE_CYCLE.keys)
    create_triggers(connection, LIFE_CYCLE)


@migrations()
def m002_keep_changes(db: Database) -> None:
    """What the jobs API tells of changes, and what it answered to requests that may come again."""
    create_api_tables(db.conn)
    create_change_log(db.conn, LIFE_CYCLE)
