"""What the triggers of a queue derive from its jobs."""

from __future__ import annotations

from loaders.queues.instants import instant


def derived(table: str, finished: str) -> dict[str, str]:
    """For each message the query that finds what disagrees; `finished` is a column of the table."""
    return {
        "job_times does not agree with the jobs": f"""
            select job_id
            from (
                select job_id, status, priority, {instant("created_at")}, {instant(finished)}
                from {table}
                except
                select job_id, status, priority, created_at, {finished}
                from job_times
              )
            union all
            select job_id
            from job_times
            where job_id not in (select job_id from {table})
            """,  # noqa: S608
        "job_states does not agree with the jobs": f"""
            select job_id
            from (
                select job_id, status
                from {table}
                except
                select job_id, status
                from job_states
              )
            union all
            select job_id
            from job_states
            where job_id not in (select job_id from {table})
            """,  # noqa: S608
    }
