"""Who changed what, when: the histories of all databases as one list, newest first.

Campaigns have a history of their content, builds and presentations one of their status. Of uploads,
topics, videos and images only the time is known when they were added.

A page is read in two steps: the numbers of the newest changes, then what the page shows of them.
Changes are numbered as they come, so that the newest are read first, without an index by time;
every query has a time limit, for days long ago and rare actors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import chain, groupby, islice
from typing import Any, NamedTuple
from urllib.parse import urlencode

from datasette.utils import tilde_encode

from dailies.web.pages.campaigns import Change, change
from dailies.web.pages.formatting import parse_json
from dailies.web.pages.titles import build_title, presentation_title
from dailies.web.pages.viewer import PageQuery, Row, Viewer
from loaders.campaigns.diff import compare
from loaders.errors import Invalid
from loaders.messages import quoted

TIME_LIMIT_MS = 200
SIZE = 50
MAX_PAGES = 20
MAX_ACTORS_FROM = 1_000  # newest changes
MAX_CHANGES = 12
MAX_CHARACTERS = 20_000  # longer versions are not compared here

Key = tuple[str, int, int]  # when, place of the source in SOURCES, number of the change


class Source(NamedTuple):
    """A table of changes. Who may not see all of `tables` sees none of them.

    A source with a `title`, a column, has no history: what is listed are its rows, as added.
    """

    database: str
    label: str
    table: str
    log: str
    time: str
    tables: tuple[str, ...]
    title: str = ""


def added(database: str, label: str, table: str, time: str, title: str) -> Source:
    return Source(database, label, table, table, time, (table,), title=title)


SOURCES = (
    Source(
        "campaigns",
        "Campaign",
        "jobs",
        "job_history",
        "changed_at",
        ("jobs", "job_history", "job_versions"),
    ),
    Source("yt-builder", "Build", "jobs", "job_events", "at", ("jobs", "job_events")),
    Source(
        "presentation_jobs",
        "Presentation",
        "presentation_jobs",
        "job_events",
        "at",
        ("presentation_jobs", "job_events"),
    ),
    added("yt-builder", "Upload", "youtube_uploads", "uploaded_at", "title"),
    added("trends", "Topic", "trending_topics", "created_at", "topic"),
    added("metrics", "Video", "video_metadata", "created_at", "coalesce(title, video_id)"),
    added("image_library", "Image", "image_library", "created_at", "file_path"),
    added("image_library", "Use of an image", "image_usage", "timestamp", "video_id"),
)
DATABASES = {
    "campaigns": "Campaigns",
    "yt-builder": "Builds",
    "presentation_jobs": "Presentations",
    "trends": "Trends",
    "metrics": "Videos",
    "image_library": "Images",
}

CAMPAIGNS = """
select
  id,
  job_id as key,
  version,
  operation,
  actor,
  changed_at as at,
  case when length(data) <= :max then data end as after,
  (
    select case when length(data) <= :max then data end
    from job_versions as earlier
    where earlier.job_id = job_versions.job_id
      and earlier.version = job_versions.version - 1
  ) as before,
  exists (select 1 from jobs where jobs.id = job_versions.job_id) as present
from job_versions
where id in (select value from json_each(:ids))
"""

EVENTS = """
select
  job_events.id,
  job_events.job_id as key,
  job_events.status_from,
  job_events.status_to,
  job_events.actor,
  job_events.at,
  substr(job_events.detail, 1, :max) as detail,
  {title} as title,
  {table}.job_id is not null as present
