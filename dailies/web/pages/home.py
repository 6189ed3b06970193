"""The numbers and lists of the home page.

Their cost must not grow with the tables: counts stop at `MAX_COUNTED`, campaign jobs are counted by
triggers, and each query has `TIME_LIMIT_MS`.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urlencode

from datasette.app import Datasette
from datasette.utils import tilde_encode

from dailies.auth.permissions import Actor
from dailies.web.pages import dashboard
from dailies.web.pages.dashboard import MAX_COUNTED, QUEUES, Number, Queue
from dailies.web.pages.titles import build_title, presentation_title
from dailies.web.pages.viewer import PageQuery, Row, Viewer

TIME_LIMIT_MS = 50
MAX_LISTED = 5


class Count(NamedTuple):
    """Count the rows of a table, or those where `column` is `value`."""

    label: str
    table: str
    column: str = ""
    value: str | int = ""


def by_status(table: str, *statuses: str) -> list[Count]:
    return [Count(status, table, "status", status) for status in statuses]


# Campaign jobs are counted by the canned query job_statistics.
COUNTS: dict[str, list[Count]] = {
    "campaigns": [],
    "yt-builder": [
        *by_status("jobs", "preparing", "queued", "running", "completed", "failed", "cancelled"),
        Count("uploads", "youtube_uploads"),
    ],
    "presentation_jobs": by_status(
        "presentation_jobs", "queued", "processing", "completed", "failed"
    ),
    "trends": [
        Count("topics", "trending_topics"),
        Count("unused", "trending_topics", "used_flag", 0),
        Count("searches", "search_history"),
    ],
    "metrics": [Count("videos", "video_metadata"), Count("snapshots", "video_metrics")],
    "image_library": [
        Count("images", "image_library"),
        Count("uses", "image_usage"),
        Count("collections", "image_collections"),
    ],
}

# The canned query that each section links to.
DETAILS = {
    "campaigns": "job_statistics",
    "yt-builder": "jobs_by_status",
    "presentation_jobs": "jobs_by_status",
    "trends": "topic_usage",
    "metrics": "engagement_by_platform",
    "image_library": "images_by_character",
}


# Reads one index entry for each platform, not every snapshot.
PLATFORMS = PageQuery(
    "metrics",
    ("video_metrics",),
    """
    with recursive platforms (platform) as (
      select min(platform)
      from video_metrics
      union all
      select (
          select min(platform)
          from video_metrics
          where video_metrics.platform > platforms.platform
        )
      from platforms
      where platform is not null
    )
    select platform
    from platforms
    where platform is not null
    limit 12
    """,
)


class Section(NamedTuple):
    """One database: title, description, numbers, and a canned query for details."""

    name: str
    title: str
    description: str
    href: str
    numbers: list[Number]
    query: str | None


class Ranking(NamedTuple):
    """The first rows of a canned query, and its page."""

    rows: list[Row]
    href: str


async def read(datasette: Datasette, actor: Actor) -> dict[str, Any]:
    """Everything that this actor may see, as the variables of home.html."""
    viewer = Viewer(datasette, actor, TIME_LIMIT_MS)
    sections = [await read_section(viewer, database) for database in COUNTS]
    queues = [queue for queue in QUEUES if await viewer.can_view(queue.database, queue.table)]
    return {
        "sections": [section for section in sections if section],
        "tiles": await dashboard.tiles(viewer, queues),
        "queues": queues,
        "failures": await dashboard.failures(viewer, queues),
        "waiting": await dashboard.waiting_long(viewer, queues),
        "stale": [number for queue in queues if (number := await stale_jobs(viewer, queue))],
        "running": [job for queue in queues for job in await running(viewer, queue)],
        "days": await dashboard.days(viewer),
        "can_count_days": await viewer.can_run("yt-builder", "builds_by_day"),
        "platforms": await platforms(viewer),
        "videos": await ranking(viewer, "metrics", "top_videos"),
        "topics": await ranking(viewer, "trends", "unused_topics"),
    }


async def read_section(viewer: Viewer, database: str) -> Section | None:
    """The section of a database; None if the actor may see no number of it."""
    numbers = await campaign_numbers(viewer) if database == "campaigns" else []
    for count in COUNTS[database]:
        numbers += await read_count(viewer, database, count)
    if not numbers:
        return None
    metadata = await viewer.datasette.get_database_metadata(database)
    return Section(
        name=database,
        title=metadata.get("title") or database,
        description=metadata.get("description") or "",
        href=str(viewer.datasette.urls.database(database)),
        numbers=numbers,
        query=await query_href(viewer, database, DETAILS[database]),
    )


async def campaign_numbers(viewer: Viewer) -> list[Number]:
    results = await viewer.canned("campaigns", "job_statistics")
    if results is None:
        return []
    statistics = results.rows[0]
    href = str(viewer.datasette.urls.table("campaigns", "jobs"))
    return [
        Number("jobs", statistics["total_jobs"], False, href),
        Number("enabled", statistics["enabled_jobs"], False, f"{href}?enabled=1"),
    ]


async def read_count(viewer: Viewer, database: str, count: Count) -> list[Number]:
    """The number; none if the actor may not see the table, or no job has the status."""
    condition = f"where {count.column} = :value" if count.column else ""
    sql = f"""
        select count(*) as found
        from (
          select 1
          from {count.table}
          {condition}
          limit :max + 1
        )
        """  # noqa: S608
    query = PageQuery(database, (count.table,), sql)
    row = await viewer.row(query, max=MAX_COUNTED, value=count.value)
    if row is None or (count.column == "status" and not row["found"]):
        return []
    href = str(viewer.datasette.urls.table(database, count.table))
    if count.column:
        href += f"?{urlencode({count.column: count.value})}"
    return [Number(count.label, min(row["found"], MAX_COUNTED), row["found"] > MAX_COUNTED, href)]


async def running(viewer: Viewer, queue: Queue) -> list[Row]:
    """The newest jobs that run."""
    builds = queue.database == "yt-builder"
    title = await build_title(viewer) if builds else presentation_title()
    sql = f"""
        select
          {queue.table}.job_id,
          {title} as title,
          {queue.table}.status,
          progress,
          current_step,
          worker,
          {queue.table}.created_at,
          last_heartbeat
        from (
          select job_id, created_at as sorted_by
          from job_times
          where status = :status
          order by created_at desc, job_id desc
          limit :max
        ) as newest
        join {queue.table} on {queue.table}.job_id = newest.job_id
        order by newest.sorted_by desc, newest.job_id desc
        """  # noqa: S608
    query = PageQuery(queue.database, (queue.table,), sql)
    found = await viewer.rows(query, status=queue.running, max=MAX_LISTED) or []
    urls = viewer.datasette.urls
    return [
        {
            **row,
            "resource": queue.resource,
            "href": urls.row(queue.database, queue.table, tilde_encode(str(row["job_id"]))),
        }
        for row in found
    ]


async def stale_jobs(viewer: Viewer, queue: Queue) -> Number | None:
    """The number of running jobs without a recent heartbeat."""
    results = await viewer.canned(queue.database, "stale_jobs")
    href = await query_href(viewer, queue.database, "stale_jobs")
    if results is None or href is None:
        return None
    found = len(results.rows)
    return Number(queue.one if found == 1 else queue.label, found, results.truncated, href)


async def platforms(viewer: Viewer) -> list[dict[str, str]]:
    """Each platform, and the chart of the topics with the best engagement there."""
    if not await viewer.can_run("metrics", "engagement_by_topic"):
        return []
    chart = viewer.datasette.urls.path("/-/charts/engagement_by_topic")
    return [
        {"name": row["platform"], "href": f"{chart}?{urlencode({'platform': row['platform']})}"}
        for row in await viewer.rows(PLATFORMS) or []
    ]


async def ranking(viewer: Viewer, database: str, name: str) -> Ranking | None:
    """The first rows of a canned query; no rows if it takes too long."""
    href = await query_href(viewer, database, name)
    if href is None:
        return None
    results = await viewer.canned(database, name, limit=str(MAX_LISTED))
    return Ranking([dict(row) for row in results.rows] if results else [], href)


async def query_href(viewer: Viewer, database: str, name: str) -> str | None:
    """The page of a canned query, if the actor may see it."""
    if not await viewer.can_run(database, name):
        return None
    return str(viewer.datasette.urls.query(database, name))
