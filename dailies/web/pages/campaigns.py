"""The page of a campaign: its settings, and its history with what each version changed."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any, NamedTuple

from dailies.web.job_form import FIELDS, KEPT
from dailies.web.pages.formatting import parsed
from dailies.web.pages.viewer import Question, Row, Viewer
from loaders.campaigns.diff import ABSENT, compare

MOST_VERSIONS = 20
MOST_CHANGES = 30
LONGEST = 100_000  # characters of a job that is told in full; others wait while it is written

JOB = Question(
    "campaigns",
    ("jobs",),
    """
    select
      id,
      job_name,
      enabled,
      created_at,
      updated_at,
      case when length(data) <= :longest then data else '{}' end as data,
      length(data) > :longest as is_long
    from jobs
    where id = :id
    """,
)

# One version more than is shown, to tell what the last of those changed.
VERSIONS = Question(
    "campaigns",
    ("job_history",),
    """
    select
      version,
      operation,
      actor,
      changed_at,
      case when length(data) <= :longest then data end as data
    from job_versions
    where job_id = :id
    order by version desc
    limit :most + 1
    """,
)


class Change(NamedTuple):
    """One value that a version changed; what was or is not there is None."""

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
    job = await viewer.row(JOB, id=key, longest=LONGEST)
    if job is None or parsed(job["data"]) is None:
        return None
    document = document_of(job)
    settings, others = settings_of(document)
    versions = await viewer.rows(VERSIONS, id=key, most=MOST_VERSIONS, longest=LONGEST)
    return {
        "job": job,
        "settings": settings,
        "others": others,
        "versions": None if versions is None else history(versions),
        "more_versions": len(versions or []) > MOST_VERSIONS,
    }


def document_of(row: Row) -> dict[str, Any]:
    document = parsed(row["data"])
    return document if isinstance(document, dict) else {}


def settings_of(document: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the form has a field for, under the field's label; and the rest."""
    settings = {
        field.label: document[key]
        for field in FIELDS
        if (key := field.key_in(document)) in document
    }
    own = {*KEPT, "enabled", *(field.key_in(document) for field in FIELDS)}
    return settings, {key: value for key, value in document.items() if key not in own}


def history(rows: list[Row]) -> list[Version]:
    """The versions, the newest first, each with what it changed of the one before it."""
    befores = [*rows[1:], None]
    pairs = zip(rows, befores, strict=True)
    return [version(row, before) for row, before in islice(pairs, MOST_VERSIONS)]


def version(row: Row, before: Row | None) -> Version:
    """The first version changes nothing; nor does a deletion, which keeps what was deleted.

    What long versions changed is not told.
    """
    found = []
    if before is not None and None not in (row["data"], before["data"]):
        different = compare(document_of(before), document_of(row), "")
        found = [
            Change(one.path.removeprefix("."), told(one.expected), told(one.actual))
            for one in islice(different, MOST_CHANGES + 1)
            if one.path != ".updated_at"  # the version says it
        ]
    return Version(
        number=row["version"],
        operation=row["operation"],
        actor=row["actor"],
        changed_at=row["changed_at"],
        changes=found[:MOST_CHANGES],
        more=len(found) > MOST_CHANGES,
    )


def told(value: Any) -> str | None:
    """A text as it is, everything else as JSON: `"1"` and `1` should not look the same."""
    if value is ABSENT:
        return None
    return json.dumps(value, ensure_ascii=False)
