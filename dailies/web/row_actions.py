"""What a person can do with one row of a page beyond editing it: each action once, as data.

An action has a page of its own that asks first, so that nothing happens by following a link, and
works without scripts.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from dailies.api.resources import BUILDS, CAMPAIGNS, PRESENTATIONS, Resource
from dailies.errors import RequestError
from loaders import trends
from loaders.campaigns import versions
from loaders.connections import acting_as
from loaders.image_library import images
from loaders.messages import quoted

Row = Mapping[str, Any]
Submitted = Mapping[str, str]


class Field(NamedTuple):
    """A field of an action's form; a hidden one is said by the address of the form."""

    name: str
    label: str
    kind: str = "text"
    required: bool = False


class Outcome(NamedTuple):
    """What is told afterwards, and the row that is then looked at."""

    message: str
    database: str
    table: str
    key: str


@dataclass(frozen=True)
class RowAction:
    """`permissions` are asked of `permitted_on`; `offered` tells for which rows it makes sense.

    Whoever does it must see its table, and the one that it `reads`.
    """

    name: str
    label: str
    database: str
    table: str
    key: str
    permissions: tuple[str, ...]
    question: str
    explanation: str
    do: Callable[[sqlite3.Connection, str, str, Submitted], Outcome]
    offered: Callable[[Row], bool] = lambda _: True
    fields: tuple[Field, ...] = ()
    permitted_on: str = ""
    reads: str = ""

    @property
    def guarded(self) -> str:
        """The table whose permissions count."""
        return self.permitted_on or self.table


def duplicate(connection: sqlite3.Connection, key: str, actor: str, _: Submitted) -> Outcome:
    copy = versions.duplicate_job(connection, key, actor)
    message = f"This is the copy of {key}"
    return Outcome(message, CAMPAIGNS.database, CAMPAIGNS.table, copy.key)


def restore(connection: sqlite3.Connection, key: str, actor: str, given: Submitted) -> Outcome:
    version = number("version", given.get("version", ""))
    versions.restore_job(connection, key, version, actor)
    message = f"{key} is back" if version is None else f"{key} is as it was in version {version}"
    return Outcome(message, CAMPAIGNS.database, CAMPAIGNS.table, key)


def use_image(connection: sqlite3.Connection, key: str, _: str, given: Submitted) -> Outcome:
    if not (video_id := given.get("video_id", "").strip()):
        raise RequestError(400, "image_usage.video_id: must be given")
    scene = number("scene_number", given.get("scene_number", ""))
    images.use_image(connection, whole(key), video_id, scene)
    return Outcome(f"{video_id} uses this image", "image_library", "image_library", key)


def mark_used(connection: sqlite3.Connection, key: str, actor: str, _: Submitted) -> Outcome:
    with acting_as(connection, actor):
        if not trends.mark_used(connection, whole(key)):
            raise RequestError(404, f"There is no topic {quoted(key)}")
    return Outcome("The topic is marked as used", "trends", "trending_topics", key)


def move(resource: Resource, status: str, message: str) -> Callable[..., Outcome]:
    """What brings a job of a queue into a status."""

    def do(connection: sqlite3.Connection, key: str, actor: str, _: Submitted) -> Outcome:
        resource.change(connection, key, lambda job: {**job, "status": status}, actor, None)
        return Outcome(message, resource.database, resource.table, key)

    return do


def number(name: str, text: str) -> int | None:
    if not text.strip():
        return None
    try:
        return whole(text)
    except RequestError as refusal:
        raise RequestError(400, f"{name}: must be a whole number, not {quoted(text)}") from refusal


def whole(text: str) -> int:
    if not text.strip().isdecimal() or len(text) > 18:
        raise RequestError(404, f"There is nothing of the number {quoted(text)}")
    return int(text)


def in_status(*names: str) -> Callable[[Row], bool]:
    return lambda row: row["status"] in names


ROW_ACTIONS = (
    RowAction(
        name="duplicate-job",
        label="Duplicate job",
        database=CAMPAIGNS.database,
        table=CAMPAIGNS.table,
        key=CAMPAIGNS.key,
        permissions=("create-job",),
        question="Duplicate {key}?",
        explanation="The copy says the same and can then be edited.",
        do=duplicate,
    ),
    RowAction(
        name="restore-job",
        label="Restore job",
        database=CAMPAIGNS.database,
        table=CAMPAIGNS.table,
        key=CAMPAIGNS.key,
        permissions=("create-job", "update-job"),
        question="Bring {key} back as it was?",
        explanation="What it says now stays in its history.",
        do=restore,
        offered=lambda _: False,  # its history and the list of deleted jobs lead there
        fields=(Field("version", "Version", "hidden"),),
        reads="job_history",
    ),
    RowAction(
        name="retry-job",
        label="Retry",
        database=BUILDS.database,
        table=BUILDS.table,
        key=BUILDS.key,
        permissions=("update-job",),
        question="Retry build {key}?",
        explanation="It waits in the queue again, for the next worker.",
        do=move(BUILDS, "queued", "The build is queued again"),
        offered=in_status("failed", "cancelled"),
    ),
    RowAction(
        name="cancel-job",
        label="Cancel",
        database=BUILDS.database,
        table=BUILDS.table,
        key=BUILDS.key,
        permissions=("update-job",),
        question="Cancel build {key}?",
        explanation="Its worker learns of it at its next heartbeat. It can be retried.",
        do=move(BUILDS, "cancelled", "The build is cancelled"),
        offered=in_status("preparing", "queued", "running"),
    ),
    RowAction(
        name="retry-job",
        label="Retry",
        database=PRESENTATIONS.database,
        table=PRESENTATIONS.table,
        key=PRESENTATIONS.key,
        permissions=("update-job",),
        question="Retry presentation {key}?",
        explanation="It waits in the queue again, for the next worker.",
        do=move(PRESENTATIONS, "queued", "The presentation is queued again"),
        offered=in_status("failed"),
    ),
    RowAction(
        name="mark-used",
        label="Mark as used",
        database="trends",
        table="trending_topics",
        key="id",
        permissions=("update-row",),
        question="Mark this topic as used?",
        explanation="It is then no longer among the unused topics.",
        do=mark_used,
        offered=lambda row: row["used_flag"] == 0,
    ),
    RowAction(
        name="use-image",
        label="Use image",
        database="image_library",
        table="image_library",
        key="id",
        permissions=("insert-row",),
        question="Use this image in a video?",
        explanation="The use is counted, so that other images have their turn.",
        do=use_image,
        fields=(
            Field("video_id", "Video", required=True),
            Field("scene_number", "Scene", "number"),
        ),
        permitted_on="image_usage",
    ),
)
