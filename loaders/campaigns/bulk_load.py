"""Inserts new jobs several times faster than the triggers would.

The triggers of inserts are dropped meanwhile, and the indexes of an empty table. Each job is
inserted with all its columns; afterwards history, counts and search get the new jobs at once. All
of it happens within the caller's transaction, so that no other connection ever sees the table
without its triggers. Updates and deletes go through their triggers as always.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from loaders import schema
from loaders.connections import has_rows

# The view `jobs_projection` for a job that is not stored yet, with the times of `instants`. Nothing
# is inserted if the key exists.
INSERT_JOB = """
insert into jobs (
  id, data, job_name, product, persona, setting, emotion, hook, elevenlabs_voice_id, brand_name,
  language, enabled, campaign_type, avatar_id, script_id, avatar_video_path, script_file,
  use_overlay, automated_video_editing_enabled, useExactScript,
  created_at, updated_at, created_instant)
select *, round((julianday(iif(created_at glob '[0-9][0-9][0-9]*', created_at, null), 'auto')
  - 2440587.5) * 86400000)
from (select id, data,
  data ->> '$.job_name', data ->> '$.product', data ->> '$.persona', data ->> '$.setting',
  data ->> '$.emotion', data ->> '$.hook', data ->> '$.elevenlabs_voice_id',
  data ->> '$.brand_name', coalesce(data ->> '$.language', 'English'),
  coalesce(data ->> '$.enabled', 1),
  coalesce(data ->> '$.campaign_type', data ->> '$.campaignType'),
  coalesce(data ->> '$.avatar_id', data ->> '$.avatarId'),
  coalesce(data ->> '$.script_id', data ->> '$.scriptId'),
  coalesce(data ->> '$.avatar_video_path', data ->> '$.avatarVideo'),
  coalesce(data ->> '$.script_file', data ->> '$.scriptFile', data ->> '$.example_script_file'),
  coalesce(data ->> '$.use_overlay', data ->> '$.useOverlay', 0),
  coalesce(data ->> '$.automated_video_editing_enabled', 1),
  coalesce(data ->> '$.useExactScript', 0),
  iif(abs(created_off) < 900 and abs(created_off - round(created_off)) < 0.001, created_at,
    coalesce(data ->> '$.created_at', created_at, now)) as created_at,
  iif(abs(updated_off) < 900 and abs(updated_off - round(updated_off)) < 0.001, updated_at,
    coalesce(data ->> '$.updated_at', updated_at, now))
from (select *, strftime('%Y-%m-%dT%H:%M:%fZ', 'now') as now,
    (julianday(created_at) - julianday(data ->> '$.created_at', 'auto')) * 1440 as created_off,
    (julianday(updated_at) - julianday(data ->> '$.updated_at', 'auto')) * 1440 as updated_off
  from (select :id as id, :data as data, :created_at as created_at, :updated_at as updated_at)
  limit 1)) -- without the limit SQLite would calculate the differences wherever they are used
where true
on conflict (id) do nothing
"""

# A time of change that `data` does not hold was set a moment ago, and is the same in both tables.
ADD_HISTORY = """
insert into job_history (job_id, version, operation, actor, changed_at)
select
  id,
  1 + iif(:has_history, (
    select coalesce(max(version), 0)
    from job_history
    where job_id = jobs.id
  ), 0),
  'insert',
  :actor,
  iif(data ->> '$.updated_at' is null, updated_at, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
from jobs
where rowid > :last_row
order by rowid
"""

ADD_COUNTS = """
insert into job_counts (group_key, product, persona, language, enabled, jobs)
select json_array(product, persona, language, enabled is 1), product, persona, language,
  enabled is 1, count(*)
from jobs
where rowid > :last_row
group by 1
on conflict (group_key) do update set jobs = jobs + excluded.jobs
"""

ADD_WORDS = """
insert into jobs_fts (rowid, job_name, product, persona, setting, emotion, hook, brand_name)
select rowid, job_name, product, persona, setting, emotion, hook, brand_name
from jobs
where rowid > :last_row
"""

# Jobs before the import may wait for the index of trigrams, too.
ADD_TRIGRAMS = """
insert into jobs_trigrams (rowid, job_name, product, persona, setting, emotion, hook, brand_name)
select rowid, job_name, product, persona, setting, emotion, hook, brand_name
from jobs
where rowid > (select trigrams_to from write_context)
"""

NOTE_TRIGRAMS = """
update write_context
set trigrams_to = max(trigrams_to, (select coalesce(max(rowid), 0) from jobs))
"""


def is_possible(connection: sqlite3.Connection) -> bool:
    """True if no triggers of the user's have to see each new job."""
    ours = {one.name for one in schema.reference("campaigns").values() if one.kind == "trigger"}
    triggers = connection.execute(
        "select name from sqlite_master where type = 'trigger' and tbl_name = 'jobs'"
    )
    return {name for (name,) in triggers} <= ours


@contextmanager
def without_triggers(connection: sqlite3.Connection, actor: str | None) -> Iterator[None]:
    """Within the block, new jobs are inserted by `INSERT_JOB` alone, and must be valid."""
    [last_row] = connection.execute("select coalesce(max(rowid), 0) from jobs").fetchone()
    has_history = has_rows(connection, "job_history")
    dropped = insert_triggers()
    if not has_rows(connection, "jobs"):
        dropped += indexes("jobs")
    if not has_history:
        dropped += indexes("job_history")
    for one in dropped:
        connection.execute(f"drop {one.kind} if exists {one.name}")
    yield
    values = {"last_row": last_row, "actor": actor, "has_history": has_history}
    for sql in (ADD_HISTORY, ADD_COUNTS, ADD_WORDS, ADD_TRIGRAMS, NOTE_TRIGRAMS):
        connection.execute(sql, values)
    for one in dropped:
        connection.execute(one.sql)


def insert_triggers() -> list[schema.SchemaObject]:
    objects = schema.reference("campaigns").values()
    triggers = [one for one in objects if one.kind == "trigger" and one.table == "jobs"]
    return [one for one in triggers if " insert on jobs" in one.sql]


def indexes(table: str) -> list[schema.SchemaObject]:
    objects = schema.reference("campaigns").values()
    return [one for one in objects if one.kind == "index" and one.table == table]
