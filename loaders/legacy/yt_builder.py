"""Upgrades the tables of an earlier video builder.

It never switched foreign keys on, and reused the numbers of deleted jobs. Files and uploads
whose job is gone, or is provably another one, move to `set_aside`: nobody may see the files of
somebody else's job.
"""

from __future__ import annotations

import posixpath
import re
import sqlite3
from collections.abc import Iterator
from datetime import tzinfo
from typing import Any

from loaders.legacy.queues import add_times, convert_times, correct_json, moment_of
from loaders.legacy.tables import rebuilding, set_rows_aside
from loaders.times import configured_timezone

CHILDREN = ("job_files", "youtube_uploads")
RUN_FOLDER = re.compile(r"run-\d+-.+")

# The highest job number that the file shows ever to have been given. Files of deleted jobs show
# theirs, if the folder of their run confirms it.
LAST_NUMBER = """
select max(coalesce((select max(job_id) from jobs), 0), coalesce((
    select max(job_id)
    from job_files
    where typeof(job_id) = 'integer'
      and file_path like '%run-' || job_id || '-%'
  ), 0))
"""

# What is plain for most rows, and faster in SQL: local times in order, a path in the run's folder.
LOCAL = """{0} glob '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]*'
  and {0} not glob '*T*[^0-9:.]*'"""
LATER = f"""child.uploaded_at >= jobs.created_at
  and {LOCAL.format("child.uploaded_at")}
  and {LOCAL.format("jobs.created_at")}"""
BELOW_RUN = """(jobs.run_dir <> ''
  and substr({path}, 1, length(jobs.run_dir) + 1) = jobs.run_dir || '/'
  and {path} not glob '*..*')"""

JOB_GONE = "not exists (select 1 from jobs where jobs.job_id = {child}.job_id)"
REASONS = {
    "older": "it was there before its job, whose number another job had",
    "elsewhere": "it is under another run's folder than its job's",
}

ADD_STATES = """
insert into job_states (job_id, run_id, status)
select job_id, run_id, status
from jobs
"""

ADD_ATTEMPTS = """
insert into job_attempts (job_id, worker, started_at)
select job_id, worker, coalesce(started_at, created_at)
from jobs
where status = 'running'
"""


def upgrade(connection: sqlite3.Connection) -> None:
    """Replace the old tables by today's, with every row that belongs to its job."""
    zone = configured_timezone()
    with rebuilding(connection, "yt_builder"):
        last = connection.execute(LAST_NUMBER).fetchone()[0]
        for child in CHILDREN:
            set_strangers_aside(connection, child, zone)
        correct_json(connection, "jobs", "job_id", "config", "{}")
        correct_json(connection, "youtube_uploads", "id", "tags", "[]")
        convert_all_times(connection, zone)
        connection.execute("delete from sqlite_sequence where name = 'jobs'")
        connection.execute("insert into sqlite_sequence (name, seq) values ('jobs', ?)", (last,))
        connection.execute(ADD_STATES)
        connection.execute(ADD_ATTEMPTS)
        add_times(connection, "jobs", "finished_at")


def set_strangers_aside(connection: sqlite3.Connection, child: str, zone: tzinfo) -> None:
    gone = JOB_GONE.format(child=child)
    set_rows_aside(connection, child, ("id",), gone, "its job is gone")
    connection.execute("create temp table strangers (id INTEGER PRIMARY KEY, reason TEXT)")
    connection.executemany(
        "insert into temp.strangers values (?, ?)", list(strangers(connection, child, zone))
    )
    for kind, reason in REASONS.items():
        condition = f"rowid in (select id from temp.strangers where reason = '{kind}')"  # noqa: S608
        set_rows_aside(connection, child, ("id",), condition, reason)
    connection.execute("drop table temp.strangers")


def strangers(
    connection: sqlite3.Connection, child: str, zone: tzinfo
) -> Iterator[tuple[int, str]]:
    """Number and kind of reason of each row that was stored for another job than today's."""
    path = "child.file_path" if child == "job_files" else "null"
    suspects = connection.execute(
        f"""
        select child.rowid, {path}, child.uploaded_at, jobs.run_id, jobs.run_dir, jobs.created_at
        from {child} as child
        join jobs on jobs.job_id = child.job_id
        where not ({LATER})
          or {BELOW_RUN.format(path=path)} is false
        """  # noqa: S608
    ).fetchall()
    folders = {normal(str(path)) for (path,) in connection.execute("select run_dir from jobs")}
    for rowid, file_path, uploaded_at, run_id, run_dir, created_at in suspects:
        if file_path is not None and is_elsewhere(file_path, run_id, run_dir, folders):
            yield rowid, "elsewhere"
        elif is_older(uploaded_at, created_at, zone):
            yield rowid, "older"


def is_older(uploaded_at: Any, created_at: Any, zone: tzinfo) -> bool:
    """True if it was there before the job, whichever way the two times are read."""
    uploaded, created = moment_of(uploaded_at, zone), moment_of(created_at, zone)
    if uploaded is None or created is None:
        return False
    return uploaded.instants[-1] < created.instants[0]


def normal(path: str) -> str:
    return posixpath.normpath(path.replace("\\", "/"))


def is_elsewhere(file_path: Any, run_id: Any, run_dir: Any, folders: set[str]) -> bool:
    """True if the path is in the folder of another run."""
    path = normal(str(file_path))
    parts = path.split("/")
    if path.startswith(f"{normal(str(run_dir))}/") or run_id in parts[:-1]:
        return False
    parents = {"/".join(parts[:count]) for count in range(1, len(parts))}
    return bool(parents & folders) or any(RUN_FOLDER.fullmatch(part) for part in parts[:-1])


def convert_all_times(connection: sqlite3.Connection, zone: tzinfo) -> None:
    convert_times(connection, "jobs", ("created_at", "started_at", "finished_at"), zone)
    for child in CHILDREN:
        created = f"(select created_at from jobs where jobs.job_id = {child}.job_id)"  # noqa: S608
        convert_times(connection, child, ("uploaded_at",), zone, created)
