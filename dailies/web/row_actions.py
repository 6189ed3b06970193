"""The actions on one row besides editing it, each with a page that asks for confirmation."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from dailies.api.request import precondition
from dailies.api.resources import BUILDS, PRESENTATIONS, Resource
from dailies.api.responses import entity_tag
from loaders import trends
from loaders.campaigns import jobs, versions
from loaders.connections import acting_as
from loaders.errors import Invalid, NotFound
from loaders.image_library import images
from loaders.messages import quoted

Row = Mapping[str, Any]
Submitted = Mapping[str, str]


class Field(NamedTuple):
    """A field of an action's form; the URL of the form sets a hidden one."""

    name: str
    label: str
    kind: str = "text"
    required: bool = False


@dataclass(frozen=True, kw_only=True)
class FormPage:
    """A page with a form about a row of `table`, at `/DATABASE/-/NAME`.

    The actor needs `permissions` on `permission_table` (default: `table`), and view-table on
    `table` and `reads`. The page of a row has a link if `offered` is true for the row.
    """

    name: str
    label: str
    database: str
    table: str
    permissions: tuple[str, ...]
    key: str = "id"
    permission_table: str = ""
    reads: str = ""
    offered: Callable[[Row], bool] = lambda _: True


class Outcome(NamedTuple):
    """The message afterwards, and the page to show: of another row, or one that can undo it."""

    message: str
    other_key: str | None = None
    undo: FormPage | None = None


Run = Callable[[sqlite3.Connection, str, str, Submitted], Outcome]
Prepare = Callable[[sqlite3.Connection, str], dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class RowAction(FormPage):
    """A page that asks for confirmation, then calls `run` with connection, key, actor and values.

    `prepare` takes connection and key, and returns values of hidden fields.
    """

    question: str
    explanation: str
    run: Run
    prepare: Prepare | None = None
    fields: tuple[Field, ...] = ()


def duplicate(connection: sqlite3.Connection, key: str, actor: str, _: Submitted) -> Outcome:
    copy = versions.duplicate_job(connection, key, actor)
    return Outcome(f"This is the copy of {key}", copy.key)


def restore(connection: sqlite3.Connection, key: str, actor: str, values: Submitted) -> Outcome:
    version = parse_number("version", values.get("version", ""))
    versions.restore_job(connection, key, version, actor)
    return Outcome(f"Restored {key}" if version is None else f"Restored version {version} of {key}")


def read_etag(connection: sqlite3.Connection, key: str) -> dict[str, str]:
    return {"etag": entity_tag(jobs.get_record(connection, key))}


def delete(connection: sqlite3.Connection, key: str, actor: str, values: Submitted) -> Outcome:
    jobs.remove_job(connection, key, actor, precondition(values.get("etag", ""), None))
    return Outcome(f"Deleted {key}", undo=RESTORE_JOB)


def use_image(connection: sqlite3.Connection, key: str, actor: str, values: Submitted) -> Outcome:
    video_id = values.get("video_id", "").strip()
    if not video_id:
        raise Invalid("image_usage.video_id: is required")
    scene = parse_number("scene_number", values.get("scene_number", ""))
    with acting_as(connection, actor):
        images.use_image(connection, parse_key(key), video_id, scene)
    return Outcome(f"Recorded the use in {video_id}")


def mark_used(connection: sqlite3.Connection, key: str, actor: str, _: Submitted) -> Outcome:
    with acting_as(connection, actor):
        if not trends.mark_used(connection, parse_key(key)):
            raise NotFound(f"There is no topic {quoted(key)}")
    return Outcome("Marked the topic as used")


def set_status(resource: Resource, status: str, message: str) -> Run:
    """Change the status of a queue's job."""

    def run(connection: sqlite3.Connection, key: str, actor: str, _: Submitted) -> Outcome:
        resource.change(connection, key, lambda job: {**job, "status": status}, actor, None)
        return Outcome(message)

    return run


def parse_key(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise NotFound(f"There is no row {quoted(text)}")
    return int(text)


def parse_number(name: str, text: str) -> int | None:
    text = text.strip()
    if text and (not text.isdecimal() or len(text) > 18):
        raise Invalid(f"{name}: must be a whole number, not {quoted(text)}")
    return int(text) if text else None


def in_status(*statuses: str) -> Callable[[Row], bool]:
    return lambda row: row["status"] in statuses


NEW_JOB = FormPage(
    name="new-job",
    label="New campaign",
    database="campaigns",
    table="jobs",
    permissions=("create-job",),
)

EDIT_JOB = FormPage(
    name="edit-job",
    label="Edit campaign",
    database="campaigns",
    table="jobs",
    permissions=("update-job",),
)

RESTORE_JOB = RowAction(
    name="restore-job",
    label="Restore campaign",
    database="campaigns",
    table="jobs",
    permissions=("create-job", "update-job"),
    question="Restore {key}?",
    explanation="The current version stays in the history.",
    run=restore,
    offered=lambda _: False,  # linked from the history and the list of deleted jobs
    fields=(Field("version", "Version", "hidden"),),
    reads="job_history",
)

ROW_ACTIONS = (
    RowAction(
        name="duplicate-job",
        label="Duplicate campaign",
        database="campaigns",
        table="jobs",
        permissions=("create-job",),
        question="Duplicate {key}?",
        explanation="You can edit the copy afterwards.",
        run=duplicate,
    ),
    RowAction(
        name="delete-job",
        label="Delete campaign",
        database="campaigns",
        table="jobs",
        permissions=("delete-job",),
        question="Delete {key}?",
        explanation="Its history is kept, and the campaign can be restored.",
        run=delete,
        prepare=read_etag,
        fields=(Field("etag", "ETag", "hidden"),),
    ),
    RESTORE_JOB,
    RowAction(
        name="retry-job",
        label="Retry",
        database="yt-builder",
        table="jobs",
        key="job_id",
        permissions=("update-job",),
        question="Retry build {key}?",
        explanation="The build is queued again for the next worker.",
        run=set_status(BUILDS, "queued", "The build is queued again"),
        offered=in_status("failed", "cancelled"),
    ),
    RowAction(
        name="cancel-job",
        label="Cancel",
        database="yt-builder",
        table="jobs",
        key="job_id",
        permissions=("update-job",),
        question="Cancel build {key}?",
        explanation="Its worker is notified at its next heartbeat. The build can be retried.",
        run=set_status(BUILDS, "cancelled", "The build is cancelled"),
        offered=in_status("preparing", "queued", "running"),
    ),
    RowAction(
        name="retry-job",
        label="Retry",
        database="presentation_jobs",
        table="presentation_jobs",
        key="job_id",
        permissions=("update-job",),
        question="Retry presentation {key}?",
        explanation="The presentation is queued again for the next worker.",
        run=set_status(PRESENTATIONS, "queued", "The presentation is queued again"),
        offered=in_status("failed"),
    ),
    RowAction(
        name="mark-used",
        label="Mark as used",
        database="trends",
        table="trending_topics",
        permissions=("update-row",),
        question="Mark this topic as used?",
        explanation="It is then no longer listed among the unused topics.",
        run=mark_used,
        offered=lambda row: row["used_flag"] == 0,
    ),
    RowAction(
        name="use-image",
        label="Use image",
        database="image_library",
        table="image_library",
        permissions=("insert-row",),
        question="Use this image in a video?",
        explanation="Its use is counted, so that other images are picked next.",
        run=use_image,
        fields=(
            Field("video_id", "Video", required=True),
            Field("scene_number", "Scene", "number"),
        ),
        permission_table="image_usage",
    ),
)
