"""What a job is called on pages: the title of its video, else its own name."""

from __future__ import annotations

from dailies.web.pages.viewer import Viewer

IN_CONFIG = """
  iif(json_valid({table}.config), nullif(trim({table}.config ->> '$.title'), ''), null)
"""
OF_UPLOAD = """
  (
    select nullif(trim(title), '')
    from youtube_uploads
    where youtube_uploads.job_id = jobs.job_id
    order by id desc
    limit 1
  )
"""


async def build_title(viewer: Viewer) -> str:
    """SQL: the title of a row of `jobs`, from what this actor may see."""
    parts = [IN_CONFIG.format(table="jobs"), "jobs.run_id"]
    if await viewer.can_view("yt-builder", "youtube_uploads"):
        parts.insert(1, OF_UPLOAD)
    return f"coalesce({', '.join(parts)})"


def presentation_title() -> str:
    """SQL: the title of a row of `presentation_jobs`."""
    return f"coalesce({IN_CONFIG.format(table='presentation_jobs')}, presentation_jobs.job_id)"
