"""What happened to a job, for the page of a build or presentation."""

from __future__ import annotations

from dailies.web.pages.viewer import Question


def events_in(database: str) -> Question:
    """The changes of a job's status, the newest first."""
    return Question(
        database,
        ("job_events",),
        """
        select status_from, status_to, actor, at, detail
        from job_events
        where job_id = :job_id
        order by id desc
        limit :most
        """,
    )
