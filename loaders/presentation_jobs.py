"""Presentations to render: the Python functions of the database `presentation_jobs`.

Every function takes `db` first: a `sqlite_utils.Database` or a `sqlite3.Connection`. A job is a
dictionary of its columns. Errors are those of loaders/errors.py.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from loaders.checks import named_rows
from loaders.connections import Connection
from loaders.queues.checks import derived
from loaders.queues.queue import JobQueue
from loaders.queues.table import Row, Table

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

DERIVED = derived("presentation_jobs", "completed_at")


def with_defaults(_: sqlite3.Connection, job: Row) -> Row:
    """The columns of a new job; without a key it gets a random one."""
    return {"job_id": str(uuid.uuid4()), **job}


PRESENTATIONS = JobQueue(
    table=JOBS,
    running="processing",
    unfinished=("queued", "processing"),
    retryable=("failed",),
    finished="completed_at",
    with_defaults=with_defaults,
)

get = PRESENTATIONS.find
get_all = PRESENTATIONS.find_all
delete = PRESENTATIONS.delete
claim = PRESENTATIONS.claim
heartbeat = PRESENTATIONS.heartbeat
recover = PRESENTATIONS.recover


def create(db: Connection, job_data: Mapping[str, Any], actor: str | None = None) -> Row:
    """Store a new job from its columns; without a key it gets a random one."""
    return PRESENTATIONS.add(db, job_data, actor)


def update(
    db: Connection,
    job_id: str,
    changes: Mapping[str, Any] | None = None,
    *,
    actor: str | None = None,
    **fields: Any,
) -> Row | None:
    """Change columns, given as keywords or in `changes`; None if there is no such job."""
    return PRESENTATIONS.update(db, job_id, {**(changes or {}), **fields}, actor)


def delete_old_jobs(db: Connection, days: float = 7, actor: str | None = None) -> int:
    """Delete jobs that ended, or were abandoned, more than `days` ago, and return their number."""
    return PRESENTATIONS.cleanup(db, days, actor)


def check(connection: sqlite3.Connection) -> Iterator[str]:
    """Name old rows that break today's rules."""
    yield from named_rows(connection, CHECKS)
