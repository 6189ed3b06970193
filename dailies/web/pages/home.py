"""What the home page tells: how much there is of everything, what runs, fails and does well.

Its cost must not grow with the tables: a count reads an index up to `MOST_COUNTED`, as Datasette's
own counts do, campaign jobs are counted by triggers, and each question has `MILLISECONDS` at most.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple
from urllib.parse import urlencode

from datasette.app import Datasette
from datasette.utils import tilde_encode

from dailies.auth.permissions import Actor
from dailies.canned_queries import read_queries
from dailies.server import HOME
from dailies.web.pages.viewer import Question, Row, Viewer
from loaders import presentation_jobs, yt_builder
from loaders.queues.instants import instant

MILLISECONDS = 50
MOST_COUNTED = 10_000
MOST_LISTED = 5

# job_counts is a helper table: plugins/home.py declares this question to be one of ours.
COUNT_CAMPAIGNS = """
    select
      coalesce(sum(jobs), 0) as jobs,
      coalesce(sum(jobs) filter (where enabled), 0) as enabled
    from job_counts
    """
CAMPAIGNS = Question("campaigns", ("jobs",), COUNT_CAMPAIGNS)


class Counted(NamedTuple):
    """Rows of a table to count: all of them, or those where a column has a value."""

    database: str
    table: str
    label: str
    column: str = ""
    value: str | int = ""


COUNTED = (
    *(
        Counted("yt-builder", "jobs", status.name, "status", status.name)
        for status in yt_builder.LIFE_CYCLE.statuses
    ),
    Counted("yt-builder", "youtube_uploads", "uploads"),
    *(
        Counted("presentation_jobs", "presentation_jobs", status.name, "status", status.name)
        for status in presentation_jobs.LIFE_CYCLE.statuses
    ),
    Counted("trends", "trending_topics", "topics"),
    Counted("trends", "trending_topics", "unused", "used_flag", 0),
    Counted("trends", "search_history", "searches"),
    Counted("metrics", "video_metadata", "videos"),
    Counted("metrics", "video_metrics", "snapshots"),
    Counted("image_library", "image_library", "images"),
    Counted("image_library", "image_usage", "uses"),
    Counted("image_library", "image_collections", "collections"),
)

# The databases in their order, and the query that tells more of the numbers of each.
EXPLAINED_BY = {
    "campaigns": "job_statistics",
    "yt-builder": "jobs_by_status",
    "presentation_jobs": "jobs_by_status",
    "trends": "topic_usage",
    "metrics": "engagement_by_platform",
    "image_library": "images_by_character",
}


class Work(NamedTuple):
    """Jobs that run: what people call them, their table, their name in it, their running status."""

    label: str
    database: str
    table: str
    name: str
    running: str


WORKS = (
    Work("builds", "yt-builder", "jobs", "run_id", "running"),
    Work("presentations", "presentation_jobs", "presentation_jobs", "job_id", "processing"),
)

# Reads one entry of the index for each platform, however many snapshots there are.
PLATFORMS = Question(
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


class Number(NamedTuple):
    """A count with the rows behind it; `more` when there are more than were counted."""

    label: str
    rows: int
    more: bool
    href: str


class Section(NamedTuple):
    """One database: what it is for, how many there are of what it holds, and a query for more."""

    name: str
    title: str
    description: str
    href: str
    numbers: list[Number]
    query: str | None


class Pointer(NamedTuple):
    """A list or number of the home page, and the page of the query that made it."""

    rows: list[Row]
    href: str


async def read(datasette: Datasette, actor: Actor) -> dict[str, Any]:
    """All of it that this actor may see."""
    viewer = Viewer(datasette, actor, MILLISECONDS)
    every = [await section(viewer, name) for name in EXPLAINED_BY]
    return {
        "sections": [one for one in every if one is not None],
        "works": [work for work in WORKS if await viewer.may_see(work.database, work.table)],
        "running": [job for work in WORKS for job in await jobs(viewer, work, work.running)],
        "failed": [job for work in WORKS for job in await jobs(viewer, work, "failed")],
        "stuck": [found for work in WORKS if (found := await stuck(viewer, work))],
        "platforms": await platforms(viewer),
        "videos": await answer(viewer, "metrics", "top_videos", platform="", status=""),
        "topics": await answer(
            viewer, "trends", "unused_topics", source="", category="", min_relevance=""
        ),
    }


async def section(viewer: Viewer, database: str) -> Section | None:
    """A database, unless there is nothing in it for this viewer."""
    numbers = await campaign_numbers(viewer) if database == "campaigns" else []
    numbers += await counted_numbers(viewer, database)
    if not numbers:
        return None
    about = await viewer.datasette.get_database_metadata(database)
    return Section(
        name=database,
        title=about.get("title") or database,
        description=about.get("description") or "",
        href=str(viewer.datasette.urls.database(database)),
        numbers=numbers,
        query=await page_of(viewer, database, EXPLAINED_BY[database]),
    )


async def campaign_numbers(viewer: Viewer) -> list[Number]:
    counts = await viewer.row(CAMPAIGNS)
    if counts is None:
        return []
    href = str(viewer.datasette.urls.table("campaigns", "jobs"))
    return [
        Number("jobs", counts["jobs"], False, href),
        Number("enabled", counts["enabled"], False, f"{href}?enabled=1"),
    ]


async def counted_numbers(viewer: Viewer, database: str) -> list[Number]:
    """Of what this viewer may see; a status that no job has is left out."""
    seen = [
        counted
        for counted in COUNTED
        if counted.database == database and await viewer.may_see(database, counted.table)
    ]
    if not seen:
        return []
    values = {f"value{place}": counted.value for place, counted in enumerate(seen)}
    found = await viewer.rows(counting(database, seen), most=MOST_COUNTED, **values) or []
    return [
        number(viewer, seen[row["place"]], row["found"])
        for row in found
        if row["found"] or seen[row["place"]].column != "status"
    ]


def counting(database: str, seen: list[Counted]) -> Question:
    """One question for several counts, none of which goes on for ever."""
    sql = " union all ".join(
        f"""
        select {place} as place, count(*) as found
        from (
          select 1
          from {counted.table}
          {f"where {counted.column} = :value{place}" if counted.column else ""}
          limit :most + 1
        )
        """  # noqa: S608
        for place, counted in enumerate(seen)
    )
    return Question(database, tuple({counted.table for counted in seen}), sql)


def number(viewer: Viewer, counted: Counted, found: int) -> Number:
    href = str(viewer.datasette.urls.table(counted.database, counted.table))
    if counted.column:
        href += f"?{urlencode({counted.column: counted.value})}"
    return Number(counted.label, min(found, MOST_COUNTED), found > MOST_COUNTED, href)


async def jobs(viewer: Viewer, work: Work, status: str) -> list[Row]:
    """The jobs of this status that were created last."""
    question = Question(
        work.database,
        (work.table,),
        f"""
        select
          job_id,
          {work.name} as name,
          status,
          progress,
          current_step,
          worker,
          error,
          created_at,
          last_heartbeat
        from {work.table}
        where status = :status
        order by {instant("created_at")} desc, job_id desc
        limit :most
        """,  # noqa: S608
    )
    found = await viewer.rows(question, status=status, most=MOST_LISTED) or []
    place = {"database": work.database, "table": work.table}
    return [{**row, **place, "path": tilde_encode(str(row["job_id"]))} for row in found]


async def stuck(viewer: Viewer, work: Work) -> dict[str, Any] | None:
    """How many running jobs nothing was heard of, by the query that lists them."""
    href = await page_of(viewer, work.database, "stale_jobs")
    sql = f"select count(*) as jobs from ({canned(work.database, 'stale_jobs')})"  # noqa: S608
    found = await viewer.row(Question(work.database, (work.table,), sql), minutes="")
    if href is None or found is None:
        return None
    return {"label": work.label, "jobs": found["jobs"], "href": href}


async def platforms(viewer: Viewer) -> list[dict[str, str]]:
    """Each platform with the address of the chart of the topics that engage best there."""
    if not await viewer.may_ask("metrics", "engagement_by_topic"):
        return []
    page = viewer.datasette.urls.path("/-/charts/engagement_by_topic")
    return [
        {"name": row["platform"], "href": f"{page}?{urlencode({'platform': row['platform']})}"}
        for row in await viewer.rows(PLATFORMS) or []
    ]


async def answer(viewer: Viewer, database: str, query: str, **values: str) -> Pointer | None:
    """The first rows that a canned query gives; none where that takes too long.

    Whoever may ask it may see the tables beneath it: plugins/sources.py sees to that.
    """
    href = await page_of(viewer, database, query)
    if href is None:
        return None
    question = Question(database, (), canned(database, query))
    return Pointer(await viewer.rows(question, **values, limit=str(MOST_LISTED)) or [], href)


async def page_of(viewer: Viewer, database: str, query: str) -> str | None:
    """The address of a canned query, if the viewer may ask it."""
    if not await viewer.may_ask(database, query):
        return None
    return str(viewer.datasette.urls.query(database, query))


@cache
def canned(database: str, name: str) -> str:
    """The SQL of a canned query."""
    queries = read_queries(HOME / "canned_queries")
    return next(one.sql for one in queries if (one.database, one.name) == (database, name))
