"""Presentations to render: the Python functions of the database `presentation_jobs`.

Every function takes `db` first: a `sqlite_utils.Database` or a `sqlite3.Connection`. A job is a
dictionary of its columns. Bad input is ValueError; a key that exists is `DuplicateKey`; a
change of status that the life cycle forbids is `LifeCycleError`.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from loaders.checks import named_rows
from loaders.connections import Connection, acting_as
from loaders.queues import claims, job_rows, recovery
from loaders.queues.job_rows import Row, Table, insert, key, select
from loaders.queues.life_cycle import PRESENTATIONS

LIFE_CYCLE = PRESENTATIONS

JOBS = Table(
    "presentation_jobs",
    {
        "job_id": "text",
        "status": "text",
        "progress": "number",
        "error": "text",
        "config": "json",
        "video_url": "text",
        "thumbnail_url": "text",
        "slide_image_path": "text",
        "created_at": "time",
        "completed_at": "time",
        "last_heartbeat": "time",
        "created_files": "json",
        "worker": "text",
        "attempts": "number",
        "current_step": "text",
        "priority": "number",
        "run_after": "time",
    },
)

CHECKS = {
    "presentation_jobs.job_id must not be empty": """
        select job_id
        from presentation_jobs
        where job_id = ''
        """,
    "presentation_jobs.status must be one of queued, processing, completed, failed": """
        select job_id
        from presentation_jobs
        where status not in ('queued', 'processing', 'completed', 'failed')
        """,
    "presentation_jobs.progress must be a number from 0 to 100": """
        select job_id
        from presentation_jobs
        where progress not between 0 and 100
        """,
    "presentation_jobs.attempts must be a whole number, 0 or more": """
        select job_id
        from presentation_jobs
        where typeof(attempts) not in ('integer', 'null')
          or attempts < 0
        """,
    "presentation_jobs.config must be a JSON object": """
        select job_id
        from presentation_jobs
        where config is not null
          and iif(typeof(config) = 'text' and json_valid(config), json_type(config), '')
            not in ('object', 'null')
        """,
    "presentation_jobs.created_files must be a JSON list": """
        select job_id
        from presentation_jobs
        where created_files is not null
          and iif(typeof(created_files) = 'text' and json_valid(created_files),
            json_type(created_files), '') not in ('array', 'null')
        """,
}

FIND_JOB = "select * from presentation_jobs where job_id = :job_id"

LIST_JOBS = """
select presentation_jobs.*
from job_times
join presentation_jobs using (job_id)
order by job_times.created_at desc, job_times.job_id desc
limit :limit
"""

LIST_JOBS_OF_STATUS = """
select presentation_jobs.*
from job_times
join presentation_jobs using (job_id)
where job_times.status = :status
order by job_times.created_at desc, job_times.job_id desc
limit :limit
"""


def create(db: Connection, job_data: Mapping[str, Any], actor: str | None = None) -> Row:
    """Store a new job from its columns; without a key it gets a random one.

    What is None takes its default.
    """
    values = {name: value for name, value in job_data.items() if value is not None}
    job_id = str(values.setdefault("job_id", str(uuid.uuid4())))
    with acting_as(db, actor) as connection:
        insert(connection, JOBS, f'job "{job_id}"', values)
        return require(connection, job_id)


def get(db: Connection, job_id: str) -> Row | None:
    found = select(db, JOBS, FIND_JOB, {"job_id": key(job_id)})
    return found[0] if found else None


def get_all(db: Connection, limit: int | None = None, status: str | None = None) -> list[Row]:
    """Jobs, the newest first; of one status where it is given."""
    sql = LIST_JOBS if status is None else LIST_JOBS_OF_STATUS
    return select(db, JOBS, sql, {"limit": -1 if limit is None else limit, "status": status})


def update(
    db: Connection,
    job_id: str,
    changes: Mapping[str, Any] | None = None,
    *,
    actor: str | None = None,
    **fields: Any,
) -> Row | None:
    """Change columns, given as keywords or in `changes`; None if there is no such job.

    The key stays what it is.
    """
    with acting_as(db, actor) as connection:
        found = job_rows.update(connection, JOBS, job_id, {**(changes or {}), **fields})
        return require(connection, job_id) if found else None


def delete(db: Connection, job_id: str, actor: str | None = None) -> bool:
    """Remove a job; False if there was none."""
    with acting_as(db, actor) as connection:
        cursor = connection.execute(
            "delete from presentation_jobs where job_id = ?", (key(job_id),)
        )
        return cursor.rowcount > 0


def claim(db: Connection, worker: str, actor: str | None = None) -> Row | None:
    """The oldest queued job, now processing, with its `lease`; None if none is queued."""
    return claims.claim(db, LIFE_CYCLE, JOBS, worker, actor)


def heartbeat(
    db: Connection,
    job_id: str,
    lease: str | None = None,
    progress: float | None = None,
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


def delete_old_jobs(db: Connection, days: float = 7, actor: str | None = None) -> int:
    """Delete jobs that ended, or were abandoned, more than `days` ago; how many."""
    return recovery.cleanup(db, LIFE_CYCLE, days, actor)


def preview_cleanup(db: Connection, days: float = 7) -> int:
    """How many jobs `delete_old_jobs` would delete."""
    return recovery.cleanup(db, LIFE_CYCLE, days, dry_run=True)


def require(connection: sqlite3.Connection, job_id: str) -> Row:
    job = get(connection, job_id)
    if job is None:
        raise ValueError(f'job "{job_id}" is gone')
    return job


def check(connection: sqlite3.Connection) -> Iterator[str]:
    """Name old rows that break today's rules."""
    yield from named_rows(connection, CHECKS)
