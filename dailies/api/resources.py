"""The registry of job resources: what /api/{name} is, and what can be done with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dailies.api import schemas
from dailies.api.schemas import Model, validate
from loaders import presentation_jobs, search, yt_builder
from loaders.campaigns import jobs as campaigns
from loaders.campaigns import versions
from loaders.campaigns.normal_form import FIELDS
from loaders.queues.instants import instant
from loaders.queues.queue import JobQueue
from loaders.rows import Change, Check, Record, Version
from loaders.search import Search
from loaders.times import milliseconds


@dataclass(frozen=True)
class Models:
    """Types of the bodies sent to a resource, and of its rows."""

    new: Model
    changes: Model
    row: Model
    bulk: Model
    claimed: Model | None = None
    heartbeat: Model | None = None


@dataclass(frozen=True)
class Log:
    """The table that numbers a resource's changes; readers need view-table on `permitted_on`."""

    table: str
    time: str
    permitted_on: str


@dataclass(frozen=True)
class Versions:
    """Functions of a resource whose every version is kept, in `table`."""

    table: str
    list: Callable[[sqlite3.Connection, str, int | None, int], Iterator[Version]]
    duplicate: Callable[[sqlite3.Connection, str, str | None], Record]
    restore: Callable[[sqlite3.Connection, str, int | None, str | None, Check | None], Record]


@dataclass(frozen=True)
class Resource:
    """One kind of job. Functions take a connection first, and raise errors of loaders/errors.py.

    `columns` (name -> text, number, boolean, time or json) are those that lists filter and sort
    by; `instants` holds the SQL by which times in columns are compared, with what `instant_value`
    makes of a time, and `sorted_times` names those that the table `job_times` holds as instants,
    with indexes. `search` finds rows by a text.
    `select` is the SQL list that `to_record` takes. `actions` are those on many jobs.
    """

    name: str
    database: str
    table: str
    key: str
    columns: Mapping[str, str]
    select: str
    models: Models
    log: Log
    search: Search
    actions: tuple[str, ...]
    to_record: Callable[[Sequence[Any]], Record]
    get: Callable[[sqlite3.Connection, str], Record]
    add: Callable[[sqlite3.Connection, dict[str, Any], str | None], Record]
    add_all: Callable[[sqlite3.Connection, list[dict[str, Any]], str | None], list[Record]]
    change: Callable[[sqlite3.Connection, str, Change, str | None, Check | None], Record]
    remove: Callable[[sqlite3.Connection, str, str | None, Check | None], None]
    instants: Mapping[str, str] = field(default_factory=dict)
    instant_value: Callable[[str], str | int] = str
    sorted_times: tuple[str, ...] = ()
    queue: JobQueue | None = None
    versions: Versions | None = None


CAMPAIGN_COLUMNS = {"id": "text", **{one.column: one.kind for one in FIELDS}, "data": "text"}
CAMPAIGN_ACTIONS = ("enable", "disable", "duplicate", "delete")
CAMPAIGNS = Resource(
    name="campaigns",
    database="campaigns",
    table="jobs",
    key="id",
    columns=CAMPAIGN_COLUMNS,
    select=campaigns.RECORD,
    models=Models(
        new=schemas.NewCampaign,
        changes=schemas.CampaignChanges,
        row=schemas.Campaign,
        bulk=schemas.bulk_model("Campaigns", CAMPAIGN_ACTIONS, CAMPAIGN_COLUMNS, "id"),
    ),
    log=Log(table="job_history", time="changed_at", permitted_on="job_history"),
    search=search.CAMPAIGNS,
    actions=CAMPAIGN_ACTIONS,
    to_record=campaigns.to_record,
    get=campaigns.get_record,
    add=campaigns.add_record,
    add_all=campaigns.add_records,
    change=campaigns.change_job,
    remove=campaigns.remove_job,
    instants={"created_at": "jobs.created_instant"},
    instant_value=milliseconds,
    versions=Versions(
        table="job_history",
        list=versions.list_versions,
        duplicate=versions.duplicate_job,
        restore=versions.restore_job,
    ),
)


def queue_resource(
    name: str, database: str, queue: JobQueue, models: Models, actions: tuple[str, ...]
) -> Resource:
    table, columns = queue.table.name, queue.table.columns
    new = partial(validate, models.new, table=table)
    changes = partial(validate, models.changes, table=table)
    return Resource(
        name=name,
        database=database,
        table=table,
        key="job_id",
        columns=columns,
        select=queue.columns,
        models=models,
        log=Log(table="job_changes", time="at", permitted_on="job_events"),
        search=search.BUILDS if name == "builds" else search.PRESENTATIONS,
        actions=actions,
        to_record=queue.to_record,
        get=queue.get_record,
        add=partial(queue.add_record, validated=new),
        add_all=partial(queue.add_records, validated=new),
        change=partial(queue.change, validated=changes),
        remove=queue.remove,
        instants={
            column: instant(f"{table}.{column}")
            for column, kind in columns.items()
            if kind == "time"
        },
        sorted_times=("created_at", queue.finished),
        queue=queue,
    )


BUILD_ACTIONS = ("retry", "cancel", "delete")
BUILDS = queue_resource(
    "builds",
    "yt-builder",
    yt_builder.BUILDS,
    Models(
        new=schemas.NewBuild,
        changes=schemas.BuildChanges,
        row=schemas.Build,
        bulk=schemas.bulk_model("Builds", BUILD_ACTIONS, yt_builder.JOBS.columns, "job_id"),
        claimed=schemas.ClaimedBuild,
        heartbeat=schemas.BuildHeartbeat,
    ),
    BUILD_ACTIONS,
)
PRESENTATION_ACTIONS = ("retry", "delete")
PRESENTATIONS = queue_resource(
    "presentations",
    "presentation_jobs",
    presentation_jobs.PRESENTATIONS,
    Models(
        new=schemas.NewPresentation,
        changes=schemas.PresentationChanges,
        row=schemas.Presentation,
        bulk=schemas.bulk_model(
            "Presentations", PRESENTATION_ACTIONS, presentation_jobs.JOBS.columns, "job_id"
        ),
        claimed=schemas.ClaimedPresentation,
        heartbeat=schemas.PresentationHeartbeat,
    ),
    PRESENTATION_ACTIONS,
)

RESOURCES = {resource.name: resource for resource in (CAMPAIGNS, BUILDS, PRESENTATIONS)}
