"""Commands for the queues of builds and presentations: cleanup, recover."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from dailies.cli.options import DatabaseName, Output, command
from loaders import open_database

if TYPE_CHECKING:
    from loaders.queues.queue import JobQueue
    from loaders.queues.recovery import Recovered

QUEUES = ("yt-builder", "presentation_jobs")
STALE_MINUTES = 10


@click.command()
@click.argument("name", type=DatabaseName(QUEUES))
@click.option(
    "--days", type=click.FloatRange(min=0), required=True, help="Minimum age of the jobs, in days."
)
@click.option("--dry-run", is_flag=True, help="Count the jobs without deleting them.")
@command
def cleanup(name: str, days: float, dry_run: bool) -> Output:
    """Delete finished jobs that are older than a number of days.

    NAME is yt-builder or presentation_jobs.
    """
    queue = queue_of(name)
    with closing(open_database(name)) as db:
        count = queue.count_old(db, days) if dry_run else queue.cleanup(db, days, "cleanup")
    action = "would be deleted" if dry_run else "deleted"
    return Output(
        {"ok": True, "name": name, "jobs": count, "dry_run": dry_run},
        [f"{name}: {count} jobs {action}"],
    )


@click.command()
@click.argument("names", nargs=-1, type=DatabaseName(QUEUES), metavar="[NAME]...")
@click.option(
    "--stale-minutes",
    type=click.FloatRange(min=0),
    default=STALE_MINUTES,
    show_default=True,
    help="Minutes without a heartbeat.",
)
@command
def recover(names: tuple[str, ...], stale_minutes: float) -> Output:
    """Requeue running jobs that send no heartbeats, or fail them after their last attempt.

    NAME is yt-builder or presentation_jobs. Without NAME, both.
    """
    done = {name: recover_one(name, stale_minutes) for name in names or QUEUES}
    return Output(
        {"ok": True, "databases": {name: asdict(one) for name, one in done.items()}},
        [recovered_line(name, one) for name, one in done.items()],
    )


def recover_one(name: str, stale_minutes: float = STALE_MINUTES) -> Recovered:
    with closing(open_database(name)) as db:
        return queue_of(name).recover(db, stale_minutes, "recover")


def recovered_line(name: str, recovered: Recovered) -> str:
    return f"{name}: {len(recovered.queued)} requeued, {len(recovered.failed)} failed"


def queue_of(name: str) -> JobQueue:
    from loaders.presentation_jobs import PRESENTATIONS
    from loaders.yt_builder import BUILDS

    return BUILDS if name == "yt-builder" else PRESENTATIONS
