"""What a request may consist of. Checked before anything parses it.

The time and the bytes of a request that never ends are limited in dailies/http/protocol.py.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote_plus

from dailies.errors import RequestError, error_text

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_PATH_BYTES = 8_192
MAX_QUERY_BYTES = 16_384
MAX_HEADERS = 100
MAX_HEADER_BYTES = 32_768  # names and values of all
MAX_COOKIES = 100
MAX_PARAMETERS = 200
MAX_FACETS = 10
MAX_REPEATED = 20  # of a parameter of Datasette, such as _search or _through
BODY_SECONDS = 60.0

COLUMNS = ("_col", "_nocol")  # may be as many as a table has
FACET_OPTIONS = ("_facet_size",)
# Without backslashes: to undo them takes old versions of Python quadratic time.
COOKIE = re.compile(rb"[\w!#$%&'*+.^`|~-]{1,256}=\"?[^\s\",;\\\x00-\x1f\x7f]*\"?", re.ASCII)

TOO_SLOW = RequestError(
    408, f"The body was not complete after {BODY_SECONDS:.0f} seconds", {"Connection": "close"}
)


def check_target(scope: Scope) -> None:
    """RequestError if the path is too long, or the query string has too much of something."""
    if not scope["path"].startswith("/"):  # as in OPTIONS *
        raise RequestError(400, "The path must begin with a slash")
    if len(scope.get("raw_path") or scope["path"].encode()) > MAX_PATH_BYTES:
        raise RequestError(414, f"The path is longer than {MAX_PATH_BYTES:,} bytes")
    query = scope.get("query_string") or b""
    if len(query) > MAX_QUERY_BYTES:
        raise RequestError(414, f"The query string is longer than {MAX_QUERY_BYTES:,} bytes")
    if not query:
        return
    parameters = query.split(b"&")
    if len(parameters) > MAX_PARAMETERS:
        raise RequestError(400, f"There are more than {MAX_PARAMETERS} parameters")
    check_repeated(Counter(map(name_of, parameters)))


def name_of(parameter: bytes) -> str:
    return unquote_plus(parameter.partition(b"=")[0].decode("latin-1"))


def check_repeated(names: Counter[str]) -> None:
    facets = sum(
        number
        for name, number in names.items()
        if name.startswith("_facet") and name not in FACET_OPTIONS
    )
    if facets > MAX_FACETS:
        raise RequestError(400, f"There are more than {MAX_FACETS} facets")
    for name, number in names.items():
        if number > MAX_REPEATED and name.startswith("_") and name not in COLUMNS:
            message = f"The parameter {name[:80]} comes more than {MAX_REPEATED} times"
            raise RequestError(400, message)


def checked_headers(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers, with one Cookie header of those cookies that can be parsed."""
    if len(headers) > MAX_HEADERS:
        raise RequestError(431, f"There are more than {MAX_HEADERS} headers")
    if sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
        raise RequestError(431, f"The headers are larger than {MAX_HEADER_BYTES:,} bytes")
    sent = [value for name, value in headers if name.lower() == b"cookie"]
    if not sent:
        return headers
    cookies = b";".join(sent).split(b";")
    if len(cookies) > MAX_COOKIES:
        raise RequestError(431, f"There are more than {MAX_COOKIES} cookies")
    readable = b"; ".join(filter(COOKIE.fullmatch, (cookie.strip() for cookie in cookies)))
    others = [(name, value) for name, value in headers if name.lower() != b"cookie"]
    return [*others, (b"cookie", readable)] if readable else others


async def send_error(send: Send, error: RequestError) -> None:
    body = error_text(error.messages, error.status).encode()
    headers = {
        "content-type": "application/json; charset=utf-8",
        "content-length": str(len(body)),
        "cache-control": "private, no-store",
        **error.headers,
    }
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
