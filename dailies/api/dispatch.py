"""What all endpoints of the API share: how a request is read, and how it is answered.

An endpoint takes Datasette, the request and the resource, and returns its answer or raises one of
`FAILURES`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl, quote, urlencode

from datasette import Request, Response
from datasette.app import Datasette
from datasette.utils import add_cors_headers

from dailies.api.idempotency import Write, once, repeatable
from dailies.api.request import (
    Check,
    RefusalError,
    key_from_path,
    matches,
    precondition,
    refuse_unknown,
)
from dailies.api.resources import Resource
from dailies.api.responses import Answer, Stored, error_text, rows_text
from dailies.auth.permissions import FAILURES, may_see, refusal_of, write_to

Endpoint = Callable[[Datasette, Request, Resource], Awaitable[Response]]
Call = Callable[[], Awaitable[Response]]

JSON = ("application/json",)
NAMED = ("bulk", "changes", "claim", "undo")  # addresses that look like a job's, but are none
REQUEST_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID"
)


async def answer(datasette: Datasette, request: Request, calls: Mapping[str, Call]) -> Response:
    """What the call for this method answers, or why it does not, always as JSON."""
    try:
        response = await dispatch(request, calls)
    except FAILURES as error:
        response = refused(refusal_of(error))
    if datasette.cors:
        add_cors_headers(response.headers)
        response.headers["Access-Control-Allow-Headers"] = REQUEST_HEADERS
        response.headers["Access-Control-Expose-Headers"] = "ETag, Link, Location"
        response.headers["Access-Control-Allow-Methods"] = allowed_methods(calls)
    return response


async def dispatch(request: Request, calls: Mapping[str, Call]) -> Response:
    if not calls:
        raise RefusalError(404, "There is nothing at this address")
    if request.method == "OPTIONS":
        return Response(b"", 204, headers={"Allow": allowed_methods(calls)})
    call = calls.get("GET" if request.method == "HEAD" else request.method)
    if call is None:
        allow = allowed_methods(calls)
        raise RefusalError(
            405, f"{request.method} is not allowed here: {allow} are", {"Allow": allow}
        )
    response = await call()
    if request.method == "HEAD":
        response.body = b""
    return response


def allowed_methods(calls: Mapping[str, Call]) -> str:
    head = ("HEAD",) if "GET" in calls else ()
    return ", ".join((*calls, *head, "OPTIONS"))


def key_of(request: Request) -> str:
    return key_from_path(request.url_vars["key"])


def actor_id(request: Request) -> str | None:
    found = (request.actor or {}).get("id")
    return None if found is None else str(found)


def check_of(request: Request) -> Check:
    return precondition(request.headers.get("if-match"), request.headers.get("if-none-match"))


def parameters_of(request: Request) -> list[tuple[str, str]]:
    return parse_qsl(request.query_string, keep_blank_values=True)


def refuse_parameters(request: Request) -> None:
    refuse_unknown([name for name, _ in parameters_of(request)], (), "parameter")


def lease_of(request: Request, resource: Resource) -> str | None:
    """The lease that the address of a deletion names: its request has no body."""
    given = dict(parameters_of(request))
    refuse_unknown(given, ("lease",) if resource.queue else (), "parameter")
    return given.get("lease")


def address(datasette: Datasette, resource: Resource, key: str) -> str:
    """The address of a job; one that is called as something else here is spelt differently."""
    part = f"%{ord(key[0]):02X}{key[1:]}" if key in NAMED else quote(key, safe="")
    return str(datasette.urls.path(f"/api/{resource.name}/{part}"))


def one(stored: Stored, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, rows_text([stored.text]), {"ETag": stored.etag, **(headers or {})})


def check_idempotency_key(request: Request) -> None:
    """RefusalError for a key that is none; what only reads may be asked as often as one likes."""
    repeatable(request.headers.get("idempotency-key"), actor_id(request))


async def write_once(
    datasette: Datasette,
    request: Request,
    resource: Resource,
    write: Write,
    body: bytes,
    table: str | None = None,
) -> Response:
    """What `write` answers; a request with an Idempotency-Key is done once, however often it comes.

    Whoever may not see the rows, of jobs or of `table`, gets no answer made for somebody who may.
    """
    seen = await may_see(datasette, request.actor, resource, table)
    content = (request.method, request.path, request.query_string, str(seen), body)
    key = request.headers.get("idempotency-key")
    known = repeatable(key, actor_id(request), *content)
    return respond(await write_to(datasette, resource, once(known, write)))


def with_next(request: Request, token: str | None, name: str = "_next") -> str | None:
    """The address of the page after this one, under the same filters."""
    if token is None:
        return None
    kept = [(other, value) for other, value in parameters_of(request) if other != name]
    return f"{request.path}?{urlencode([*kept, (name, token)])}"


def unless_known(request: Request, stored: Stored) -> Response:
    """The row, or 304 for who has it already."""
    known = request.headers.get("if-none-match")
    if known is not None and matches(known, stored.etag, weakly=True):
        return Response(b"", 304, headers={"ETag": stored.etag})
    return respond(one(stored))


def page(request: Request, texts: list[str], token: str | None) -> Response:
    others = {"next": token, "next_url": with_next(request, token)}
    return respond(Answer(200, rows_text(texts, others)))


def refused(refusal: RefusalError) -> Response:
    text = error_text(refusal.messages, refusal.status)
    return respond(Answer(refusal.status, text, refusal.headers))


def respond(answer: Answer) -> Response:
    if answer.status == HTTPStatus.NO_CONTENT:
        return Response(b"", answer.status, dict(answer.headers))
    body = answer.text.encode()
    headers = {"Content-Length": str(len(body)), "Cache-Control": "no-cache", **answer.headers}
    return Response(body, answer.status, headers, "application/json; charset=utf-8")
