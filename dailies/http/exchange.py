"""A request and its response: within limits, in a place, with security headers, and logged."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from contextvars import ContextVar

from dailies.errors import RequestError
from dailies.http import limits
from dailies.http.admission import Kinds, Place
from dailies.http.hosts import check_host
from dailies.http.limits import App, Message, Receive, Scope, Send, send_error
from dailies.http.logs import LOGGER, log_request

# Datasette's own pages hold inline scripts and styles; none of them evaluates text as code.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; "
    "script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; "
    "object-src 'none'; "
    "base-uri 'none'; "
    "form-action 'self'; "
    "frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)

inside: ContextVar[bool] = ContextVar("inside", default=False)

Header = tuple[bytes, bytes]


def surrounded(app: App) -> App:
    """What surrounds everything else. One layer, since each costs every request some time."""
    kinds = Kinds()

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await Exchange(scope, receive, send).respond(app, kinds)
        else:
            await app(scope, receive, send)

    return wrapped


class Exchange:
    """One request and its response."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._started = time.perf_counter()
        self._body_end = asyncio.get_running_loop().time() + limits.BODY_SECONDS
        self._body_complete = False
        self._late = False
        self._place: Place | None = None
        self._status = 0
        self._size = 0

    async def respond(self, app: App, kinds: Kinds) -> None:
        """Check the request, and let the app respond to it."""
        try:
            limits.check_target(self._scope)
            headers = limits.checked_headers(self._scope["headers"])
            scope = {**self._scope, "headers": headers}
            check_host(scope)
            if not inside.get():
                self._place = await kinds.enter(scope)
        except RequestError as error:
            await send_error(self.send, error)
        else:
            await self._call(app, scope)
        finally:
            if LOGGER.isEnabledFor(logging.INFO):
                seconds = time.perf_counter() - self._started
                log_request(self._scope, self._status or 500, self._size, seconds)

    async def _call(self, app: App, scope: Scope) -> None:
        """Call the app, whose own requests need no place of theirs."""
        token = inside.set(True) if self._place else None
        try:
            await app(scope, self.receive, self.send)
        finally:
            if self._place and token:
                inside.reset(token)
                self._place.leave()

    async def receive(self) -> Message:
        """The next part of the body; the end of the connection if it takes too long."""
        if self._body_complete:
            return await self._receive()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._body_end):
                message = await self._receive()
            self._body_complete = not message.get("more_body", False)
            return message
        if not self._status:
            await send_error(self.send, limits.TOO_SLOW)
        self._late = True
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self._late:
            return
        if message["type"] == "http.response.start":
            self._status = message["status"]
            message = {**message, "headers": secured(message.get("headers", []))}
        else:
            self._size += len(message.get("body", b""))
        if self._place is None:
            await self._send(message)
        else:
            await self._place.send(self._send, message)


def secured(headers: list[Header]) -> list[Header]:
    """Add ours where a response has none. A policy without default-src is replaced."""
    found = {name.lower(): value for name, value in headers}
    policy = found.get(b"content-security-policy")
    if policy is not None and b"default-src" not in policy:
        del found[b"content-security-policy"]
        headers = [one for one in headers if one[0].lower() != b"content-security-policy"]
    return [*headers, *(header for header in HEADERS if header[0] not in found)]
