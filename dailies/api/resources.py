"""The registry of the job resources: what /api/{name} stands for, and what may be done with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dailies.api import schemas
from dailies.api.repositories import campaigns
from dailies.api.repositories.queues import Queue
from dailies.api.request import Check
from dailies.api.responses import Stored, Version
from dailies.api.schemas import Adapter
from loaders import presentation_jobs, yt_builder
from loaders.migrations.campaigns_counts import CREATED_INSTANT
from loaders.migrations.campaigns_projection import FIELDS
from loaders.queues.instants import instant

Document = dict[str, Any]
Changed = Callable[[Document], Document]


@dataclass(frozen=True)
class Models:
    """Types of what is sent to a resource, and of a row that comes back."""

    new: Adapter
    changes: Adapter
    row: Adapter


@dataclass(frozen=True)
class Log:
    """The table that numbers a resource's changes; whoever reads them may see `seen_with`."""

    table: str
    time: str
    seen_with: str


@dataclass(frozen=True)
class Versions:
    """What a resource offers whose every version is kept, in `table`."""

    table: str
    list: Callable[[sqlite3.Connection, str, int | None, int], list[Version]]
    duplicate: Callable[[sqlite3.Connection, str, str | None], Stored]
    restore: Callable[[sqlite3.Connection, str, str | None, Check, int | None], Stored]


@dataclass(frozen=True)
class Resource:
    """One kind of job. Its functions take a connection first and raise `RefusalError`.

    `columns` are those that lists filter and sort by, each with its kind (text, number, boolean,
    time or json); `instants` tells the SQL by which times in columns are compared. Words are looked
    up in `search_index`, or where there is none in the columns `searched`. `stored` is the SQL list
    that `to_stored` takes. `queue` is there if workers claim the jobs, `versions` if all are kept.
    """

    name: str
    database: str
    table: str
    key: str
    columns: dict[str, str]
    stored: str
    models: Models
    log: Log
    to_stored: Callable[[Sequence[Any]], Stored]
    read: Callable[[sqlite3.Connection, str], Stored]
    add: Callable[..., list[Stored]]
    change: Callable[[sqlite3.Connection, str, str | None, Check, Changed], Stored]
    remove: Callable[[sqlite3.Connection, str, str | None, Check], None]
    instants: dict[str, str] = field(default_factory=dict)
    search_index: str | None = None
    searched: tuple[str, ...] = ()
    queue: Queue | None = None
    versions: Versions | None = None


CAMPAIGNS = Resource(
    name="campaigns",
    database="campaigns",
    table="jobs",
    key="id",
    columns={
        "id": "text",
        **{field.column: field.kind for field in FIELDS},
        "data": "text",
    },
    stored=campaigns.STORED,
    models=Models(schemas.NEW_CAMPAIGN, schemas.CAMPAIGN_CHANGES, schemas.CAMPAIGN_ROW),
    log=Log(table="job_history", time="changed_at", seen_with="job_history"),
    to_stored=campaigns.to_stored,
    read=campaigns.read,
    add=campaigns.add,
    change=campaigns.change,
    remove=campaigns.remove,
    instants={"created_at": CREATED_INSTANT.format(row="jobs")},
    search_index="jobs_fts",
    versions=Versions(
        table="job_history",
        list=campaigns.versions,
        duplicate=campaigns.duplicate,
        restore=campaigns.restore,
    ),
)


def queue_resource(name: str, database: str, queue: Queue, row: Adapter) -> Resource:
    columns = dict(queue.table.columns)
    times = [column for column, kind in columns.items() if kind == "time"]
    return Resource(
        name=name,
        database=database,
        table=queue.table.name,
        key="job_id",
        columns=columns,
        stored=queue.columns,
        models=Models(queue.new, queue.changes, row),
        log=Log(table="job_changes", time="at", seen_with="job_events"),
        to_stored=queue.to_stored,
        read=queue.read,
        add=queue.add,
        change=queue.change,
        remove=queue.remove,
        instants={column: instant(f"{queue.table.name}.{column}") for column in times},
        searched=tuple(column for column, kind in columns.items() if kind in ("text", "json")),
        queue=queue,
    )


BUILDS_QUEUE = Queue(
    table=yt_builder.JOBS,
    cycle=yt_builder.LIFE_CYCLE,
    create=yt_builder.add_job,
    new=schemas.NEW_BUILD,
    changes=schemas.BUILD_CHANGES,
    claimed=schemas.CLAIMED["build"],
    heartbeat=schemas.HEARTBEATS["build"],
)
BUILDS = queue_resource("builds", "yt-builder", BUILDS_QUEUE, schemas.BUILD_ROW)
PRESENTATIONS = queue_resource(
    "presentations",
    "presentation_jobs",
    Queue(
        table=presentation_jobs.JOBS,
        cycle=presentation_jobs.LIFE_CYCLE,
        create=presentation_jobs.create,
        new=schemas.NEW_PRESENTATION,
        changes=schemas.PRESENTATION_CHANGES,
        claimed=schemas.CLAIMED["presentation"],
        heartbeat=schemas.HEARTBEATS["presentation"],
    ),
    schemas.PRESENTATION_ROW,
)

RESOURCES = {resource.name: resource for resource in (CAMPAIGNS, BUILDS, PRESENTATIONS)}
