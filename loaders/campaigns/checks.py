"""`dailies check` for campaigns: columns that disagree with `data`, and values of old rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping

from loaders.campaigns.normal_form import COLUMNS, TIMES
from loaders.checks import named_rows

BOOLEANS = ("enabled", "use_overlay", "automated_video_editing_enabled", "useExactScript")

DRIFTED: Mapping[str, str] = {
    f"jobs.{column} does not agree with data": f"""
        select jobs.id
        from jobs
        join jobs_projection on jobs_projection.job_rowid = jobs.rowid
        where jobs.{column} is not jobs_projection.{column}
        """  # noqa: S608
    for column in (*COLUMNS, "created_instant")
}

BROKEN_RULES: Mapping[str, str] = {
    "jobs.data must be a JSON object": """
        select id
        from jobs
        where data is null
          or not json_valid(data)
        """,
    "jobs.job_name a job needs a name": "select id from jobs where job_name is null",
    **{
        f"jobs.{column} must be true or false (1 or 0)": f"""
            select id
            from jobs
            where {column} not in (0, 1)
            """  # noqa: S608
        for column in BOOLEANS
    },
    **{
        f"jobs.{column} is not a time as 2026-11-20T07:15:00.000Z": f"""
            select id
            from jobs
            where {column} is not strftime('%Y-%m-%dT%H:%M:%fZ', {column})
            """  # noqa: S608
        for column in TIMES
    },
}


DERIVED: Mapping[str, str] = {
    "job_history has no version of a job": """
        select id
        from jobs
        where id not in (select job_id from job_history)
        """,
    "job_counts does not agree with jobs": """
        select group_key
        from (
            select json_array(product, persona, language, enabled is 1) as group_key, count(*)
            from jobs
            group by 1
            except
            select group_key, jobs
            from job_counts
          )
        """,
}


def check(connection: sqlite3.Connection) -> Iterator[str]:
    """Jobs whose columns disagree with their `data`, and values that break a rule."""
    yield from named_rows(connection, {**DRIFTED, **BROKEN_RULES})
