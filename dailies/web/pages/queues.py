"""The pages of a build and of a presentation: progress, attempts, output and events."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from dailies.api.resources import BUILDS, PRESENTATIONS, Resource
from dailies.web.pages.formatting import parse_json
from dailies.web.pages.queue_list import finished_of, started_sql, state_of, title_sql
from dailies.web.pages.viewer import PageQuery, Row, Viewer

JOB = """
    select *, {title} as title, {started} as started
    from {table}
    where job_id = :job_id
    """

FILES = PageQuery(
    "yt-builder",
    ("job_files",),
    """
    select id, file_type, filename, file_path, uploaded_at
    from job_files
    where job_id = :job_id
    order by file_type, filename
    limit 200
    """,
)

UPLOADS = PageQuery(
    "yt-builder",
    ("youtube_uploads",),
    """
    select id, video_id, video_url, title, privacy, uploaded_at
    from youtube_uploads
    where job_id = :job_id
    order by id desc
    limit 200
    """,
)

EVENTS = """
    select status_from, status_to, actor, at, detail
    from job_events
    where job_id = :job_id
    order by id desc
    limit 200
    """
ATTEMPTS = """
    select row_number() over (order by id) as number, *
    from job_attempts
    where job_id = :job_id
    order by id desc
    limit 50
    """
CLEARED = ("error", "progress", "current_step")


async def read_build(viewer: Viewer, key: str) -> dict[str, Any] | None:
    record = await read_job(viewer, BUILDS, key)
    if record is None:
        return None
    files = await viewer.rows(FILES, job_id=key)
    by_type = {name: list(rows) for name, rows in groupby(files or [], lambda f: f["file_type"])}
    return {
        **record,
        "settings": parse_json(record["job"]["config"]),
        "files": None if files is None else by_type,
        "uploads": await viewer.rows(UPLOADS, job_id=key),
    }


async def read_presentation(viewer: Viewer, key: str) -> dict[str, Any] | None:
    record = await read_job(viewer, PRESENTATIONS, key)
    if record is None:
        return None
    files = parse_json(record["job"]["created_files"])
    return {
        **record,
        "settings": parse_json(record["job"]["config"]),
        "files": files if isinstance(files, list) else [],
    }


async def read_job(viewer: Viewer, resource: Resource, key: str) -> dict[str, Any] | None:
    """The job with its attempts and events, the last ones first; None if it is not to be seen."""
    title, started = await title_sql(viewer, resource), await started_sql(viewer, resource)
    sql = JOB.format(title=title, started=started, table=resource.table)
    job = await viewer.row(PageQuery(resource.database, (resource.table,), sql), job_id=key)
    if job is None:
        return None
    job |= {
        "token": f"{resource.name}:{job['job_id']}",
        "name": job.get("run_id", job["job_id"]),
        "state": state_of(job["status"]),
        "ended": job[finished_of(resource)],
    }
    attempts = PageQuery(resource.database, ("job_attempts",), ATTEMPTS)
    events = PageQuery(resource.database, ("job_events",), EVENTS)
    return {
        "job": job,
        "attempts": timeline(job, await viewer.rows(attempts, job_id=key) or []),
        "events": await viewer.rows(events, job_id=key),
    }


def timeline(job: Row, attempts: list[Row]) -> list[Row]:
    """The attempts; what belongs to the last one is in the job until it is queued again."""
    if job["state"] in ("queued", "preparing"):
        return attempts
    if attempts and attempts[0]["outcome"] in (None, job["status"]):
        current = {name: job[name] for name in CLEARED if job[name] is not None}
        return [{**attempts[0], **current}, *attempts[1:]]
    if attempts or (job["error"] is None and job["ended"] is None):
        return attempts
    return [{
        **{name: job[name] for name in (*CLEARED, "worker")},
        "number": 1,
        "started_at": job["started"],
        "ended_at": job["ended"],
        "outcome": job["status"],
    }]  # fmt: skip
