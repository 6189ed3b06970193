"""What the pages of the queues show of jobs that change, as server-sent events.

Rows are read and rendered once for all pages that show them: see dailies/api/watcher.py.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any, NamedTuple

from datasette import Request
from datasette.app import Datasette
from datasette.utils import tilde_encode

from dailies.api.changes import Token, read_last, starting_point
from dailies.api.handlers.changes import require_session
from dailies.api.resources import Resource
from dailies.api.sse import EventStream
from dailies.api.watcher import watcher_of
from dailies.errors import RequestError
from dailies.storage.databases import read_at_once, read_from
from dailies.web.pages import queues
from dailies.web.pages.queue_list import KINDS, Counts, count, jobs_by_key, title_sql, visible
from dailies.web.pages.viewer import Viewer
from loaders.errors import Invalid

MAX_CHANGES = 100
LIST_CHANGED = """
select id, job_id
from job_changes
where id > :after
order by id
limit :limit
"""
SEPARATOR = "."

Positions = dict[str, str]


class News(NamedTuple):
    """The changed jobs as HTML by key, the numbers of jobs, and the position after them."""

    jobs: dict[Any, str]
    counts: Counts
    position: str
    more: bool


async def positions(viewer: Viewer, kinds: list[Resource]) -> str:
    """Where a stream for a page that is read afterwards is to begin."""
    return format_positions({one.name: await position_of(viewer, one) for one in kinds})


async def position_of(viewer: Viewer, resource: Resource) -> str:
    found = await read_at_once(viewer.datasette, resource, lambda conn: read_last(conn, resource))
    return str(found)


def format_positions(found: Positions) -> str:
    return SEPARATOR.join(f"{name}:{token}" for name, token in found.items())


def parse_positions(text: str) -> Positions:
    return {
        name: token for name, _, token in (part.partition(":") for part in text.split(SEPARATOR))
    }


async def stream(
    datasette: Datasette, request: Request, since: str, kind: str = "", key: str = ""
) -> EventStream:
    """A stream of changed jobs; of one job for the page of that, else of rows of the list."""
    viewer, found = Viewer(datasette, request.actor), parse_positions(since)
    if not found.keys() & KINDS.keys():
        raise Invalid("since: must be a position that a page of the queue names")

    async def next_events() -> tuple[str, bool]:
        require_session(datasette, request)
        kinds = [one for one in await visible(viewer, kind) if one.name in found]
        if not kinds:
            raise RequestError(403, "Permission denied: need view-table")
        news = {one.name: await read_news(viewer, one, found[one.name], key) for one in kinds}
        changed = {
            f"{name}:{job}": html for name, one in news.items() for job, html in one.jobs.items()
        }
        found.update({name: one.position for name, one in news.items()})
        numbers = {name: one.counts for name, one in news.items()}
        text = events_text(changed, numbers if changed and not key else {}, found)
        return text, any(one.more for one in news.values())

    first, _ = await next_events()
    return EventStream(
        request, first, next_events, [watcher_of(datasette, one) for one in await visible(viewer)]
    )


def events_text(jobs: dict[str, str], counts: dict[str, Counts], position: Positions) -> str:
    """One event with all that changed; none if nothing did."""
    if not jobs:
        return ""
    data = json.dumps({"jobs": jobs, "counts": numbers_of(counts)})
    return f"id: {format_positions(position)}\nevent: jobs\ndata: {data}\n\n"


def numbers_of(counts: dict[str, Counts]) -> dict[str, dict[str, str]]:
    """As JSON; without queues that did not change."""
    return {
        kind: {state: str(number) for state, number in one.items()}
        for kind, one in counts.items()
        if one
    }


async def read_news(viewer: Viewer, resource: Resource, position: str, key: str) -> News:
    """What changed after the position, read once for all who may see the same."""
    seen = (
        await title_sql(viewer, resource),
        await viewer.can_view(resource.database, "job_attempts"),
        await viewer.can_view(resource.database, "job_events"),
    )

    async def read() -> News:
        changed, token = await read_from(
            viewer.datasette, resource, lambda conn: read_changed(conn, resource, position)
        )
        more = len(changed) == MAX_CHANGES
        if key:
            jobs = {key: await job_html(viewer, resource, key)} if key in map(str, changed) else {}
            return News(jobs, {}, str(token), more)
        if not changed:
            return News({}, {}, str(token), more)
        counts = await count(viewer, resource)
        return News(await rows_html(viewer, resource, changed), counts, str(token), more)

    return await watcher_of(viewer.datasette, resource).read_once((position, key, seen), read)


def read_changed(
    connection: sqlite3.Connection, resource: Resource, position: str
) -> tuple[list[Any], Token]:
    """The keys of the jobs that changed after the position, and the position after them."""
    token = starting_point(connection, resource, position)
    values = {"after": token.number, "limit": MAX_CHANGES}
    found = [tuple(row) for row in connection.execute(LIST_CHANGED, values)]
    last = Token(token.epoch, found[-1][0]) if found else token
    return [key for _, key in found], last


async def rows_html(viewer: Viewer, resource: Resource, keys: list[Any]) -> dict[Any, str]:
    """The row of the list for each job; empty for those that are gone."""
    jobs = await jobs_by_key(viewer, resource, list(dict.fromkeys(keys)))
    rows = {job["job_id"]: await render(viewer, "_queue_row.html", job=job) for job in jobs}
    return {key: rows.get(key, "") for key in keys}


async def job_html(viewer: Viewer, resource: Resource, key: str) -> str:
    """The parts of the page of a job that change; empty if it is gone."""
    record = await queues.read_job(viewer, resource, key)
    return await render(viewer, "_job_live.html", record=record) if record else ""


async def render(viewer: Viewer, template: str, **values: Any) -> str:
    """Without what plugins add to whole pages, which would take longer than all the rest."""
    environment = viewer.datasette.get_jinja_environment(None)
    return str(await environment.get_template(template).render_async(**values))


def live_path(viewer: Viewer, since: str, token: str = "") -> str:
    """The address of the stream for a page, of all jobs or of one."""
    part = f"&job={tilde_encode(token)}" if token else ""
    return str(viewer.datasette.urls.path(f"/-/queue/live?since={since}{part}"))
