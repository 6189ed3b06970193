"""The pages of a build and of a presentation: progress, output and events."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from dailies.web.pages.formatting import parse_json
from dailies.web.pages.titles import build_title, presentation_title
from dailies.web.pages.viewer import PageQuery, Viewer

BUILD = """
    select *, {title} as title
    from jobs
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

PRESENTATION = PageQuery(
    "presentation_jobs",
    ("presentation_jobs",),
    f"""
    select *, {presentation_title()} as title
    from presentation_jobs
    where job_id = :job_id
    """,  # noqa: S608
)

EVENTS = """
    select status_from, status_to, actor, at, detail
    from job_events
    where job_id = :job_id
    order by id desc
    limit 200
    """
BUILD_EVENTS = PageQuery("yt-builder", ("job_events",), EVENTS)
PRESENTATION_EVENTS = PageQuery("presentation_jobs", ("job_events",), EVENTS)


async def read_build(viewer: Viewer, key: str) -> dict[str, Any] | None:
    sql = BUILD.format(title=await build_title(viewer))
    build = await viewer.row(PageQuery("yt-builder", ("jobs",), sql), job_id=key)
    if build is None:
        return None
    files = await viewer.rows(FILES, job_id=key)
    by_type = {name: list(rows) for name, rows in groupby(files or [], lambda f: f["file_type"])}
    return {
        "build": build,
        "settings": parse_json(build["config"]),
        "files": None if files is None else by_type,
        "uploads": await viewer.rows(UPLOADS, job_id=key),
        "events": await viewer.rows(BUILD_EVENTS, job_id=key),
    }


async def read_presentation(viewer: Viewer, key: str) -> dict[str, Any] | None:
    presentation = await viewer.row(PRESENTATION, job_id=key)
    if presentation is None:
        return None
    files = parse_json(presentation["created_files"])
    return {
        "presentation": presentation,
        "files": files if isinstance(files, list) else [],
        "events": await viewer.rows(PRESENTATION_EVENTS, job_id=key),
    }
