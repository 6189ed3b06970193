"""The statuses of the two kinds of jobs and the changes between them.

The database enforces them (`job_status_moves` and triggers in loaders/migrations).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Status(NamedTuple):
    """A status; a job that has one that `ends` is not worked on any more."""

    name: str
    ends: bool = False


class Move(NamedTuple):
    """An allowed change of status; a shortcut only for a job that never ran."""

    status_from: str
    status_to: str
    shortcut: bool = False


@dataclass(frozen=True)
class LifeCycle:
    """The life cycle of the jobs in `table`, whose key is `job_id`.

    `finished` and `started` are the columns of its times.
    """

    table: str
    key_type: str
    running: str
    statuses: tuple[Status, ...]
    moves: tuple[Move, ...]
    finished: str
    started: str | None = None
    waiting: str = "queued"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(status.name for status in self.statuses)

    @property
    def unfinished(self) -> tuple[str, ...]:
        return tuple(status.name for status in self.statuses if not status.ends)


# Earlier programs write only what they notice: a build may complete without ever having been
# running, and its runner reports the end of a cancelled build as a failure.
BUILDS = LifeCycle(
    table="jobs",
    key_type="INTEGER",
    running="running",
    statuses=(
        Status("preparing"),
        Status("queued"),
        Status("running"),
        Status("completed", ends=True),
        Status("failed", ends=True),
        Status("cancelled", ends=True),
    ),
    moves=(
        Move("preparing", "queued"),
        Move("preparing", "running"),
        Move("preparing", "completed", shortcut=True),
        Move("preparing", "failed"),
        Move("preparing", "cancelled"),
        Move("queued", "running"),
        Move("queued", "completed", shortcut=True),
        Move("queued", "failed", shortcut=True),
        Move("queued", "cancelled"),
        Move("running", "queued"),
        Move("running", "completed"),
        Move("running", "failed"),
        Move("running", "cancelled"),
        Move("failed", "queued"),
        Move("cancelled", "queued"),
        Move("cancelled", "failed"),
    ),
    started="started_at",
    finished="finished_at",
)

PRESENTATIONS = LifeCycle(
    table="presentation_jobs",
    key_type="TEXT",
    running="processing",
    statuses=(
        Status("queued"),
        Status("processing"),
        Status("completed", ends=True),
        Status("failed", ends=True),
    ),
    moves=(
        Move("queued", "processing"),
        Move("queued", "completed", shortcut=True),
        Move("queued", "failed", shortcut=True),
        Move("processing", "queued"),
        Move("processing", "completed"),
        Move("processing", "failed"),
        Move("failed", "queued"),
    ),
    finished="completed_at",
)
