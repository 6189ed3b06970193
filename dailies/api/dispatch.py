"""From Datasette's routes to handlers: methods, permissions, parameters, errors, CORS.

A handler takes a `JobRequest` and returns a response, or raises one of `FAILURES`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

from datasette import Request, Response
from datasette.app import Datasette

from dailies.api.idempotency import Write, check_key, once, repeatable
from dailies.api.request import (
    JSON,
    key_from_path,
    matches,
    precondition,
    read_body,
    refuse_unknown,
)
from dailies.api.resources import Resource
from dailies.api.responses import (
    JSONResponse,
    error_response,
    one_row,
    rows_text,
)
from dailies.auth.permissions import is_allowed, may_see, require
from dailies.datasette_compat import add_cors_headers
from dailies.errors import FAILURES, RequestError, request_error
from dailies.storage.databases import read_at_once, read_from, write_to
from loaders.errors import Invalid
from loaders.rows import Check, Record

Result = TypeVar("Result")
Call = Callable[[], Awaitable[Response]]

RESERVED = ("bulk", "changes", "claim", "undo")  # path segments that look like the key of a job
MAX_PARSED_AT_ONCE = 50_000  # bytes
REQUEST_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID"
)


async def respond(datasette: Datasette, request: Request, calls: Mapping[str, Call]) -> Response:
    """The response of the call for the request's method, or an error; always JSON."""
    try:
        response = await call_for_method(request, calls)
    except FAILURES as error:
        response = error_response(request_error(error)).to_datasette()
    return with_cors(datasette, response, calls)


def with_cors(datasette: Datasette, response: Response, calls: Mapping[str, Call]) -> Response:
    """The response with the headers that let other sites' scripts read it, if `--cors` is set."""
    if datasette.cors:
        add_cors_headers(response.headers)
        response.headers["Access-Control-Allow-Headers"] = REQUEST_HEADERS
        response.headers["Access-Control-Expose-Headers"] = "ETag, Link, Location"
        response.headers["Access-Control-Allow-Methods"] = allowed_methods(calls)
    return response


async def call_for_method(request: Request, calls: Mapping[str, Call]) -> Response:
    if not calls:
        raise RequestError(404, "Not found: no resource has this path")
    allow = allowed_methods(calls)
    if request.method == "OPTIONS":
        return Response(b"", 204, headers={"Allow": allow})
    call = calls.get("GET" if request.method == "HEAD" else request.method)
    if call is None:
        message = f"{request.method} is not allowed here: use one of {allow}"
        raise RequestError(405, message, {"Allow": allow})
    response = await call()
    if request.method == "HEAD":
        response.body = b""
    return response


def allowed_methods(calls: Mapping[str, Call]) -> str:
    head = ("HEAD",) if "GET" in calls else ()
    return ", ".join((*calls, *head, "OPTIONS"))


def parse_parameters(request: Request, known: Iterable[str] | None) -> dict[str, str]:
    """Parameters of the query string. Invalid for one that comes twice or is not `known`."""
    if not request.query_string:
        return {}
    pairs = parse_qsl(request.query_string, keep_blank_values=True)
    given = dict(pairs)
    if known is not None:
        refuse_unknown(given, known, "parameter")
    if len(given) < len(pairs):
        raise Invalid("A parameter is given twice")
    return given


@dataclass
class JobRequest:
    """A request for a resource; parameters and body are empty until they are read."""

    datasette: Datasette
    request: Request
    resource: Resource
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def actor_id(self) -> str | None:
        found = (self.request.actor or {}).get("id")
        return None if found is None else str(found)

    @property
    def key(self) -> str:
        return self.segment("key")

    @property
    def check(self) -> Check:
        headers = self.request.headers
        return precondition(headers.get("if-match"), headers.get("if-none-match"))

    def segment(self, name: str) -> str:
        """A named part of the path."""
        return key_from_path(self.request.url_vars[name])

    async def require(self, action: str, table: str | None = None) -> None:
        await require(self.datasette, self.request.actor, action, self.resource, table)

    async def is_allowed(self, action: str, table: str | None = None) -> bool:
        return await is_allowed(self.datasette, self.request.actor, action, self.resource, table)

    async def may_see(self, table: str | None = None) -> bool:
        """True if the response may contain rows of `table`, by default of the jobs."""
        return await may_see(self.datasette, self.request.actor, self.resource, table)

    async def require_sight(self, table: str | None = None) -> None:
        if not await self.may_see(table):
            await self.require("view-table", table)

    async def read_body(self, types: tuple[str, ...] = JSON, *, optional: bool = False) -> bytes:
        self.body = await read_body(self.request, types, optional=optional)
        return self.body

    async def read_json(
        self, parse: Callable[[bytes], Result], types: tuple[str, ...] = JSON
    ) -> Result:
        """The parsed body. A large one is parsed in a thread, so that others need not wait."""
        body = await self.read_body(types)
        if len(body) <= MAX_PARSED_AT_ONCE:
            return parse(body)
        return await asyncio.to_thread(parse, body)

    async def read(self, read: Callable[[sqlite3.Connection], Result]) -> Result:
        return await read_from(self.datasette, self.resource, read)

    async def read_at_once(self, read: Callable[[sqlite3.Connection], Result]) -> Result:
        return await read_at_once(self.datasette, self.resource, read)

    async def write(self, write: Callable[[sqlite3.Connection], Result]) -> Result:
        """The result of `write`, once its transaction is on the disk."""
        return await write_to(self.datasette, self.resource, write)

    async def write_once(self, write: Write, table: str | None = None) -> Response:
        """Like `write`, but a request with an Idempotency-Key is carried out only once.

        An actor who may not see the rows, of the jobs or of `table`, does not get the response
        that was made for one who may.
        """
        request = self.request
        seen = str(await self.may_see(table))
        content = (request.method, request.path, request.query_string, seen, self.body)
        known = repeatable(request.headers.get("idempotency-key"), self.actor_id, *content)
        response: JSONResponse = await self.write(once(known, write))
        return response.to_datasette()

    def check_idempotency_key(self) -> None:
        """Invalid for a malformed key, also where nothing is written."""
        check_key(self.request.headers.get("idempotency-key"))

    def url_of(self, key: str) -> str:
        """The path of a job. The first character of a reserved segment is percent-encoded."""
        part = f"%{ord(key[0]):02X}{key[1:]}" if key in RESERVED else quote(key, safe="")
        return str(self.datasette.urls.path(f"/api/{self.resource.name}/{part}"))

    def next_url(self, token: str | None, parameter: str = "_next") -> str | None:
        """The absolute URL of the page after this one, under the same filters."""
        if token is None:
            return None
        query = urlencode({**self.parameters, parameter: token})
        return str(self.datasette.absolute_url(self.request, f"{self.request.path}?{query}"))

    def page(self, texts: Iterable[str], token: str | None) -> Response:
        others = {"next": token, "next_url": self.next_url(token)}
        return JSONResponse(200, rows_text(texts, others)).to_datasette()

    def unless_known(self, record: Record) -> Response:
        """The row, or 304 if the client has it already."""
        response = one_row(record)
        known, etag = self.request.headers.get("if-none-match"), response.headers["ETag"]
        if known is not None and matches(known, etag, weakly=True):
            return Response(b"", 304, headers={"ETag": etag})
        return response.to_datasette()


def row_if(seen: bool, record: Record) -> JSONResponse:
    """The row, or no rows for an actor who may not see it."""
    return one_row(record) if seen else JSONResponse(200, rows_text([]))


def json_response(status: int, text: str = "", **others: Any) -> Response:
    return JSONResponse(status, text, **others).to_datasette()
