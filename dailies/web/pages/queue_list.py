"""The jobs of both queues in one list, and their numbers by state.

Reads are bounded: counting stops at `MAX_COUNTED`, and lists follow an index.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from datasette.utils import tilde_encode

from dailies.api.resources import BUILDS, PRESENTATIONS, Resource
from dailies.web.pages.formatting import duration
from dailies.web.pages.titles import build_title, presentation_title
from dailies.web.pages.viewer import PageQuery, Row, Viewer
from loaders.errors import Invalid
from loaders.messages import quoted
from loaders.times import format_instant

KINDS = {resource.name: resource for resource in (BUILDS, PRESENTATIONS)}
WAITING = ("running", "queued", "preparing")
ENDED = ("failed", "cancelled", "completed")
STATES = (*WAITING, *ENDED)
SIZES = (50, 200, 500)
MAX_COUNTED = 10_000
MAX_HOURS = 24 * 365
MAX_SELECTED = 1_000
MAX_ERROR = 300  # characters
TIME_LIMIT_MS = 500


@dataclass(frozen=True)
class Choice:
    """What the page lists: jobs in a state, or all; of one kind, or both; that ended lately."""

    state: str = ""
    kind: str = ""
    hours: int = 0
    size: int = SIZES[0]

    @property
    def since(self) -> str:
        """The earliest end of the jobs; empty for any."""
        limited = self.hours and self.state in ENDED
        return format_instant(datetime.now(UTC) - timedelta(hours=self.hours)) if limited else ""

    def query(self, **changes: Any) -> str:
        """The query string of the page, with other values for some of these."""
        values = {"state": self.state, "kind": self.kind, "hours": self.hours, "size": self.size}
        values |= changes
        if values["size"] == SIZES[0]:
            del values["size"]
        return urlencode({name: value for name, value in values.items() if value})


@dataclass(frozen=True)
class Count:
    """A number of jobs; `more` if counting stopped early."""

    jobs: int = 0
    more: bool = False

    def __add__(self, other: Count) -> Count:
        return Count(self.jobs + other.jobs, self.more or other.more)

    def __str__(self) -> str:
        return f"{self.jobs:,}{'+' if self.more else ''}"


Counts = Mapping[str, Count]


def parse_choice(given: Mapping[str, str]) -> Choice:
    """The choice that parameters of the page make. Invalid for an unknown value."""
    return Choice(
        one_of("state", given.get("state", ""), STATES),
        one_of("kind", given.get("kind", ""), KINDS),
        whole("hours", given.get("hours", ""), MAX_HOURS),
        whole("size", given.get("size", ""), SIZES[-1]) or SIZES[0],
    )


def one_of(name: str, text: str, known: Iterable[str]) -> str:
    if text and text not in known:
        raise Invalid(f"{name}: must be one of {', '.join(known)}, not {quoted(text)}")
    return text


def whole(name: str, text: str, most: int) -> int:
    if text and not (text.isdecimal() and text.isascii() and len(text) < 6 and int(text) <= most):
        raise Invalid(f"{name}: must be a number up to {most}, not {quoted(text)}")
    return int(text or 0)


def status_in(resource: Resource, state: str) -> str:
    """The status of the resource's jobs in a state; empty if it has none."""
    queue = resource.queue
    if queue is None or (state in ("preparing", "cancelled") and resource is not BUILDS):
        return ""
    return queue.running if state == "running" else state


def state_of(status: Any) -> str:
    return "running" if status == "processing" else str(status)


def finished_of(resource: Resource) -> str:
    return resource.queue.finished if resource.queue else ""


async def visible(viewer: Viewer, kind: str = "") -> list[Resource]:
    """The queues that the actor may see, or that one of them."""
    return [
        resource
        for resource in KINDS.values()
        if kind in ("", resource.name) and await viewer.can_view(resource.database, resource.table)
    ]


async def title_sql(viewer: Viewer, resource: Resource) -> str:
    return await build_title(viewer) if resource is BUILDS else presentation_title()


async def count(viewer: Viewer, resource: Resource, hours: int = 0) -> Counts:
    """The number of jobs in each state; of ended ones, those that ended in the last hours."""
    parts = []
    for state in STATES:
        status = status_in(resource, state)
        condition = f"status = '{status}'"
        if hours and state in ENDED:
            condition = f"+{condition} and {finished_of(resource)} >= :since"
        if status:
            parts.append(f"""
            select '{state}' as state, count(*) as jobs
            from (select 1 from job_times where {condition} limit :most + 1)
            """)  # noqa: S608
    query = PageQuery(resource.database, (resource.table,), " union all ".join(parts))
    since = Choice("failed", hours=hours).since
    found = await viewer.rows(query, most=MAX_COUNTED, since=since) or []
    return {
        row["state"]: Count(min(row["jobs"], MAX_COUNTED), row["jobs"] > MAX_COUNTED)
        for row in found
    }


def total(counts: Iterable[Counts]) -> dict[str, Count]:
    """The numbers of several queues together, and of all states under ""."""
    found = {state: Count() for state in ("", *STATES)}
    for one in counts:
        for state, number in one.items():
            found[state] += number
            found[""] += number
    return found


