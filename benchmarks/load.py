"""Sends requests from several connections of one thread, and measures rate and delays."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import uvloop

Requests = Callable[[int], bytes]  # the request of this number


class Load(NamedTuple):
    """Requests per second, and the median and 99th percentile of delays in milliseconds."""

    rate: float
    median: float
    p99: float


class Connection(asyncio.Protocol):
    """Sends the next request as soon as the response to the one before is complete."""

    def __init__(self, numbers: Iterator[int], request: Requests, end: float) -> None:
        self.delays: list[float] = []
        self.done = asyncio.get_running_loop().create_future()
        self._numbers, self._request, self._end = numbers, request, end
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        length = complete_length(self._received)
        if length is None or len(self._received) < length:
            return
        status = int(self._received[9:12])
        if status >= 300:
            self._finish(RuntimeError(bytes(self._received).decode(errors="replace")[:2000]))
            return
        self.delays.append(time.perf_counter() - self._sent)
        self._received.clear()
        if time.perf_counter() < self._end:
            self._send()
        else:
            self._finish(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._finish(error or ConnectionError("the server closed the connection"))

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request(next(self._numbers)))

    def _finish(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error) if error else self.done.set_result(None)
        self._transport.close()


def complete_length(received: bytearray) -> int | None:
    """The length of a whole response, or None if that is not known yet."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(received[:end]).lower()
    if b"transfer-encoding: chunked" in head:
        return len(received) if received.endswith(b"0\r\n\r\n") else None
    if b" 204 " in head[:14]:
        return end + 4
    _, _, rest = head.partition(b"content-length:")
    return end + 4 + int(rest.split(b"\r\n", 1)[0])


def measure(port: int, request: Requests, *, connections: int, seconds: float) -> Load:
    """Send requests for so long; RuntimeError with the response to one that failed."""
    return uvloop.run(send_all(port, request, connections, seconds))


async def send_all(port: int, request: Requests, connections: int, seconds: float) -> Load:
    numbers = itertools.count()
    began = time.perf_counter()
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(
            lambda: Connection(numbers, request, began + seconds), "127.0.0.1", port
        )
        for _ in range(connections)
    ]
    await asyncio.gather(*(connection.done for _, connection in opened))
    spent = time.perf_counter() - began
    delays = sorted(delay * 1000 for _, connection in opened for delay in connection.delays)
    p99 = delays[int(len(delays) * 0.99)]
    return Load(len(delays) / spent, statistics.median(delays), p99)
