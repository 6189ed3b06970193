"""The page of a presentation: how far it is, what came out of it, and what happened."""

from __future__ import annotations

from typing import Any

from dailies.web.pages.formatting import parsed
from dailies.web.pages.job_events import events_in
from dailies.web.pages.viewer import Question, Viewer

DATABASE = "presentation_jobs"
MOST = 200

PRESENTATION = Question(
    DATABASE,
    ("presentation_jobs",),
    """
    select *
    from presentation_jobs
    where job_id = :job_id
    """,
)

EVENTS = events_in(DATABASE)


async def read(viewer: Viewer, key: str) -> dict[str, Any] | None:
    presentation = await viewer.row(PRESENTATION, job_id=key)
    if presentation is None:
        return None
    files = parsed(presentation["created_files"])
    return {
        "presentation": presentation,
        "files": files if isinstance(files, list) else [],
        "events": await viewer.rows(EVENTS, job_id=key, most=MOST),
    }
