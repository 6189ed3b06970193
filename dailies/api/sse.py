"""Server-sent events: a response that continues until the client leaves or the server ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from datasette import Request

from dailies.api.watcher import Watcher
from dailies.errors import FAILURES, RequestError
from dailies.http.clients import client_of

QUIET_SECONDS = 15.0
MAX_STREAMS = 200
MAX_PER_CLIENT = 50  # so that no client takes them all
RECONNECT = "retry: 2000\n\n"
KEEP_ALIVE = ":\n\n"

open_streams: set[EventStream] = set()
closing = threading.Event()  # set when the server ends


class EventStream:
    """Sends `first`, then the texts of `next_events`, which says too whether there is more to read.

    It is asked when one of the watchers wakes it.
    """

    def __init__(
        self,
        request: Request,
        first: str,
        next_events: Callable[[], Awaitable[tuple[str, bool]]],
        watchers: Iterable[Watcher],
    ) -> None:
        self.client = client_of(request.scope)
        if closing.is_set():
            raise RequestError(503, "The server is ending: reconnect later", {"Retry-After": "5"})
        own = sum(stream.client == self.client for stream in open_streams)
        if own >= MAX_PER_CLIENT or len(open_streams) >= MAX_STREAMS:
            raise RequestError(
                503, "Too many streams are open: try again later", {"Retry-After": "60"}
            )
        self.status = 200
        self.headers = {"Cache-Control": "no-cache, no-store", "X-Accel-Buffering": "no"}
        self._receive = request.receive
        self._first = first
        self._next_events = next_events
        self._watchers = tuple(watchers)
        self._ended = False
        self._woken = asyncio.Event()
        self._wake = self._woken.set
        self.loop = asyncio.get_running_loop()

    async def asgi_send(self, send: Any) -> None:
        headers = {**self.headers, "Content-Type": "text/event-stream; charset=utf-8"}
        await send(
            {
                "type": "http.response.start",
                "status": self.status,
                "headers": [[name.encode(), text.encode()] for name, text in headers.items()],
            }
        )
        disconnect = asyncio.ensure_future(self._wait_for_disconnect())
        open_streams.add(self)
        self._wake()  # there may be changes since `first` was read
        for watcher in self._watchers:
            watcher.listen(self._wake)
        try:
            await send_text(send, RECONNECT + self._first)
            await self._send_events(send)
        finally:
            open_streams.discard(self)
            for watcher in self._watchers:
                watcher.leave(self._wake)
            disconnect.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def end(self) -> None:
        self._ended = True
        self._wake()

    async def _send_events(self, send: Any) -> None:
        sent = self.loop.time()
        while not await self._ends_when_woken():
            try:
                text, more = await self._next_events()
            except FAILURES:
                return  # the client reconnects and then gets the error
            if more:
                self._wake()
            if not text and self.loop.time() - sent >= QUIET_SECONDS:
                text = KEEP_ALIVE
            if text:
                await send_text(send, text)
                sent = self.loop.time()

    async def _ends_when_woken(self) -> bool:
        """Wait until there is something to do; True if it is to end."""
        await self._woken.wait()
        self._woken.clear()
        return self._ended

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.end()


async def send_text(send: Any, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


def end_streams() -> None:
    """End every stream and refuse new ones, from a handler of signals."""
    closing.set()
    for stream in list(open_streams):
        stream.loop.call_soon_threadsafe(stream.end)
