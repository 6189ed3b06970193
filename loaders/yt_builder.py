"""Builds of videos: the Python functions of the database `yt-builder`.

Every function takes `db` first: a `sqlite_utils.Database` or a `sqlite3.Connection`. Jobs, files
and uploads are dictionaries of their columns. Errors are those of loaders/errors.py.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from loaders.checks import named_rows
from loaders.connections import Connection, acting_as, transaction
from loaders.errors import Invalid, translated
from loaders.queues.checks import derived
from loaders.queues.instants import instant
from loaders.queues.queue import JobQueue
from loaders.queues.table import Row, Table
from loaders.rows import select

FILE_TYPES = ("videos", "music", "sounds", "quotes")

JOBS = Table(
    "jobs",
    {
        "job_id": "number",
        "run_id": "text",
        "run_dir": "text",
        "status": "text",
        "progress": "number",
        "current_step": "text",
        "config": "json",
        "output_file": "text",
        "error": "text",
        "created_at": "time",
        "started_at": "time",
        "finished_at": "time",
        "worker": "text",
        "last_heartbeat": "time",
        "attempts": "number",
        "priority": "number",
        "run_after": "time",
    },
)
FILES = Table(
    "job_files",
    {
        "job_id": "number",
        "file_type": "text",
        "filename": "text",
        "file_path": "text",
        "uploaded_at": "time",
    },
)
UPLOADS = Table(
    "youtube_uploads",
    {
        "job_id": "number",
        "video_id": "text",
        "video_url": "text",
        "title": "text",
        "description": "text",
        "privacy": "text",
        "tags": "json",
        "category": "text",
        "uploaded_at": "time",
    },
)

CHECKS = {
    "jobs.job_id must be below 4611686018427387904": """
        select job_id
        from jobs
        where job_id >= 1 << 62
        """,
    "jobs.status must be one of preparing, queued, running, completed, failed, cancelled": """
        select job_id
        from jobs
        where status not in ('preparing', 'queued', 'running', 'completed', 'failed', 'cancelled')
        """,
    "jobs.progress must be a whole number from 0 to 100": """
        select job_id
        from jobs
        where typeof(progress) not in ('integer', 'null')
          or progress not between 0 and 100
        """,
    "jobs.attempts must be a whole number, 0 or more": """
        select job_id
        from jobs
        where typeof(attempts) not in ('integer', 'null')
          or attempts < 0
        """,
    "jobs.config must be a JSON object": """
        select job_id
        from jobs
        where config is not null
          and iif(typeof(config) = 'text' and json_valid(config), json_type(config), '')
            not in ('object', 'null')
        """,
    "job_files.file_type must be one of videos, music, sounds, quotes": """
        select id
        from job_files
        where file_type not in ('videos', 'music', 'sounds', 'quotes')
        """,
    "youtube_uploads.privacy must be one of private, unlisted, public": """
        select id
        from youtube_uploads
        where privacy not in ('private', 'unlisted', 'public')
        """,
    "youtube_uploads.tags must be a JSON list": """
        select id
        from youtube_uploads
        where tags is not null
          and iif(typeof(tags) = 'text' and json_valid(tags), json_type(tags), '')
            not in ('array', 'null')
        """,
}

DERIVED = derived("jobs", "finished_at")

NEXT_NUMBER = """
update sqlite_sequence
set seq = max(seq, coalesce((select max(job_id) from jobs), 0)) + 1
where name = 'jobs'
returning seq
"""

ADD_FILE = """
insert into job_files (job_id, file_type, filename, file_path)
values (:job_id, :file_type, :filename, :file_path)
on conflict (job_id, file_type, filename) do update
set file_path = excluded.file_path,
  uploaded_at = excluded.uploaded_at
"""

FIND_FILE = """
select *
from job_files
where job_id = :job_id
  and file_type = :file_type
  and filename = :filename
"""

LIST_FILES = """
select *
from job_files
where job_id = :job_id
  and (:file_type is null or file_type = :file_type)
order by id
"""

COUNT_FILES = """
select file_type, count(*) as files
from job_files
where job_id = :job_id
group by file_type
"""

DELETE_FILE = """
delete from job_files
where job_id = :job_id
  and file_type = :file_type
  and filename = :filename
