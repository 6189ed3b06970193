"""Changes since a token, as a list or as a stream of server-sent events."""

from __future__ import annotations

from datasette import Request, Response
from datasette.app import Datasette

from dailies.api.changes import Change, Changes, read_changes
from dailies.api.dispatch import JobRequest, json_response
from dailies.api.pagination import parse_size
from dailies.api.responses import rows_text
from dailies.api.sse import EventStream
from dailies.api.watcher import watcher_of
from dailies.auth import tokens
from dailies.auth.sign_in import reason_session_ended
from dailies.errors import RequestError
from loaders.formats.json_row import without_lone_surrogates

EVENT_STREAM = "text/event-stream"
MAX_EVENTS = 100  # read at once
NO_LINE_BREAKS = str.maketrans("\r\n", "  ")


async def list_job_changes(job: JobRequest) -> Response:
    await job.require("view-table", job.resource.log.permitted_on)
    headers, since = job.request.headers, job.parameters.get("since")
    if job.request.method == "GET" and EVENT_STREAM in headers.get("accept", ""):
        return await stream(job, headers.get("last-event-id") or since)
    size = parse_size(job.parameters.get("_size"))
    found = await job.read(lambda conn: read_changes(conn, job.resource, since, size))
    token = str(found.next)
    others = {"next": token, "next_url": job.next_url(token, "since")}
    return json_response(200, rows_text((change.text for change in found.rows), others))


async def stream(job: JobRequest, position: str | None) -> EventStream:
    """A stream of changes after `position`; permissions are checked again for each read."""
    watcher = watcher_of(job.datasette, job.resource)

    async def read() -> tuple[str, str, bool]:
        found: Changes = await job.read(
            lambda conn: read_changes(conn, job.resource, position, MAX_EVENTS)
        )
        text = "".join(map(event_text, found.rows))
        return text, str(found.next), len(found.rows) == MAX_EVENTS

    async def next_events() -> tuple[str, bool]:
        nonlocal position
        require_session(job.datasette, job.request)
        await job.require("view-table")
        await job.require("view-table", job.resource.log.permitted_on)
        text, position, more = await watcher.read_once(position, read)
        return text, more

    first, position, _ = await read()
    return EventStream(job.request, first, next_events, [watcher])


def event_text(change: Change) -> str:
    """The change as an event, in which a line break would end the data."""
    text = without_lone_surrogates(change.text).translate(NO_LINE_BREAKS)
    return f"id: {change.token}\nevent: {change.operation}\ndata: {text}\n\n"


def require_session(datasette: Datasette, request: Request) -> None:
    """401 once the session or token that the stream was opened with has ended."""
    token_id = (request.actor or {}).get("token")
    if reason := reason_session_ended(datasette, request):
        raise RequestError(401, reason)
    try:
        if token_id is not None:
            tokens.verify_id(str(token_id))
    except tokens.InvalidTokenError as error:
        raise RequestError(401, str(error)) from error
