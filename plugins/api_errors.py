"""Sees to it that a program is answered with errors in one shape, whatever part of us made them."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from datasette import Request, Response, hookimpl
from datasette.app import Datasette

from loaders.answers import error_text
from loaders.endpoints import answer

CROSS_SITE = "Requests from other sites are refused"


@hookimpl(trylast=True)
def register_routes() -> list[tuple[str, Any]]:
    return [(r"/api(?:/.*)?\Z", nothing)]


async def nothing(request: Request, datasette: Datasette) -> Response:
    """What no endpoint is registered for, which Datasette would answer by a page."""
    return await answer(datasette, request, {})


@hookimpl(tryfirst=True)
def handle_exception(request: Request, exception: Exception) -> Response | None:
    """400 for bodies that Datasette's own write API fails to read, which it would answer by 500."""
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
            if scope["type"] == "http" and scope["path"].startswith(f"{base}/api/"):
                send = JsonErrors(send)
            await app(scope, receive, send)

        return wrapped

    return wrap


class JsonErrors:
    """Sends what it is given, but pages that report an error as JSON."""

    def __init__(self, send: Any) -> None:
        self._send = send
        self._replaced = False

    async def __call__(self, message: dict[str, Any]) -> None:
        if self._replaced:
            return
        if message["type"] == "http.response.start" and is_error_page(message):
            self._replaced = True
            await self._send_error(message["status"])
            return
        await self._send(message)

    async def _send_error(self, status: int) -> None:
        reason = CROSS_SITE if status == HTTPStatus.FORBIDDEN else HTTPStatus(status).phrase
        body = error_text([reason], status).encode()
        headers = [
            (b"content-type", b"application/json; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"private, no-store"),
        ]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def is_error_page(message: dict[str, Any]) -> bool:
    headers = {name.lower(): value for name, value in message.get("headers", [])}
    kind = headers.get(b"content-type", b"")
    return message["status"] >= HTTPStatus.BAD_REQUEST and not kind.startswith(b"application/json")
