"""The page of a build: how far it is, its files, what was uploaded of it, and what happened."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from dailies.web.pages.formatting import parsed
from dailies.web.pages.job_events import events_in
from dailies.web.pages.viewer import Question, Row, Viewer

DATABASE = "yt-builder"
MOST = 200

BUILD = Question(
    DATABASE,
    ("jobs",),
    """
    select *
    from jobs
    where job_id = :job_id
    """,
)

FILES = Question(
    DATABASE,
    ("job_files",),
    """
    select id, file_type, filename, file_path, uploaded_at
    from job_files
    where job_id = :job_id
    order by file_type, filename
    limit :most
    """,
)

UPLOADS = Question(
    DATABASE,
    ("youtube_uploads",),
    """
    select id, video_id, video_url, title, privacy, uploaded_at
    from youtube_uploads
    where job_id = :job_id
    order by id desc
    limit :most
    """,
)

EVENTS = events_in(DATABASE)


async def read(viewer: Viewer, key: str) -> dict[str, Any] | None:
    build = await viewer.row(BUILD, job_id=key)
    if build is None:
        return None
    files = await viewer.rows(FILES, job_id=key, most=MOST)
    return {
        "build": build,
        "settings": parsed(build["config"]),
        "files": None if files is None else by_type(files),
        "uploads": await viewer.rows(UPLOADS, job_id=key, most=MOST),
        "events": await viewer.rows(EVENTS, job_id=key, most=MOST),
    }


def by_type(files: list[Row]) -> dict[str, list[Row]]:
    return {kind: list(some) for kind, some in groupby(files, lambda file: file["file_type"])}
