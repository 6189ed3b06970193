"""How many requests are worked on at once.

Everything but queries runs in one thread: pages and lists that are made at the same time delay
each other and all others. So only a few are; some more wait for their turn, others get 503 at once.
"""

from __future__ import annotations

import asyncio
from collections import deque

from dailies.errors import RETRY, RequestError
from dailies.http.limits import Message, Scope, Send

WAIT_SECONDS = 10.0
SLOW_SECONDS = 1.0  # of sending a part of an export
BUSY = RequestError(503, "Too many requests at once: try again later", RETRY)


class Places:
    """Places for requests of one kind."""

    def __init__(self, number: int, waiting: int) -> None:
        self._free = number
        self._most_waiting = waiting
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        """Take a place; RequestError if there is none for too long, or too many wait already."""
        if self._free:
            self._free -= 1
            return
        if len(self._waiting) >= self._most_waiting:
            raise BUSY
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await turn
        except TimeoutError:
            raise BUSY from None
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)

    def leave(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


class Place:
    """A place that is left when the response is made: to send it may take as long as it takes."""

    def __init__(self, places: Places, *, until_end: bool) -> None:
        self._places = places
        self._until_end = until_end
        self._held = True

    async def send(self, send: Send, message: Message) -> None:
        if not self._until_end:
            self.leave()
        if not self._held:
            await send(message)
            return
        # A client that reads slowly costs little time, and must not keep the place.
        timer = asyncio.get_running_loop().call_later(SLOW_SECONDS, self.leave)
        try:
            await send(message)
        finally:
            timer.cancel()

    def leave(self) -> None:
        if self._held:
            self._held = False
            self._places.leave()


class Kinds:
    """The kinds of requests; small files and streams of events need no place."""

    def __init__(self) -> None:
        self.pages = Places(10, 50)
        self.exports = Places(4, 20)  # they are made while they are sent
        self.api = Places(8, 40)

    def of(self, scope: Scope) -> Places | None:
        path = scope["path"]
        if "/static/" in path or path.startswith("/-/static") or path == "/-/health":
            return None
        if path.endswith(".csv"):
            return self.exports
        if "/api/" in path:
            return None if path.endswith("/changes") and accepts_events(scope) else self.api
        return self.pages

    async def enter(self, scope: Scope) -> Place | None:
        """Wait for a place of its kind; RequestError 503 if that takes too long."""
        places = self.of(scope)
        if places is None:
            return None
        await places.enter()
        return Place(places, until_end=places is self.exports)


def accepts_events(scope: Scope) -> bool:
    return any(
        name == b"accept" and b"text/event-stream" in value for name, value in scope["headers"]
    )
