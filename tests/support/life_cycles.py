"""The life cycles of the jobs of both queues, as docs/jobs-api.md describes them."""

from __future__ import annotations

from dataclasses import dataclass

from loaders.presentation_jobs import PRESENTATIONS
from loaders.queues.queue import JobQueue
from loaders.yt_builder import BUILDS


@dataclass(frozen=True)
class LifeCycle:
    """Statuses, and for each status those that may follow it."""

    queue: JobQueue
    moves: dict[str, tuple[str, ...]]

    @property
    def table(self) -> str:
        return self.queue.table.name

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.moves)

    @property
    def running(self) -> str:
        return self.queue.running

    @property
    def started(self) -> str | None:
        return self.queue.started

    @property
    def finished(self) -> str:
        return self.queue.finished

    def allows(self, before: str, after: str) -> bool:
        return before == after or after in self.moves[before]


# Earlier programs write only what they notice: a build may complete without ever having been
# running, and its runner reports the end of a cancelled build as a failure.
LIFE_CYCLES = {
    "yt-builder": LifeCycle(
        BUILDS,
        {
            "preparing": ("queued", "running", "completed", "failed", "cancelled"),
            "queued": ("running", "completed", "failed", "cancelled"),
            "running": ("queued", "completed", "failed", "cancelled"),
            "completed": (),
            "failed": ("queued",),
            "cancelled": ("queued", "failed"),
        },
    ),
    "presentation_jobs": LifeCycle(
        PRESENTATIONS,
        {
            "queued": ("processing", "completed", "failed"),
            "processing": ("queued", "completed", "failed"),
            "completed": (),
            "failed": ("queued",),
        },
    ),
}
