"""The page of a campaign: its settings, and its history with what each version changed."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any, NamedTuple

from dailies.web.job_form import CONTENT, FIELDS, KEPT, MEDIA
from dailies.web.pages.formatting import parse_json
from dailies.web.pages.viewer import PageQuery, Row, Viewer
from loaders.campaigns.diff import ABSENT, Difference, compare

OTHERS = "Other settings"
MAX_VERSIONS = 20
MAX_CHANGES = 30
STAMPS = (".created_at", ".updated_at")  # changed by the server, not by people
MAX_CHARACTERS = 100_000  # formatting longer jobs would delay other requests

JOB = PageQuery(
    "campaigns",
    ("jobs",),
    """
    select
      id,
      job_name,
      enabled,
      created_at,
      updated_at,
      case when length(data) <= :max then data else '{}' end as data,
      length(data) > :max as is_long
    from jobs
    where id = :id
    """,
)

# One version more than is shown, to compare the last one with.
VERSIONS = PageQuery(
    "campaigns",
    ("job_history", "job_versions"),
    """
    select
      version,
      operation,
      actor,
      changed_at,
      case when length(data) <= :max then data end as data
    from job_versions
    where job_id = :id
    order by version desc
    limit :versions + 1
    """,
)


class Change(NamedTuple):
    """A value that a version changed, as JSON; None if there was or is no value."""

    path: str
    before: str | None
    after: str | None


class Version(NamedTuple):
    number: int
    operation: str
    actor: str | None
    changed_at: str
    changes: list[Change]
    more: bool


async def read(viewer: Viewer, key: str) -> dict[str, Any] | None:
    job = await viewer.row(JOB, id=key, max=MAX_CHARACTERS)
    if job is None or parse_json(job["data"]) is None:
        return None
    document = job_object(job)
    versions = await viewer.rows(VERSIONS, id=key, versions=MAX_VERSIONS, max=MAX_CHARACTERS)
    return {
        "job": job,
        "groups": grouped(document),
        "raw": json.dumps(document, ensure_ascii=False, indent=2),
        "versions": None if versions is None else history(versions),
    }


def job_object(row: Row) -> dict[str, Any]:
    job = parse_json(row["data"])
    return job if isinstance(job, dict) else {}


def grouped(job: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The settings by group: those with a field in the form, by its label; objects; all others."""
    fields = {field.key_in(job): field for field in FIELDS}
    groups: dict[str, dict[str, Any]] = {CONTENT: {}, MEDIA: {}}
    for key, field in fields.items():
        if key in job:
            groups[field.group][field.label] = job[key]
    rest = {key: job[key] for key in job if key not in {*KEPT, "enabled", *fields}}
    objects = {key: value for key, value in rest.items() if isinstance(value, dict) and value}
    groups[OTHERS] = {key: value for key, value in rest.items() if key not in objects}
    named = {key.replace("_", " ").capitalize(): value for key, value in objects.items()}
    return {name: group for name, group in {**groups, **named}.items() if group}


def history(rows: list[Row]) -> list[Version]:
    """The versions, newest first, each compared with the one before."""
    pairs = zip(rows, [*rows[1:], None], strict=True)
    return [version(row, before) for row, before in islice(pairs, MAX_VERSIONS)]


def version(row: Row, before: Row | None) -> Version:
    """A version with its changes, of which the first, deletions and very long ones have none."""
    differences: list[Difference] = []
    if before is not None and None not in (row["data"], before["data"]):
        compared = compare(job_object(before), job_object(row), "")
        shown = (one for one in compared if one.path not in STAMPS)
        differences = list(islice(shown, MAX_CHANGES + 1))
    return Version(
        number=row["version"],
        operation=row["operation"],
        actor=row["actor"],
        changed_at=row["changed_at"],
        changes=[change(difference) for difference in differences[:MAX_CHANGES]],
        more=len(differences) > MAX_CHANGES,
    )


def change(difference: Difference) -> Change:
    before, after = (
        None if value is ABSENT else json.dumps(value, ensure_ascii=False)
        for value in (difference.expected, difference.actual)
    )
    return Change(difference.path.removeprefix("."), before, after)
