"""Builds of videos: the Python functions of the database `yt-builder`.

Every function takes `db` first: a `sqlite_utils.Database` or a `sqlite3.Connection`. Jobs, files
and uploads are dictionaries of their columns. Bad input is ValueError; a key that exists is
`DuplicateKey`; a change of status that the life cycle forbids is `LifeCycleError`.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from loaders.checks import named_rows
from loaders.connections import Connection, acting_as, sqlite_connection
from loaders.queues import claims, recovery
from loaders.queues.instants import instant
from loaders.queues.job_rows import Row, Table, insert, key, refusing, select, stored, update
from loaders.queues.life_cycle import BUILDS

FILE_TYPES = ("videos", "music", "sounds", "quotes")
PRIVACIES = ("private", "unlisted", "public")

LIFE_CYCLE = BUILDS

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

FIND_JOB = "select * from jobs where job_id = :job_id"

LIST_JOBS = """
select jobs.*
from job_times
join jobs using (job_id)
order by job_times.created_at desc, job_times.job_id desc
limit :limit
"""

LIST_JOBS_OF_STATUS = """
select jobs.*
from job_times
join jobs using (job_id)
where job_times.status = :status
order by job_times.created_at desc, job_times.job_id desc
limit :limit
"""

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
select file_type, count(*)
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

LIST_UPLOADS = f"""
select *
from youtube_uploads
order by {instant("uploaded_at")} desc, id desc
limit :limit
"""  # noqa: S608

LIST_UPLOADS_OF_JOB = f"""
select *
from youtube_uploads
where job_id = :job_id
order by {instant("uploaded_at")} desc, id desc
limit :limit
"""  # noqa: S608


def get_next_job_id(db: Connection) -> int:
    """A number that no job ever had. It is reserved: whoever asks next gets another."""
    with acting_as(db, None) as connection:
        found = connection.execute(NEXT_NUMBER).fetchall()
        if not found:
            connection.execute("insert into sqlite_sequence (name, seq) values ('jobs', 0)")
            found = connection.execute(NEXT_NUMBER).fetchall()
        return int(found[0][0])


def create_job(
    db: Connection,
    job_id: int | None = None,
    run_id: str | None = None,
    run_dir: str | None = None,
    config: Mapping[str, Any] | None = None,
    actor: str | None = None,
) -> Row:
    """Store a new job, which is being prepared; what is not given is made up."""
    values = {"job_id": job_id, "run_id": run_id, "run_dir": run_dir, "config": config}
    return add_job(db, {name: value for name, value in values.items() if value is not None}, actor)


def add_job(db: Connection, job: Mapping[str, Any], actor: str | None = None) -> Row:
    """Store a new job from its columns; number, run and folder are made up where absent."""
    values = dict(job)
    with acting_as(db, actor) as connection:
        if values.get("job_id") is None:
            values["job_id"] = get_next_job_id(connection)
            connection.execute("update write_context set actor = ?", (actor,))
        job_id = values["job_id"]
        if isinstance(job_id, bool) or not isinstance(job_id, int):
            raise ValueError(f"jobs.job_id: must be a whole number, not {job_id!r}")
        if values.get("run_id") is None:
            values["run_id"] = f"run-{job_id}-{secrets.token_hex(4)}"
        if values.get("run_dir") is None:
            values["run_dir"] = f"runs/{values['run_id']}"
        insert(connection, JOBS, f"job {job_id} ({values['run_id']})", values)
        return require(connection, job_id)


def get_job(db: Connection, job_id: int) -> Row | None:
    found = select(db, JOBS, FIND_JOB, {"job_id": key(job_id)})
    return found[0] if found else None


def get_all_jobs(db: Connection, limit: int = 100, status: str | None = None) -> list[Row]:
    """The newest jobs, of one status where it is given."""
    sql = LIST_JOBS if status is None else LIST_JOBS_OF_STATUS
    return select(db, JOBS, sql, {"limit": limit, "status": status})


def update_job(
    db: Connection, job_id: int, changes: Mapping[str, Any], actor: str | None = None
) -> Row | None:
    """Change columns; None if there is no such job. The key stays what it is."""
    with acting_as(db, actor) as connection:
        found = update(connection, JOBS, job_id, changes)
        return require(connection, job_id) if found else None


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
    """Change the status and what else is given; None if there is no such job."""
    given = {
        "progress": progress,
        "current_step": current_step,
        "output_file": output_file,
        "error": error,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    return update_job(db, job_id, {"status": status, **changes}, actor)


def update_job_config(
    db: Connection, job_id: int, config: Mapping[str, Any] | None, actor: str | None = None
) -> Row | None:
    return update_job(db, job_id, {"config": config}, actor)


def delete_job(db: Connection, job_id: int, actor: str | None = None) -> bool:
    """Remove a job with its files and uploads; False if there was none."""
    with acting_as(db, actor) as connection:
        cursor = connection.execute("delete from jobs where job_id = ?", (key(job_id),))
        return cursor.rowcount > 0


def add_file(
    db: Connection,
    job_id: int,
    file_type: str,
    filename: str,
    file_path: str,
    actor: str | None = None,
) -> Row:
    """Note a file of a job; one of the same type and name is replaced."""
    values = {
        "job_id": job_id,
        "file_type": file_type,
        "filename": filename,
        "file_path": file_path,
    }
    row = stored(FILES, values)
    with acting_as(db, actor) as connection:
        with refusing(f"file {filename}", row):
            connection.execute(ADD_FILE, row)
        return select(connection, FILES, FIND_FILE, row)[0]


def get_job_files(db: Connection, job_id: int, file_type: str | None = None) -> list[Row]:
    return select(db, FILES, LIST_FILES, {"job_id": key(job_id), "file_type": file_type})


def get_file_counts(db: Connection, job_id: int) -> dict[str, int]:
    """Files of each type, zero where there are none."""
    counted = sqlite_connection(db).execute(COUNT_FILES, {"job_id": key(job_id)})
    return {**dict.fromkeys(FILE_TYPES, 0), **dict(counted.fetchall())}


def delete_file(
    db: Connection, job_id: int, file_type: str, filename: str, actor: str | None = None
) -> bool:
    """Forget a file; False if there was none."""
    row = {"job_id": key(job_id), "file_type": file_type, "filename": filename}
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
    """Note an upload of a job's video."""
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
        number = insert(connection, UPLOADS, f"upload {video_id}", values)
        sql = "select * from youtube_uploads where id = :id"
        return select(connection, UPLOADS, sql, {"id": number})[0]


