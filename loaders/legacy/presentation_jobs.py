"""Takes over an earlier system's `presentation_jobs`."""

from __future__ import annotations

import sqlite3

from loaders.legacy.queues import exists, mend_json, redefine, settle_times
from loaders.migrations.presentation_jobs import CREATE_JOBS
from loaders.times import configured_timezone

TIMES = ("created_at", "last_heartbeat", "completed_at")


def upgrade(connection: sqlite3.Connection) -> None:
    """Give the table today's definition; every row stays, also those that break today's rules."""
    if exists(connection, "presentation_jobs"):
        mend_json(connection, "presentation_jobs", "job_id", "created_files", "[]")
        settle_times(connection, "presentation_jobs", TIMES, configured_timezone())
    redefine(connection, "presentation_jobs", CREATE_JOBS)
