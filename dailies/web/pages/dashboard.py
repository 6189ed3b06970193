"""What the home page says about work: numbers, what needs attention, builds of the last month.

The cost of each query is bounded by an index and a limit, or by the time limit of the viewer.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple
from urllib.parse import urlencode

from dailies.auth.permissions import is_allowed
from dailies.web.pages.viewer import PageQuery, Row, Viewer

MAX_COUNTED = 10_000
MAX_FAILURES = 1_000  # the newest failures are grouped by their error
MAX_REASONS = 8
MAX_ERROR = 300  # characters; links to rows do not filter by longer ones
MAX_LINE = 200
DAYS = 30
DAY, WEEK = timedelta(days=1), timedelta(days=7)


class Queue(NamedTuple):
    """A queue: what its jobs are called, its API resource, table, statuses and last column."""

    label: str
    one: str
    resource: str
    database: str
    table: str
    running: str
    waiting: tuple[str, ...]
    finished: str


QUEUES = (
    Queue(
        "builds",
        "build",
        "builds",
        "yt-builder",
        "jobs",
        "running",
        ("preparing", "queued"),
        "finished_at",
    ),
    Queue(
        "presentations",
        "presentation",
        "presentations",
        "presentation_jobs",
        "presentation_jobs",
        "processing",
        ("queued",),
        "completed_at",
    ),
)


class Number(NamedTuple):
    """A count and the page that lists its rows; `more` if counting stopped early."""

    label: str
    rows: int
    more: bool
    href: str


class Tile(NamedTuple):
    """Numbers under one title, and the time of the oldest row, if that matters."""

    title: str
    numbers: list[Number]
    oldest: str | None = None


class Failures(NamedTuple):
    """Failed jobs with the same error, or those of the last day; `retry` is None unless allowed."""

    number: Number
    error: str
    last: Any
    retry: str | None


class Day(NamedTuple):
    """The builds that ended on a day, and the heights of their bars in percent."""

    day: str
    completed: int
    failed: int
    completed_height: float
    failed_height: float


UPLOADS = PageQuery(
    "yt-builder",
    ("youtube_uploads",),
    """
    select count(*) as found
    from (
      select 1
      from youtube_uploads
      where uploaded_at >= :since
      limit :max + 1
    )
    """,
)

# Of each video on each platform the newest snapshot, against the last one before the time or else
# the first one in it.
VIEWS_GAINED = PageQuery(
    "metrics",
    ("video_metrics",),
    """
    select sum(views - (
      select views
      from video_metrics as base
      where base.video_id = recent.video_id
        and base.platform = recent.platform
        and base.views between 0 and 9007199254740991
        and base.measured_at <> ''
      order by base.measured_at > :since,
        iif(base.measured_at > :since, base.measured_at, null),
        base.measured_at desc
      limit 1
    )) as gained
    from (
      select video_id, platform, views, max(measured_at)
      from video_metrics
      where measured_at > :since
        and views between 0 and 9007199254740991
      group by video_id, platform
    ) as recent
    """,
)

ENDED_BY_DAY = PageQuery(
    "yt-builder",
    ("jobs",),
    """
    select
      substr(finished_at, 1, 10) as day,
      status,
      count(*) as builds
    from job_times
    where finished_at >= :since
      and status in ('completed', 'failed')
    group by day, status
    order by day
    """,
)


def ago(time: timedelta) -> str:
    """The instant so long ago, as it is stored."""
    return (datetime.now(UTC) - time).isoformat(timespec="milliseconds")[:-6] + "Z"


def rows_href(viewer: Viewer, database: str, table: str, **filters: str) -> str:
    return f"{viewer.datasette.urls.table(database, table)}?{urlencode(filters)}"


async def tiles(viewer: Viewer, queues: list[Queue]) -> list[Tile]:
    """The numbers at the top; those without any for this actor are left out."""
    day = ago(DAY)
    found = [
        Tile("Running", [await with_status(viewer, queue, queue.running) for queue in queues]),
        Tile(
            "Waiting",
            [await with_status(viewer, queue, *queue.waiting) for queue in queues],
            min(filter(None, [await oldest(viewer, queue) for queue in queues]), default=None),
        ),
        Tile("Failed in 24 hours", [await failed_since(viewer, queue, day) for queue in queues]),
        Tile("Published in 7 days", await published(viewer)),
        Tile("Views gained in 7 days", await views_gained(viewer)),
    ]
    return [tile for tile in found if tile.numbers]


async def count(viewer: Viewer, queue: Queue, href: str, condition: str, **values: Any) -> Number:
    sql = f"""
        select count(*) as found
        from (
          select 1
          from job_times
          where {condition}
          limit :max + 1
        )
        """  # noqa: S608
    query = PageQuery(queue.database, (queue.table,), sql)
    row = await viewer.row(query, max=MAX_COUNTED, **values)
    if row is None:  # counting took too long
        return Number(queue.label, 0, True, href)
    return numbered(queue, row["found"], MAX_COUNTED, href)


def numbered(queue: Queue, found: int, most: int, href: str) -> Number:
    label = queue.one if found == 1 else queue.label
    return Number(label, min(found, most), found > most, href)


async def with_status(viewer: Viewer, queue: Queue, *statuses: str) -> Number:
    filters = {"status__in": ",".join(statuses)} if statuses[1:] else {"status": statuses[0]}
    href = rows_href(viewer, queue.database, queue.table, **filters)
    condition = "status in (select value from json_each(:statuses))"
    return await count(viewer, queue, href, condition, statuses=json.dumps(statuses))


async def failed_since(viewer: Viewer, queue: Queue, since: str) -> Number:
    filters = {"status": "failed", f"{queue.finished}__gte": since}
    href = rows_href(viewer, queue.database, queue.table, **filters)
    condition = f"{queue.finished} >= :since and status = 'failed'"
    return await count(viewer, queue, href, condition, since=since)


async def oldest(viewer: Viewer, queue: Queue) -> str | None:
    """When the first of the waiting jobs was created."""
    sql = f"""
        select created_at
        from {queue.table}
        where status = :status
        order by rowid
        limit 1
        """  # noqa: S608
    query = PageQuery(queue.database, (queue.table,), sql)
    rows = [await viewer.row(query, status=status) for status in queue.waiting]
    return min((str(row["created_at"]) for row in rows if row), default=None)


async def published(viewer: Viewer) -> list[Number]:
    since = ago(WEEK)
    row = await viewer.row(UPLOADS, since=since, max=MAX_COUNTED)
    if row is None:
        return []
    href = rows_href(viewer, "yt-builder", "youtube_uploads", uploaded_at__gte=since)
    return [Number("uploads", min(row["found"], MAX_COUNTED), row["found"] > MAX_COUNTED, href)]


async def views_gained(viewer: Viewer) -> list[Number]:
    row = await viewer.row(VIEWS_GAINED, since=ago(WEEK))
    if row is None or not await viewer.can_run("metrics", "fastest_growing"):
        return []
    hours = WEEK // timedelta(hours=1)
    href = f"{viewer.datasette.urls.query('metrics', 'fastest_growing')}?hours={hours}"
    return [Number("views", row["gained"] or 0, False, href)]


async def failures(viewer: Viewer, queues: list[Queue]) -> list[Failures]:
    """The failed jobs of the last day together, then the newest ones by their error."""
    found: list[Failures] = []
    for queue in queues:
        may_retry = viewer.actor is not None and await is_allowed(
            viewer.datasette, viewer.actor, "update-job", queue
        )
        since = ago(DAY)
        number = await failed_since(viewer, queue, since)
        if number.rows:
            href = retry_href(viewer, queue, since=since) if may_retry else None
            found.append(Failures(number, "", None, href))
        found += [reason(viewer, queue, row, may_retry) for row in await reasons(viewer, queue)]
    return found


async def reasons(viewer: Viewer, queue: Queue) -> list[Row]:
    sql = f"""
        select
          substr(error, 1, :error) as error,
          count(*) as found,
          max(ended) as last,
          job_id,
          sum(count(*)) over () as counted
        from (
          select error, {queue.finished} as ended, job_id
          from {queue.table}
          where status = 'failed'
          order by rowid desc
          limit :max
        )
        group by error
        order by last desc
        limit :reasons
        """  # noqa: S608
    query = PageQuery(queue.database, (queue.table,), sql)
    values = {"error": MAX_ERROR + 1, "max": MAX_FAILURES + 1, "reasons": MAX_REASONS}
    return await viewer.rows(query, **values) or []


def reason(viewer: Viewer, queue: Queue, row: Row, may_retry: bool) -> Failures:
    error = str(row["error"] or "")
    filters = {"status": "failed"}
    if len(error) <= MAX_ERROR:
        filters |= {"error__exact": error} if error else {"error__isblank": "1"}
    href = rows_href(viewer, queue.database, queue.table, **filters)
    number = numbered(queue, row["found"], MAX_FAILURES, href)
    if row["counted"] > MAX_FAILURES:  # there are older ones
        number = number._replace(more=True)
    first_line = next(iter(error.strip().splitlines()), "") or "no error was recorded"
    retry = retry_href(viewer, queue, like=row["job_id"]) if may_retry else None
    return Failures(number, first_line[:MAX_LINE], row["last"], retry)


def retry_href(viewer: Viewer, queue: Queue, **which: Any) -> str:
    """The page that retries failed jobs: see dailies/web/retry.py."""
    arguments = urlencode({"resource": queue.resource, **which})
    return str(viewer.datasette.urls.path(f"/-/retry-failed?{arguments}"))


async def waiting_long(viewer: Viewer, queues: list[Queue]) -> list[Number]:
    """Jobs that nobody claimed for more than a day."""
    before, found = ago(DAY), []
    for queue in queues:
        filters = {"status__in": ",".join(queue.waiting), "created_at__lt": before}
        href = rows_href(viewer, queue.database, queue.table, **filters)
        condition = "status in (select value from json_each(:statuses)) and created_at < :before"
        values = {"statuses": json.dumps(queue.waiting), "before": before}
        found.append(await count(viewer, queue, href, condition, **values))
    return [number for number in found if number.rows]


async def days(viewer: Viewer) -> list[Day] | None:
    """The builds that ended on each of the last days; None if they cannot be counted quickly."""
    rows = await viewer.rows(ENDED_BY_DAY, since=ago(timedelta(days=DAYS - 1))[:10])
    if rows is None:
        return None
    by_day = {
        day: {row["status"]: row["builds"] for row in group}
        for day, group in groupby(rows, lambda row: row["day"])
    }
    most = max((sum(counts.values()) for counts in by_day.values()), default=0) or 1
    today = datetime.now(UTC).date()
    return [
        make_day(day, by_day.get(day, {}), most)
        for day in ((today - timedelta(days=back)).isoformat() for back in reversed(range(DAYS)))
    ]


def make_day(day: str, counts: dict[str, int], most: int) -> Day:
    completed, failed = counts.get("completed", 0), counts.get("failed", 0)
    return Day(day, completed, failed, 100 * completed / most, 100 * failed / most)