async def list_jobs(viewer: Viewer, choice: Choice, counts: Mapping[str, Counts]) -> list[Row]:
    """The first jobs of the list: waiting ones in their order, others last first."""
    found: list[Row] = []
    for resource in await visible(viewer, choice.kind):
        found += await list_of(viewer, resource, choice, counts.get(resource.name, {}))
    found.sort(key=lambda job: job["sorted_by"], reverse=choice.state not in WAITING)
    if choice.state in WAITING:
        found.sort(key=lambda job: -job["priority"])
    return found[: choice.size]


async def list_of(viewer: Viewer, resource: Resource, choice: Choice, counts: Counts) -> list[Row]:
    status = status_in(resource, choice.state)
    if choice.state and not status:
        return []
    is_rare = not counts.get(choice.state, Count(more=True)).more
    chosen = chosen_sql(resource, choice, is_rare=is_rare)
    sql = await rows_sql(viewer, resource, chosen)
    query = PageQuery(resource.database, (resource.table,), sql)
    values = {"status": status, "since": choice.since, "limit": choice.size}
    return await shown(viewer, resource, await viewer.rows(query, **values) or [])


def chosen_sql(resource: Resource, choice: Choice, *, is_rare: bool) -> str:
    """SQL: the keys of the list. A `+` keeps SQLite from the index that would read more rows."""
    finished = finished_of(resource)
    if not choice.state:
        return order("created_at as sorted_by", "true", "created_at desc, job_id desc")
    if choice.state in WAITING:
        in_order = "priority desc, created_at, job_id"
        return order("created_at as sorted_by", "status = :status", in_order)
    if choice.since:
        condition = f"+status = :status and {finished} >= :since"
        return order(f"{finished} as sorted_by", condition, f"{finished} desc")
    if is_rare:
        return order(f"{finished} as sorted_by", "status = :status", f"+{finished} desc")
    return order(f"{finished} as sorted_by", "+status = :status", f"{finished} desc")


def order(value: str, condition: str, in_order: str) -> str:
    return f"""
    select job_id as chosen_id, {value}
    from job_times
    where {condition}
    order by {in_order}
    limit :limit
    """  # noqa: S608


async def rows_sql(viewer: Viewer, resource: Resource, chosen: str) -> str:
    """SQL: what the list shows of the jobs whose keys `chosen` selects."""
    table, title = resource.table, await title_sql(viewer, resource)
    started = await started_sql(viewer, resource)
    name = "run_id" if resource is BUILDS else "job_id"
    return f"""
    select
      job_id,
      {name} as name,
      {title} as title,
      status,
      progress,
      current_step,
      substr(error, 1, {MAX_ERROR}) as error,
      created_at,
      {started} as started_at,
      {finished_of(resource)} as finished_at,
      worker,
      ifnull(sorted_by, '') as sorted_by,
      priority
    from ({chosen})
    join {table} on {table}.job_id = chosen_id
    """  # noqa: S608


async def started_sql(viewer: Viewer, resource: Resource) -> str:
    """SQL: when the last attempt began; presentations have no column for it."""
    if resource is BUILDS:
        return "started_at"
    if not await viewer.can_view(resource.database, "job_attempts"):
        return "created_at"
    return f"""coalesce((
        select started_at
        from job_attempts
        where job_attempts.job_id = {resource.table}.job_id
        order by id desc
        limit 1
      ), created_at)"""  # noqa: S608


async def jobs_by_key(viewer: Viewer, resource: Resource, keys: Sequence[Any]) -> list[Row]:
    """What the list shows of these jobs, in their order; without those that are gone."""
    chosen = "select value as chosen_id, key as sorted_by from json_each(:keys)"
    sql = f"{await rows_sql(viewer, resource, chosen)} order by sorted_by"
    query = PageQuery(resource.database, (resource.table,), sql)
    return await shown(viewer, resource, await viewer.rows(query, keys=json.dumps(keys)) or [])


async def shown(viewer: Viewer, resource: Resource, rows: list[Row]) -> list[Row]:
    """The rows with what the page says of each."""
    now = format_instant(datetime.now(UTC))
    return [
        {
            **row,
            "token": f"{resource.name}:{row['job_id']}",
            "kind": resource.name.removesuffix("s"),
            "state": state_of(row["status"]),
            "href": str(
                viewer.datasette.urls.row(
                    resource.database, resource.table, tilde_encode(str(row["job_id"]))
                )
            ),
            "error_line": next(iter(str(row["error"] or "").strip().splitlines()), ""),
            "took": took(row, now),
            "priority": row["priority"] or 0,
        }
        for row in rows
    ]


def took(job: Mapping[str, Any], now: str) -> str | None:
    """How long the job ran, or has been running."""
    state = state_of(job["status"])
    if state in ("queued", "preparing") or not job["started_at"]:
        return None
    return duration(job["started_at"], now if state == "running" else job["finished_at"])


async def keys_of(viewer: Viewer, resource: Resource, choice: Choice) -> list[Any]:
    """The keys of the first jobs that the choice means, up to as many as can be selected."""
    status = status_in(resource, choice.state)
    if not status:
        return []
    query = PageQuery(
        resource.database, (resource.table,), chosen_sql(resource, choice, is_rare=False)
    )
    values = {"status": status, "since": choice.since, "limit": MAX_SELECTED}
    return [row["chosen_id"] for row in await viewer.rows(query, **values) or []]
