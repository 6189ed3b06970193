"""Sends requests from several connections of one thread, and measures rate and delays."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import uvloop

CONNECTIONS = 8
ROUNDS = 3
SLOW_SECONDS = 3.0  # a server whose first round takes longer has no other
WARM_UP_REQUESTS = 40


@dataclass(frozen=True)
class Target:
    """A server's port, and its request of each number; no number is used twice."""

    port: int
    request: Callable[[int], bytes]
    numbers: Iterator[int] = field(default_factory=itertools.count)


@dataclass
class Load:
    """What one round found: delays of the 2xx responses in milliseconds, and other responses."""

    seconds: float = 0.0
    delays: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return len(self.delays) / self.seconds

    @property
    def median(self) -> float:
        return statistics.median(self.delays)

    def percentile(self, share: float) -> float:
        ordered = sorted(self.delays) or [math.nan]
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def together(rounds: list[Load]) -> Load:
    return Load(
        seconds=sum(load.seconds for load in rounds),
        delays=[delay for load in rounds for delay in load.delays],
        failures=[failure for load in rounds for failure in load.failures],
    )


def request(method: str, path: str, body: Any = None, *, token: str | None = None) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    head += f"Authorization: Bearer {token}\r\n" if token else ""
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


class Connection(asyncio.Protocol):
    """Sends the next request as soon as the response to the one before is complete."""

    def __init__(self, target: Target, load: Load, end: float, left: Iterator[int]) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self._target, self._load, self._end, self._left = target, load, end, left
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._received += data
        length = complete_length(self._received)
        if length is None or len(self._received) < length:
            return
        self._count((time.perf_counter() - self._sent) * 1000)
        self._received.clear()
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self._load.failures.append(f"the server closed the connection: {error}")
            self.done.set_result(None)

    def _count(self, delay: float) -> None:
        # 204 has no content: a claim that found nothing, for instance.
        if bytes(self._received[9:12]) in (b"200", b"201"):
            self._load.delays.append(delay)
        else:
            response = bytes(self._received).decode(errors="replace")
            self._load.failures.append(response[:15] if self._load.failures else response)

    def _next(self) -> None:
        if next(self._left, None) is None or time.perf_counter() > self._end:
            self.done.set_result(None)
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(self._target.request(next(self._target.numbers)))


def complete_length(received: bytearray) -> int | None:
    """The length of a whole response, or None if that is not known yet."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(received[:end]).lower()
    if b"transfer-encoding: chunked" in head:
        return len(received) if received.endswith(b"0\r\n\r\n") else None
    _, found, rest = head.partition(b"content-length:")
    return end + 4 + (int(rest.split(b"\r\n", 1)[0]) if found else 0)


def measure(
    target: Target,
    *,
    seconds: float,
    connections: int = CONNECTIONS,
    requests: int | None = None,
) -> Load:
    """Send requests for so long, or this number of them, whichever ends first."""
    return uvloop.run(send_all(target, connections, seconds, requests))


async def send_all(target: Target, connections: int, seconds: float, requests: int | None) -> Load:
    load, began = Load(), time.perf_counter()
    left = itertools.count() if requests is None else iter(range(requests))
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(
            lambda: Connection(target, load, began + seconds, left), "127.0.0.1", target.port
        )
        for _ in range(connections)
    ]
    await asyncio.gather(*(connection.done for _, connection in opened))
    load.seconds = time.perf_counter() - began
    return load


def alternate(
    targets: Mapping[str, Target],
    *,
    seconds: float,
    connections: int = CONNECTIONS,
    requests: int | None = None,
    rounds: int = ROUNDS,
    warm_up: int = WARM_UP_REQUESTS,
) -> dict[str, list[Load]]:
    """Rounds of each target in turn, so that what else the machine does meets all of them.

    The first request is alone: at the first use sqlite-utils loads its plugins, and where two
    threads of plain Datasette do that at once, one of them responds with 500.
    """
    for target in targets.values():
        measure(target, seconds=seconds, connections=1, requests=1)
        measure(target, seconds=seconds / 4, connections=connections, requests=warm_up)
    found: dict[str, list[Load]] = {name: [] for name in targets}
    for _ in range(rounds):
        for name, target in targets.items():
            if not (found[name] and found[name][0].seconds > max(SLOW_SECONDS, 2 * seconds)):
                load = measure(target, seconds=seconds, connections=connections, requests=requests)
                found[name].append(load)
    return found
