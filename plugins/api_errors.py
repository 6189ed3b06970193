"""JSON errors for programs, whichever part of the server made the error.

This is about the jobs API and Datasette's own API for rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from datasette import Request, Response, hookimpl
from datasette.app import Datasette
from datasette.utils import tilde_decode

from dailies.errors import RETRY, error_text
from dailies.storage.availability import message, unavailable
from loaders.errors import TooLarge

ROW_API = re.compile(r"/-/(?:insert|upsert|update|delete)\Z")
# Parts of messages of SQLite and of triggers, for which Datasette responds with 400.
STATUSES = {
    "database is locked": HTTPStatus.SERVICE_UNAVAILABLE,
    "disk is full": HTTPStatus.SERVICE_UNAVAILABLE,
    "readonly database": HTTPStatus.SERVICE_UNAVAILABLE,
    "is gone: it was moved or deleted": HTTPStatus.SERVICE_UNAVAILABLE,
    "was replaced while it was open": HTTPStatus.SERVICE_UNAVAILABLE,
    ".status: cannot go ": HTTPStatus.CONFLICT,
    TooLarge.WORDS: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}
CROSS_SITE = "Requests from other sites are refused"


@hookimpl(tryfirst=True)
def handle_exception(request: Request, exception: Exception) -> Response | None:
    """400 for bodies that Datasette's own write API cannot parse; it would respond with 500."""
    if request.method == "POST" and isinstance(
        exception, UnicodeError | RecursionError | OverflowError
    ):
        return Response.error("The body cannot be read as JSON", 400)
    return None


@hookimpl
def asgi_wrapper(datasette: Datasette) -> Callable[[Any], Any]:
    base = datasette.setting("base_url").rstrip("/")

    def wrap(app: Any) -> Any:
        async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
            if scope["type"] == "http" and is_api(scope, base):
                send = JsonErrors(send)
                if name := unavailable_in(datasette, scope["path"].removeprefix(base)):
                    text = message(name, unavailable(datasette)[name])
                    await send.error([text], HTTPStatus.SERVICE_UNAVAILABLE)
                    return
            elif scope["type"] == "http":
                send = JsonErrors(send, only_text=True)
            await app(scope, receive, send)

        return wrapped

    return wrap


def unavailable_in(datasette: Datasette, path: str) -> str | None:
    """The database of a path of Datasette's API for rows, if it is not available."""
    name = tilde_decode(path.split("/")[1])
    return name if ROW_API.search(path) and name in unavailable(datasette) else None


def is_api(scope: dict[str, Any], base: str) -> bool:
    path = scope["path"]
    return path.startswith(f"{base}/api/") or (
        scope["method"] == "POST" and ROW_API.search(path) is not None
    )


class JsonErrors:
    """An ASGI `send` that replaces error pages by JSON, and corrects statuses.

    Datasette responds with 400 to every write that SQLite refuses; a lock is 503, a conflict 409.
    With `only_text` pages for people stay, and errors of one line become JSON.
    """

    def __init__(self, send: Any, *, only_text: bool = False) -> None:
        self._send = send
        self._only_text = only_text
        self._replaced = False
        self._pending: dict[str, Any] | None = None

    async def __call__(self, message: dict[str, Any]) -> None:
        if self._replaced:
            return
        starts = message["type"] == "http.response.start"
        if starts and is_error_page(message, only_text=self._only_text):
            self._replaced = True
            status = message["status"]
            forbidden = status == HTTPStatus.FORBIDDEN
            await self.error([CROSS_SITE if forbidden else HTTPStatus(status).phrase], status)
        elif starts and message["status"] == 400 and not self._only_text:
            self._pending = message
        elif self._pending:
            await self._send_corrected(self._pending, message)
        else:
            await self._send(message)

    async def _send_corrected(self, start: dict[str, Any], body: dict[str, Any]) -> None:
        messages = messages_in(body.get("body", b""))
        status = next((known for text, known in STATUSES.items() if text in messages[0]), 400)
        self._pending = None
        if status == HTTPStatus.BAD_REQUEST:
            await self._send(start)
            await self._send(body)
            return
        self._replaced = True
        await self.error(messages, status)

    async def error(self, messages: list[str], status: int) -> None:
        body = error_text(messages, status).encode()
        headers = [
            (b"content-type", b"application/json; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"private, no-store"),
        ]
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers += [(name.encode(), text.encode()) for name, text in RETRY.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def messages_in(body: bytes) -> list[str]:
    try:
        return [str(message) for message in json.loads(body)["errors"]] or [""]
    except (ValueError, KeyError, TypeError):
        return [""]


def is_error_page(message: dict[str, Any], *, only_text: bool) -> bool:
    if message["status"] < 400:  # HTTPStatus compares slowly, and this is every response
        return False
    headers = {name.lower(): value for name, value in message.get("headers", [])}
    kind = headers.get(b"content-type", b"")
    return kind.startswith(b"text/plain") or not (only_text or kind.startswith(b"application/json"))
