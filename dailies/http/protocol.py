"""uvicorn's HTTP protocol with limits for what it reads before any application is called.

Each connection may take `HEAD_SECONDS` to send the head of a request, and clients must read what
they asked for. Where there are too many connections, those that wait for a request give way.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from dailies.errors import error_text

HEAD_SECONDS = 10.0
LINGER_SECONDS = 2.0  # to read on after an early response, so that the client can receive it
READER_SECONDS = 20.0
READER_BYTES = 65_536  # that a client must read in so many seconds, once it reads slowly
MAX_HEAD_BYTES = 65_536  # of which dailies/http/limits.py allows a part, with a better message
MAX_CONNECTIONS = 500
MAX_UNREAD_BYTES = 100_000_000  # of all responses together

log = logging.getLogger("dailies.http")


class JoinedWrites:
    """A transport that sends what is written in one turn of the event loop at once.

    uvicorn writes the head of a response and its body one by one: two packets, two system calls.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._written: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(data)

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size() + sum(map(len, self._written))

    def close(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._written and not self._transport.is_closing():
            self._transport.write(b"".join(self._written))
        self._written.clear()


class LimitedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None
        self._reading_head = True
        self._head_bytes = 0
        self.waiting_since = self.loop.time()

    @property
    def waits(self) -> bool:
        """True while there is no request to respond to."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def unread(self) -> int:
        return self.transport.get_write_buffer_size()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(asyncio.Transport, JoinedWrites(transport, self.loop)))
        self._close_after(HEAD_SECONDS)
        if len(self.connections) > MAX_CONNECTIONS:
            give_way(self.connections, self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel(self._timer)
        self._cancel(self._reader_timer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._reading_head:
            if not self._head_bytes and not self._timer:
                self._close_after(HEAD_SECONDS)
            self._head_bytes += len(data)
        super().data_received(data)
        if self._reading_head and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(431, f"The headers are larger than {MAX_HEAD_BYTES:,} bytes")

    def on_message_begin(self) -> None:
        self._reading_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._reading_head:  # trailers after a body are nobody's
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._reading_head = False
        self._head_bytes = 0
        self._cancel(self._timer)
        self._timer = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._reading_head = True

    def on_response_complete(self) -> None:
        self.waiting_since = self.loop.time()
        unfinished = self.cycle is not None and self.cycle.more_body
        super().on_response_complete()
        if unfinished:
            self._close_after(LINGER_SECONDS)

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg)

    def _unsupported_upgrade_warning(self) -> None:
        """There are no other protocols here: the request is answered as HTTP."""

    def pause_writing(self) -> None:
        super().pause_writing()
        self._check_reader_later()
        stop_slow_readers(self.connections)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._cancel(self._reader_timer)

    def _check_reader_later(self) -> None:
        self._cancel(self._reader_timer)
        self._reader_timer = self.loop.call_later(READER_SECONDS, self._check_reader, self.unread)

    def _check_reader(self, before: int) -> None:
        if before - self.unread < READER_BYTES:
            self.abort("the client does not read its response")
        else:
            self._check_reader_later()

    def _refuse(self, status: int, message: str) -> None:
        """Respond in the shape of all errors, and close."""
        if self.transport.is_closing():
            return
        self._log(message, status)
        body = error_text([message], status).encode()
        headers = (
            "content-type: application/json; charset=utf-8\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(STATUS_LINE[status] + headers.encode() + body)
        self.transport.close()

    def _close_after(self, seconds: float) -> None:
        self._cancel(self._timer)
        self._timer = self.loop.call_later(seconds, self._close_late)

    def _close_late(self) -> None:
        if self._reading_head and self._head_bytes:
            self._refuse(408, f"The headers were not complete after {HEAD_SECONDS:.0f} seconds")
        elif not self.transport.is_closing():
            self.transport.close()

    def abort(self, reason: str) -> None:
        self._log(reason)
        self.transport.abort()

    def _log(self, message: str, status: int | str = "-") -> None:
        client = self.client[0] if self.client else "-"
        log.info(message, extra={"client": client, "status": status})

    @staticmethod
    def _cancel(timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()


def give_way(connections: set[Any], newest: LimitedProtocol) -> None:
    """Close the connection that has waited longest for a request, or else the newest."""
    waiting = [one for one in connections if one.waits and one is not newest]
    longest = min(waiting, key=lambda one: one.waiting_since, default=newest)
    longest.abort("too many connections")
    connections.discard(longest)


def stop_slow_readers(connections: set[Any]) -> None:
    """Abort the connections with most unread bytes while all have too many together."""
    unread = {one: one.unread for one in connections}
    total = sum(unread.values())
    for one in sorted(unread, key=unread.__getitem__, reverse=True):
        if total <= MAX_UNREAD_BYTES:
            return
        one.abort("too many responses are not read")
        total -= unread[one]