from job_events
left join {table} on {table}.job_id = job_events.job_id
where job_events.id in (select value from json_each(:ids))
"""

ADDED = """
select id, id as key, {time} as at, {title} as title
from {table}
where id in (select value from json_each(:ids))
"""


class Filters(NamedTuple):
    """What of all changes to show; empty texts for no filter."""

    actor: str = ""
    day: str = ""
    database: str = ""
    page: int = 1

    def href(self, base: str, **others: Any) -> str:
        """The address with these filters, some replaced, from the first page unless it is named."""
        changed = self._replace(**{"page": 1, **others})
        given = {name: value for name, value in changed._asdict().items() if value not in ("", 1)}
        return f"{base}?{urlencode(given)}" if given else base


class Entry(NamedTuple):
    """One change of one row, with the page of the row if it is still there.

    `changes` are those of a campaign, `statuses` and `detail` those of a job of a queue. `restore`
    is the version of a campaign to which the change can be undone, `deleted` the last one.
    """

    at: str
    actor: str | None
    label: str
    title: str
    key: str
    href: str | None
    operation: str
    changes: Sequence[Change] = ()
    more: bool = False
    restore: int | str | None = None
    statuses: Sequence[str] = ()
    detail: str | None = None


def parse(given: Mapping[str, str]) -> Filters:
    """The filters of an address. Invalid, naming the one that is wrong."""
    day, page = given.get("day", "").strip(), given.get("page", "") or "1"
    try:
        day = day and date.fromisoformat(day).isoformat()
    except ValueError:
        raise Invalid(f"day: must be a date such as 2026-11-20, not {quoted(day)}") from None
    if not (page.isascii() and page.isdecimal() and len(page) < 4 and 1 <= int(page) <= MAX_PAGES):
        raise Invalid(f"page: must be a number from 1 to {MAX_PAGES}")
    database = given.get("database", "")
    if database and database not in DATABASES:
        raise Invalid(f"database: there are no changes of {quoted(database)}")
    return Filters(given.get("actor", ""), day, database, int(page))


async def read(viewer: Viewer, filters: Filters) -> dict[str, Any]:
    """The variables of activity.html."""
    slow: list[str] = []
    wanted = filters.page * SIZE + 1
    keys = [await read_keys(viewer, place, filters, wanted, slow) for place in range(len(SOURCES))]
    newest = sorted(chain.from_iterable(keys), reverse=True)[:wanted]
    shown = newest[(filters.page - 1) * SIZE : filters.page * SIZE]
    entries = await read_entries(viewer, shown)
    today = datetime.now(UTC).date()
    return {
        "filters": filters,
        "days": [
            (day, list(found)) for day, found in groupby(entries, lambda entry: entry.at[:10])
        ],
        "more": len(newest) == wanted and filters.page < MAX_PAGES,
        "slow": slow,
        "actors": await actors(viewer),
        "databases": await databases(viewer),
        "today": today.isoformat(),
        "yesterday": (today - timedelta(days=1)).isoformat(),
    }


async def databases(viewer: Viewer) -> list[tuple[str, str]]:
    """Name and label of the databases of which this actor may see changes."""
    visible = {one.database for one in SOURCES if await viewer.can_view(one.database, *one.tables)}
    return [(name, label) for name, label in DATABASES.items() if name in visible]


async def read_keys(
    viewer: Viewer, place: int, filters: Filters, limit: int, slow: list[str]
) -> list[Key]:
    """The newest changes of a source; its label is added to `slow` if that takes too long."""
    source = SOURCES[place]
    is_wanted = filters.database in ("", source.database) and not (filters.actor and source.title)
    if not is_wanted or not await viewer.can_view(source.database, *source.tables):
        return []
    day = date.fromisoformat(filters.day) if filters.day else None
    conditions = [f"{source.time} glob '????-??-??T*Z'"] if source.title else ["true"]
    conditions += [f"{source.time} >= :since and {source.time} < :until"] if day else []
    conditions += ["actor = :actor"] if filters.actor else []
    sql = f"""
        select {source.time} as at, id
        from {source.log}
        where {" and ".join(conditions)}
        order by id desc
        limit :limit
        """  # noqa: S608
    values = {
        "since": str(day),
        "until": str(day + timedelta(days=1)) if day else "",
        "actor": filters.actor,
        "limit": limit,
    }
    rows = await viewer.rows(PageQuery(source.database, source.tables, sql), **values)
    if rows is None:
        slow.append(DATABASES[source.database].lower())
    return [(str(row["at"]), place, row["id"]) for row in rows or []]


async def read_entries(viewer: Viewer, keys: list[Key]) -> list[Entry]:
    found: dict[tuple[int, int], Entry] = {}
    for place, source in enumerate(SOURCES):
        ids = json.dumps([number for _, at_place, number in keys if at_place == place])
        if ids == "[]":
            continue
        query = PageQuery(source.database, source.tables, await details(viewer, source))
        for row in await viewer.rows(query, ids=ids, max=MAX_CHARACTERS) or []:
            found[place, row["id"]] = make_entry(viewer, source, row)
    return [found[key[1:]] for key in keys if key[1:] in found]


async def details(viewer: Viewer, source: Source) -> str:
    """SQL: what the page shows of the changes `:ids`."""
    if source.database == "campaigns":
        return CAMPAIGNS
    if source.title:
        return ADDED.format(time=source.time, title=source.title, table=source.table)
    builds = source.database == "yt-builder"
    title = await build_title(viewer) if builds else presentation_title()
    return EVENTS.format(title=title, table=source.table)


def row_href(viewer: Viewer, source: Source, row: Row) -> str | None:
    if not row["present"]:
        return None
    key = tilde_encode(str(row["key"]))
    return str(viewer.datasette.urls.row(source.database, source.table, key))


def make_entry(viewer: Viewer, source: Source, row: Row) -> Entry:
    if source.title:
        return added_entry(viewer, source, row)
    if source.database == "campaigns":
        return campaign_entry(viewer, source, row)
    return job_entry(viewer, source, row)


def campaign_entry(viewer: Viewer, source: Source, row: Row) -> Entry:
    before, after = parse_json(row["before"]), parse_json(row["after"])
    document = after or before or {}
    changes: list[Change] = []
    if row["operation"] == "update" and isinstance(before, dict) and isinstance(after, dict):
        compared = (one for one in compare(before, after, "") if one.path != ".updated_at")
        changes = [change(one) for one in islice(compared, MAX_CHANGES + 1)]
    restore: dict[str, int | str] = {"update": row["version"] - 1, "delete": "deleted"}
    can_restore = row["operation"] == "update" or not row["present"]
    return Entry(
        at=row["at"],
        actor=row["actor"],
        label=source.label,
        title=str(document.get("job_name") or row["key"]),
        key=str(row["key"]),
        href=row_href(viewer, source, row),
        operation=row["operation"],
        changes=changes[:MAX_CHANGES],
        more=len(changes) > MAX_CHANGES,
        restore=restore.get(row["operation"]) if can_restore else None,
    )


def job_entry(viewer: Viewer, source: Source, row: Row) -> Entry:
    return Entry(
        at=str(row["at"]),
        actor=row["actor"],
        label=source.label,
        title=str(row["title"] or row["key"]),
        key=str(row["key"]),
        href=row_href(viewer, source, row),
        operation=operation(row),
        statuses=[status for status in (row["status_from"], row["status_to"]) if status],
        detail=row["detail"],
    )


def added_entry(viewer: Viewer, source: Source, row: Row) -> Entry:
    return Entry(
        at=str(row["at"]),
        actor=None,
        label=source.label,
        title=str(row["title"] or row["key"]),
        key=str(row["key"]),
        href=row_href(viewer, source, {**row, "present": True}),
        operation="insert",
    )


def operation(row: Row) -> str:
    if row["status_to"] is None:
        return "delete"
    return "insert" if row["status_from"] is None else "update"


async def actors(viewer: Viewer) -> list[str]:
    """The actors of the newest changes."""
    found: set[str] = set()
    for source in SOURCES:
        if source.title:
            continue
        sql = f"""
            select distinct actor
            from (
              select actor
              from {source.log}
              order by id desc
              limit :max
            )
            where actor <> ''
            limit 50
            """  # noqa: S608
        query = PageQuery(source.database, source.tables, sql)
        found |= {str(row["actor"]) for row in await viewer.rows(query, max=MAX_ACTORS_FROM) or []}
    return sorted(found)
