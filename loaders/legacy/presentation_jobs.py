"""Upgrades the `presentation_jobs` of an earlier system."""

from __future__ import annotations

import sqlite3

from loaders.legacy.queues import add_times, convert_times, correct_json
from loaders.legacy.tables import rebuilding
from loaders.times import configured_timezone

TIMES = ("created_at", "last_heartbeat", "completed_at")

ADD_STATES = """
insert into job_states (job_id, status)
select job_id, status
from presentation_jobs
"""

ADD_ATTEMPTS = """
insert into job_attempts (job_id, worker, started_at)
select job_id, worker, created_at
from presentation_jobs
where status = 'processing'
"""


def upgrade(connection: sqlite3.Connection) -> None:
    """Replace the old table by today's; all rows stay, also those that break today's rules."""
    with rebuilding(connection, "presentation_jobs"):
        correct_json(connection, "presentation_jobs", "job_id", "created_files", "[]")
        convert_times(connection, "presentation_jobs", TIMES, configured_timezone())
        connection.execute(ADD_STATES)
        connection.execute(ADD_ATTEMPTS)
        add_times(connection, "presentation_jobs", "completed_at")
