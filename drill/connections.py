"""Connections that never send or read to the end, are too many, or lie about who they are."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

from drill.attacks import add_jobs, memory
from drill.case import Run, case
from drill.site import Site

HEAD = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
BODY = (
    b"POST /api/campaigns HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
UNFINISHED = (
    b"",
    b"G",
    HEAD,
    HEAD + b"X: y",
    BODY,
    BODY + b"5\r\nabc",
    HEAD + b"Cookie: " + b"a" * 999,
)
ODD = (
    b"BREW / HTTP/1.1\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x00" * 1000, b"GET " + b"/" * 300_000,
    HEAD + b"X: " + b"y" * 300_000, HEAD + b"X: y\r\n" * 50_000,
    HEAD + b"Content-Length: -1\r\n\r\n",
    HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    HEAD + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    HEAD + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n", b"CONNECT x:443 HTTP/1.1\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (HEAD + b"\r\n") * 50,
    BODY + b"0\r\n" + b"X: y\r\n" * 20_000, BODY + b"5;" + b"x" * 200_000 + b"\r\n",
)  # fmt: skip


@case("clients that send slowly, do not read, or send what is no HTTP")
def slow_clients(run: Run) -> None:
    for folder in run.repeat(1):
        with run.serving(folder) as site, ExitStack() as open_connections:
            add_jobs(site, 300)
            start = time.monotonic()
            with site.watched():
                for content in UNFINISHED * (10 if run.quick else 100):
                    open_connections.enter_context(sending(site, content))
                for _ in range(8 if run.quick else 100):
                    request = b"GET /api/campaigns?_size=1000 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
                    open_connections.enter_context(sending(site, request * 10))
                for content in ODD:
                    assert b" 500 " not in answer_to(site, content)
                while not run.quick and time.monotonic() < start + 40:
                    assert site.request("GET", "/-/versions.json").status_code == 200
            run.notes = [f"{memory(site)} MB of memory"]


@case("more connections than the server allows")
def many_connections(run: Run) -> None:
    for folder in run.repeat(3):
        with run.serving(folder) as site, ExitStack() as idle, site.watched():
            for number in range(700):
                idle.enter_context(sending(site, UNFINISHED[number % 4]))


@case("forged addresses and log lines")
def forged(run: Run) -> None:
    """Neither the sign-in throttle nor the limit of streams is escaped by a header."""
    for folder in run.repeat(1):
        with run.serving(folder) as site, site.watched():
            statuses = [sign_in(site, f"10.0.0.{n}") for n in range(8)]
            assert statuses == [401] * 5 + [429] * 3, statuses
            with ExitStack() as streams:
                for n in range(60):
                    forwarded = f"X-Forwarded-For: 10.0.0.{n}\r\n".encode()
                    stream = b"GET /api/campaigns/changes HTTP/1.1\r\nAccept: text/event-stream\r\n"
                    streams.enter_context(sending(site, stream + forwarded + HEAD[16:] + b"\r\n"))
                while True:
                    answer = answer_to(site, stream + HEAD[16:] + b"Connection: close\r\n\r\n")
                    if b" 503 " in answer:
                        break
            site.request("GET", "/campaigns/jobs.json?_facet_array=a%0AINFO:forged&t=dly_secret")
            lines = site.log.read_text().splitlines()
            assert not [line for line in lines if line.startswith("INFO:forged")]
            assert not [line for line in lines if "dly_secret" in line or "Traceback" in line]


def sign_in(site: Site, address: str) -> int:
    headers = {"X-Forwarded-For": address}
    return site.request("POST", "/-/sign-in", data={"token": "bad"}, headers=headers).status_code


@contextmanager
def sending(site: Site, content: bytes, seconds: float = 10) -> Iterator[socket.socket]:
    """A connection that sends this and is then left alone."""
    address = ("127.0.0.1", site.port)
    with closing(socket.create_connection(address, timeout=seconds)) as connection:
        with suppress(OSError):  # the server may have closed it
            connection.sendall(content)
        yield connection


def answer_to(site: Site, content: bytes, seconds: float = 10) -> bytes:
    """The beginning of the answer; empty if there is none."""
    with sending(site, content, seconds) as connection, suppress(OSError):
        return connection.recv(65_536)
    return b""
