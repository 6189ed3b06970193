"""What changed since a dashboard last asked, as a list or as it happens."""

from __future__ import annotations

from datasette import Request, Response
from datasette.app import Datasette

from dailies.api.changes import LATEST, TOKEN, Change, Changes, read_changes
from dailies.api.dispatch import parameters_of, respond, with_next
from dailies.api.handlers.jobs import SIZE
from dailies.api.operations import Operation, Parameter
from dailies.api.pagination import parse_size
from dailies.api.request import RefusalError, refuse_unknown
from dailies.api.resources import Resource
from dailies.api.responses import Answer, rows_text, without_half_characters
from dailies.api.schemas import CHANGE_ROWS
from dailies.api.sse import EventStream
from dailies.auth import tokens
from dailies.auth.permissions import read_from, require

EVENT_STREAM = "text/event-stream"
EVENTS_AT_ONCE = 100
NO_LINE_BREAKS = str.maketrans("\r\n", "  ")
SINCE = Parameter(
    "since",
    f"A token that came with earlier changes; `{LATEST}` for one that begins now. "
    "Without it, all changes there are.",
    {"type": "string", "pattern": f"^({LATEST}|{TOKEN.pattern})$"},
)


async def list_job_changes(datasette: Datasette, request: Request, resource: Resource) -> Response:
    await require_all(datasette, request, resource)
    given = dict(parameters_of(request))
    refuse_unknown(given, ("since", "_size"), "parameter")
    if request.method == "GET" and EVENT_STREAM in request.headers.get("accept", ""):
        return await stream(datasette, request, resource, given.get("since"))
    size = parse_size(given.get("_size"))
    found = await read_from(
        datasette, resource, lambda conn: read_changes(conn, resource, given.get("since"), size)
    )
    following = str(found.next)
    others = {"next": following, "next_url": with_next(request, following, "since")}
    return respond(Answer(200, rows_text((change.text for change in found.rows), others)))


async def stream(
    datasette: Datasette, request: Request, resource: Resource, since: str | None
) -> EventStream:
    """The changes as server-sent events; a browser that lost the line goes on where it was."""
    position = request.headers.get("last-event-id") or since

    async def next_events() -> str:
        nonlocal position
        await require_session(request)
        await require_all(datasette, request, resource)
        found: Changes = await read_from(
            datasette,
            resource,
            lambda conn: read_changes(conn, resource, position, EVENTS_AT_ONCE),
        )
        position = str(found.next)
        return "".join(map(event_text, found.rows))

    first = await next_events()
    return EventStream(request, first, next_events)


def event_text(change: Change) -> str:
    """The change as an event, in which a line break would end the data."""
    text = without_half_characters(change.text).translate(NO_LINE_BREAKS)
    return f"id: {change.token}\nevent: {change.operation}\ndata: {text}\n\n"


async def require_all(datasette: Datasette, request: Request, resource: Resource) -> None:
    await require(datasette, request.actor, "view-table", resource)
    await require(datasette, request.actor, "view-table", resource, resource.log.seen_with)


async def require_session(request: Request) -> None:
    """RefusalError once the token that a stream was opened with no longer holds."""
    token_id = (request.actor or {}).get("token")
    try:
        if token_id is not None:
            tokens.verify_session(str(token_id))
    except tokens.InvalidTokenError as error:
        raise RefusalError(401, str(error)) from error


OPERATIONS = (
    Operation(
        "GET",
        "/api/{resource}/changes",
        list_job_changes,
        "List what was created, updated or deleted since a token; or, with "
        f"`Accept: {EVENT_STREAM}`, tell it as it happens",
        {200: lambda resource: CHANGE_ROWS[resource.name]},
        paged=True,
        stream=EVENT_STREAM,
        parameters=lambda _: (SINCE, SIZE),
    ),
)
