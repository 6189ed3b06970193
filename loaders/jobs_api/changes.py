"""What changed since a dashboard last asked, as a list or as it happens."""

from __future__ import annotations

from datasette import Request, Response
from datasette.app import Datasette

from loaders import tokens
from loaders.access import read_from, require
from loaders.answers import Answer, rows_text
from loaders.changes import LATEST, Changes, read_changes
from loaders.endpoints import parameters_of, respond
from loaders.event_stream import EventStream
from loaders.jobs_api.jobs import SIZE
from loaders.listing import parse_size
from loaders.models import CHANGE_ROWS
from loaders.operations import Operation, Parameter
from loaders.requests import RefusalError, refuse_unknown
from loaders.resources import Resource

EVENT_STREAM = "text/event-stream"
EVENTS_AT_ONCE = 100
SINCE = Parameter(
    "since",
    f"A token that came with earlier changes; `{LATEST}` for one that begins now. "
    "Without it, all changes there are.",
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
    address = f"{request.path}?since={following}"
    texts = [change.text for change in found.rows]
    return respond(Answer(200, rows_text(texts, {"next": following, "next_url": address})))


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
        return "".join(
            f"id: {change.token}\nevent: {change.operation}\ndata: {change.text}\n\n"
            for change in found.rows
        )

    first = await next_events()
    return EventStream(request, first, next_events)


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
        parameters=lambda _: (SINCE, SIZE),
    ),
)
