"""Export of all campaigns that a list shows, as a stream: a few are in memory at a time.

CSV is Datasette's own stream of the table.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from typing import Any, NamedTuple
from urllib.parse import parse_qsl
from weakref import WeakKeyDictionary

from datasette import Request, Response
from datasette.app import Datasette
from datasette.resources import TableResource

from dailies.api.pagination import ListQuery, parse_query
from dailies.api.resources import CAMPAIGNS
from dailies.api.sse import send_text
from dailies.errors import FAILURES, RETRY, request_error
from dailies.storage.databases import read_from
from dailies.web.campaign_table import SHOWING, Pairs
from loaders.campaigns.files import TEXT_FIELDS
from loaders.formats.json_writer import json_text
from loaders.formats.yaml_writer import yaml_list

MAX_EXPORTS = 4  # at once, of all clients
STEP_ROWS = 2_000
STEP_CHARACTERS = 2_000_000
TYPES = {"yaml": "application/yaml", "json": "application/json"}
FORMATS = tuple(TYPES)

NEXT_JOBS = """
select jobs.rowid, jobs.id, jobs.data
from jobs
where {conditions}
order by jobs.rowid
limit {limit}
"""

_running: WeakKeyDictionary[Datasette, set[Export]] = WeakKeyDictionary()


class Step(NamedTuple):
    """Some jobs, and the rowid of the last one; None at the end."""

    jobs: list[dict[str, Any]]
    last: int | None


def filters_of(pairs: Pairs) -> dict[str, str] | None:
    """The filters of a table page as those of the API; None if it has others."""
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in SHOWING:
            continue
        key = "q" if name == "_search" else name
        if key in found or key.startswith("_"):
            return None
        found[key] = value
    return found


async def respond(datasette: Datasette, request: Request) -> Any:
    """A stream, for an actor who may see the campaigns."""
    await datasette.ensure_permission(
        action="view-table", resource=TableResource("campaigns", "jobs"), actor=request.actor
    )
    running = _running.setdefault(datasette, set())
    if len(running) >= MAX_EXPORTS:
        return Response.error("Other exports are running: try again", 503, headers=RETRY)
    filters = dict(parse_qsl(request.query_string, keep_blank_values=True))
    try:
        query = parse_query(CAMPAIGNS, filters)
        first = await read_from(datasette, CAMPAIGNS, lambda conn: read_step(conn, query, None))
    except FAILURES as error:
        failed = request_error(error)
        return Response.error(failed.messages, failed.status)
    return Export(datasette, query, request.url_vars["export"], first, running)


def read_step(connection: sqlite3.Connection, query: ListQuery, last: int | None) -> Step:
    conditions = ["jobs.rowid > :last", *query.conditions]
    if query.text:
        conditions.append(CAMPAIGNS.search.condition)
    sql = NEXT_JOBS.format(conditions=" and ".join(conditions), limit=STEP_ROWS)
    values = {**query.values, "last": -(2**63) if last is None else last}
    jobs: list[dict[str, Any]] = []
    left = STEP_CHARACTERS
    for rowid, key, data in connection.execute(sql, values):
        jobs.append({**json.loads(data), "id": key})
        left -= len(data)
        if left <= 0 or len(jobs) == STEP_ROWS:
            return Step(jobs, rowid)
    return Step(jobs, None)


class Export:
    """The response; a step is read only once the one before has been sent."""

    def __init__(
        self,
        datasette: Datasette,
        query: ListQuery,
        format: str,
        first: Step,
        running: set[Export],
    ) -> None:
        self.datasette = datasette
        self.query = query
        self.format = format
        self.first = first
        self.running = running

    async def asgi_send(self, send: Any) -> None:
        headers = {
            "content-type": f"{TYPES[self.format]}; charset=utf-8",
            "content-disposition": f'attachment; filename="campaigns.{self.format}"',
            "cache-control": "private, no-store",
        }
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        self.running.add(self)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": encoded})
            await self.send_steps(send)
        finally:
            self.running.discard(self)

    async def send_steps(self, send: Any) -> None:
        step, is_first = self.first, True
        while True:
            await send_text(send, await asyncio.to_thread(self.text, step, is_first))
            if (last := step.last) is None:
                break
            step, is_first = await self.read(last), False
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def read(self, last: int) -> Step:
        return await read_from(
            self.datasette, CAMPAIGNS, lambda connection: read_step(connection, self.query, last)
        )

    def text(self, step: Step, is_first: bool) -> str:
        """A part of the file."""
        if self.format == "yaml":
            if step.jobs or is_first:
                head, *items = yaml_list(step.jobs, "jobs", TEXT_FIELDS)
                return "".join([head, *items] if is_first else items)
            return ""
        separator = ",\n" if step.jobs and not is_first else ""
        body = separator + ",\n".join(map(json_text, step.jobs))
        return ("[\n" if is_first else "") + body + ("\n]\n" if step.last is None else "")