"""


def get_next_job_id(db: Connection) -> int:
    """A number that no job has had. It is reserved: the next caller gets another."""
    with transaction(db) as connection:
        found = connection.execute(NEXT_NUMBER).fetchall()
        if not found:
            connection.execute("insert into sqlite_sequence (name, seq) values ('jobs', 0)")
            found = connection.execute(NEXT_NUMBER).fetchall()
        return int(found[0][0])


def with_defaults(connection: sqlite3.Connection, job: Row) -> Row:
    """The columns of a new job, with number, run and folder. Invalid for a bad number."""
    job_id = job["job_id"] if "job_id" in job else get_next_job_id(connection)
    if isinstance(job_id, bool) or not isinstance(job_id, int):
        raise Invalid(f"jobs.job_id: must be a whole number, not {job_id!r}")
    run_id = job.get("run_id", f"run-{job_id}-{secrets.token_hex(4)}")
    return {"job_id": job_id, "run_id": run_id, "run_dir": f"runs/{run_id}", **job}


BUILDS = JobQueue(
    table=JOBS,
    running="running",
    unfinished=("preparing", "queued", "running"),
    retryable=("failed", "cancelled"),
    started="started_at",
    finished="finished_at",
    with_defaults=with_defaults,
)

add_job = BUILDS.add
get_job = BUILDS.find
update_job = BUILDS.update
delete_job = BUILDS.delete
claim = BUILDS.claim
heartbeat = BUILDS.heartbeat
recover = BUILDS.recover


def create_job(
    db: Connection,
    job_id: int | None = None,
    run_id: str | None = None,
    run_dir: str | None = None,
    config: Mapping[str, Any] | None = None,
    actor: str | None = None,
) -> Row:
    """Store a new job in the status `preparing`; number, run and folder have defaults."""
    job = {"job_id": job_id, "run_id": run_id, "run_dir": run_dir, "config": config}
    return BUILDS.add(db, job, actor)


def get_all_jobs(db: Connection, limit: int = 100, status: str | None = None) -> list[Row]:
    """The newest jobs, or the newest with this status."""
    return BUILDS.find_all(db, limit, status)


def update_job_status(
    db: Connection,
    job_id: int,
    status: str,
    progress: int | None = None,
    current_step: str | None = None,
    output_file: str | None = None,
    error: str | None = None,
    actor: str | None = None,
) -> Row | None:
    """Change the status, and what else is given; None if there is no such job."""
    given = {
        "status": status,
        "progress": progress,
        "current_step": current_step,
        "output_file": output_file,
        "error": error,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    return BUILDS.update(db, job_id, changes, actor)


def update_job_config(
    db: Connection, job_id: int, config: Mapping[str, Any] | None, actor: str | None = None
) -> Row | None:
    return BUILDS.update(db, job_id, {"config": config}, actor)


def cleanup_old_jobs(db: Connection, days: float = 30, actor: str | None = None) -> int:
    """Delete jobs that ended more than `days` ago, with their files, and return their number."""
    return BUILDS.cleanup(db, days, actor)


def add_file(
    db: Connection,
    job_id: int,
    file_type: str,
    filename: str,
    file_path: str,
    actor: str | None = None,
) -> Row:
    """Add a file to a job; it replaces one with the same type and name."""
    row = FILES.converted(
        {"job_id": job_id, "file_type": file_type, "filename": filename, "file_path": file_path}
    )
    with acting_as(db, actor) as connection:
        with translated(f"file {filename}", row):
            connection.execute(ADD_FILE, row)
        return FILES.select(connection, FIND_FILE, row)[0]


def get_job_files(db: Connection, job_id: int, file_type: str | None = None) -> list[Row]:
    values = {"job_id": BUILDS.key(job_id), "file_type": file_type}
    return FILES.select(db, LIST_FILES, values)


def get_file_counts(db: Connection, job_id: int) -> dict[str, int]:
    """The number of files of each type."""
    counted = select(db, COUNT_FILES, {"job_id": BUILDS.key(job_id)})
    return dict.fromkeys(FILE_TYPES, 0) | {row["file_type"]: row["files"] for row in counted}


def delete_file(
    db: Connection, job_id: int, file_type: str, filename: str, actor: str | None = None
) -> bool:
    """Remove a file from a job; False if there was none."""
    row = {"job_id": BUILDS.key(job_id), "file_type": file_type, "filename": filename}
    with acting_as(db, actor) as connection:
        return connection.execute(DELETE_FILE, row).rowcount > 0


def add_youtube_upload(
    db: Connection,
    job_id: int,
    video_id: str,
    video_url: str,
    title: str,
    description: str | None = None,
    privacy: str = "private",
    tags: Iterable[str] | None = None,
    category: str | None = None,
    actor: str | None = None,
) -> Row:
    """Record an upload of a job's video."""
    values = {
        "job_id": job_id,
        "video_id": video_id,
        "video_url": video_url,
        "title": title,
        "description": description,
        "privacy": privacy,
        "tags": None if tags is None else list(tags),
        "category": category,
    }
    with acting_as(db, actor) as connection:
        number = UPLOADS.insert(connection, f"upload {video_id}", values)
        sql = "select * from youtube_uploads where id = :id"
        return UPLOADS.select(connection, sql, {"id": number})[0]


def get_youtube_uploads(db: Connection, job_id: int | None = None, limit: int = 100) -> list[Row]:
    """The newest uploads, or those of one job."""
    condition = "" if job_id is None else "where job_id = :job_id"
    sql = f"""
    select *
    from youtube_uploads
    {condition}
    order by {instant("uploaded_at")} desc, id desc
    limit :limit
    """  # noqa: S608
    return UPLOADS.select(db, sql, {"job_id": BUILDS.key(job_id), "limit": limit})


def check(connection: sqlite3.Connection) -> Iterator[str]:
    """Name old rows that break today's rules."""
    yield from named_rows(connection, CHECKS)
