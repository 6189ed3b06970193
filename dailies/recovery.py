"""Takes jobs back from workers that stopped, all the time while the server runs."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import closing
from functools import partial

from datasette.app import Datasette

from dailies.api.resources import RESOURCES, Resource
from dailies.background import Task
from dailies.storage.databases import write_to
from loaders.database_file import open_read_only
from loaders.queues.queue import JobQueue
from loaders.queues.recovery import Recovered
from loaders.registry import database_path

ACTOR = "recover"
EVERY_SECONDS = 5.0

log = logging.getLogger("dailies")


def tasks() -> list[Task]:
    return [
        Task(f"Recovery of {one.name}", EVERY_SECONDS, partial(recover, resource=one))
        for one in RESOURCES.values()
        if one.queue
    ]


async def recover(datasette: Datasette, resource: Resource) -> None:
    """Requeue or fail the jobs without a heartbeat; nothing is written if there are none."""
    queue = resource.queue
    if queue is None or resource.database not in datasette.databases:
        return
    if await asyncio.to_thread(find_stale, queue, resource.database):
        done = await write_to(datasette, resource, partial(recover_stale, queue))
        if done.queued or done.failed:
            log.info(
                "%s: %s requeued, %s failed: their workers sent no heartbeats",
                resource.database, len(done.queued), len(done.failed),
            )  # fmt: skip


def find_stale(queue: JobQueue, database: str) -> bool:
    """On a connection of its own: those of requests may not read leases."""
    with closing(open_read_only(database_path(database))) as connection:
        return bool(queue.stale_jobs(connection, supervised=True))


def recover_stale(queue: JobQueue, connection: sqlite3.Connection) -> Recovered:
    return queue.recover_supervised(connection, ACTOR)
