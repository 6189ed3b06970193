"""The schema of `campaigns`: `jobs`, its search index, its history.

`jobs.data` holds the complete job as JSON and is the truth; the other columns are its projection
(campaigns_projection.py). Triggers hold the two together whoever writes (campaigns_triggers.py).
"""

from __future__ import annotations

import sqlite3

from sqlite_utils import Database, Migrations

from loaders.migrations.bookkeeping import create_bookkeeping
from loaders.migrations.campaigns_counts import (
    CREATE_COUNTS,
    CREATE_COUNTS_INDEX,
    CREATED_INSTANT,
    count_jobs,
)
from loaders.migrations.campaigns_projection import CREATE_PROJECTION, SEARCHED
from loaders.migrations.campaigns_triggers import (
    CREATE_REPLACED,
    CREATE_SET_AGAIN,
    create_job_triggers,
)
from loaders.migrations.jobs_api import create_api_tables
from loaders.times import NOW_SQL

migrations = Migrations("campaigns")

# `VACUUM` keeps row numbers, which the search index refers to, only while a table has an index.
INDEXED = (
    "enabled",
    "product",
    "persona",
    "language",
    "created_at",
    "job_name",
    "campaign_type",
    "avatar_id",
    "script_id",
    "use_overlay",
)

# The tables of an earlier file whose pages its upgrade wipes; beside others, the file is vacuumed.
WIPED_BY_UPGRADE = {
    "jobs",
    "jobs_fts",
    *(f"jobs_fts_{part}" for part in ("data", "idx", "docsize", "config", "content")),
    "sqlite_stat1",
}

CREATE_JOBS = f"""
create table {{name}} (
  id TEXT PRIMARY KEY,
  job_name TEXT,
  product TEXT,
  persona TEXT,
  setting TEXT,
  emotion TEXT,
  hook TEXT,
  elevenlabs_voice_id TEXT,
  language TEXT DEFAULT 'English',
  brand_name TEXT,
  enabled BOOLEAN DEFAULT 1,
  created_at TIMESTAMP DEFAULT ({NOW_SQL}),
  updated_at TIMESTAMP DEFAULT ({NOW_SQL}),
  data TEXT,
  campaign_type TEXT,
  avatar_id TEXT,
  script_id TEXT,
  avatar_video_path TEXT,
  script_file TEXT,
  use_overlay BOOLEAN DEFAULT 0,
  automated_video_editing_enabled BOOLEAN DEFAULT 1,
  useExactScript BOOLEAN DEFAULT 0
)
"""


CREATE_HISTORY = """
create table job_history (
  id INTEGER PRIMARY KEY,
  job_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  operation TEXT NOT NULL CHECK (operation in ('insert', 'update', 'delete')),
  actor TEXT,
  changed_at TEXT NOT NULL,
  data TEXT
)
"""


CREATE_HISTORY_INDEX = """
create unique index idx_job_history_job_id_version on job_history (job_id, version)
"""


CREATE_DELETED_JOBS = """
create view deleted_jobs as
select
  job_history.job_id as id,
  job_history.data ->> '$.job_name' as job_name,
  job_history.version,
  job_history.actor,
  job_history.changed_at as deleted_at,
  job_history.data
from job_history
where job_history.operation = 'delete'
  and not exists (select 1 from jobs where jobs.id = job_history.job_id)
  and not exists (
    select 1
    from job_history as later
    where later.job_id = job_history.job_id
      and later.version > job_history.version
  )
"""


CREATE_FTS = f"""
create virtual table jobs_fts using fts5 (
  {", ".join(SEARCHED)},
  content="jobs"
)
"""


REBUILD_SEARCH = "insert into jobs_fts (jobs_fts) values ('rebuild')"


@migrations()
def m001_create_jobs(db: Database) -> None:
    """All of the schema; an earlier system's `jobs` is taken over whole."""
    from loaders.legacy import campaigns as earlier  # here, since it builds on this module

    connection = db.conn
    create_bookkeeping(connection)
    connection.execute(CREATE_HISTORY)
    if db["jobs"].exists():
        earlier.upgrade(connection)
    else:
        connection.execute(CREATE_JOBS.format(name="jobs"))
    create_job_indexes(connection)
    connection.execute(CREATE_HISTORY_INDEX)
    connection.execute(CREATE_COUNTS)
    connection.execute(CREATE_COUNTS_INDEX)
    count_jobs(connection)
    connection.execute(CREATE_FTS)
    connection.execute(REBUILD_SEARCH)
    connection.execute(CREATE_REPLACED)
    connection.execute(CREATE_SET_AGAIN)
    connection.execute("insert into jobs_set_again (id) values (1)")
    connection.execute(CREATE_PROJECTION)
    connection.execute(CREATE_DELETED_JOBS)
    create_job_triggers(connection)


@migrations()
def m002_keep_answers(db: Database) -> None:
    """What the jobs API answered to requests that may come again; changes are in the history."""
    create_api_tables(db.conn)


def create_job_indexes(connection: sqlite3.Connection) -> None:
    for column in INDEXED:
        connection.execute(f"create index if not exists idx_jobs_{column} on jobs ({column})")

    instant = CREATED_INSTANT.replace("{row}.", "")
    connection.execute(f"create index if not exists idx_jobs_created_instant on jobs ({instant})")


def drop_job_indexes(connection: sqlite3.Connection) -> None:
    """For a bulk load into an empty table: sorting once is cheaper than inserting in turn."""
    for column in INDEXED:
        connection.execute(f"drop index idx_jobs_{column}")
    connection.execute("drop index idx_jobs_created_instant")