def get_youtube_uploads(db: Connection, job_id: int | None = None, limit: int = 100) -> list[Row]:
    """The newest uploads, of one job where it is given."""
    sql = LIST_UPLOADS if job_id is None else LIST_UPLOADS_OF_JOB
    return select(db, UPLOADS, sql, {"job_id": key(job_id), "limit": limit})


def claim(db: Connection, worker: str, actor: str | None = None) -> Row | None:
    """The oldest queued job, now running, with its `lease`; None if none is queued."""
    return claims.claim(db, LIFE_CYCLE, JOBS, worker, actor)


def heartbeat(
    db: Connection,
    job_id: int,
    lease: str | None = None,
    progress: int | None = None,
    current_step: str | None = None,
    worker: str | None = None,
    actor: str | None = None,
) -> Row | None:
    """Note that a job's worker lives; None if there is no such job. See `claims.heartbeat`."""
    said = {"lease": lease, "progress": progress, "current_step": current_step, "worker": worker}
    return claims.heartbeat(db, LIFE_CYCLE, JOBS, job_id, said, actor)


def recover(
    db: Connection, stale_minutes: float = recovery.STALE_MINUTES, actor: str | None = None
) -> recovery.Recovered:
    """Take running jobs from workers of which nothing was heard for so long."""
    return recovery.recover(db, LIFE_CYCLE, stale_minutes, actor)


def cleanup_old_jobs(db: Connection, days: float = 30, actor: str | None = None) -> int:
    """Delete jobs that finished more than `days` ago, with their files; how many."""
    return recovery.cleanup(db, LIFE_CYCLE, days, actor)


def preview_cleanup(db: Connection, days: float = 30) -> int:
    """How many jobs `cleanup_old_jobs` would delete."""
    return recovery.cleanup(db, LIFE_CYCLE, days, dry_run=True)


def require(connection: sqlite3.Connection, job_id: int) -> Row:
    job = get_job(connection, job_id)
    if job is None:
        raise ValueError(f"job {job_id} is gone")
    return job


def check(connection: sqlite3.Connection) -> Iterator[str]:
    """Name old rows that break today's rules."""
    yield from named_rows(connection, CHECKS)
