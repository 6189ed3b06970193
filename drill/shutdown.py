"""A server that is told to end while clients hold it up."""

from __future__ import annotations

import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

import httpx2

from drill.case import Run, case
from drill.site import Site

LIMIT_SECONDS = 10
LONG_SQL = """
with recursive numbers (n) as (select 1 union all select n + 1 from numbers)
select count(*) from numbers where n % 7 = 3
"""


@case("SIGTERM with half-sent bodies, slow readers, streams, long queries", quick=False)
def terminated(run: Run) -> None:
    for folder in run.repeat(2):
        with run.serving(folder) as site, ExitStack() as clients:
            add_large_jobs(site)
            for _ in range(3):
                clients.enter_context(half_sent_body(site))
                clients.enter_context(slow_reader(site))
            clients.enter_context(reconnecting_stream(site))
            clients.enter_context(long_query(site))
            with site.writing() as acknowledged:
                while len(acknowledged) < 5:
                    pass
                start = time.monotonic()
                site.stop()
                spent = time.monotonic() - start
            assert spent < LIMIT_SECONDS, f"the server ended after {spent:.1f} s"
            run.notes = [f"ended within {spent:.1f} s"]
            run.lost += site.missing(acknowledged)


def add_large_jobs(site: Site) -> None:
    """More than the buffers of a socket hold."""
    with closing(sqlite3.connect(site.data_dir / "campaigns.db", timeout=30)) as connection:
        connection.execute("pragma synchronous = off")
        connection.executemany(
            "insert into jobs (id, job_name, data) values (?, ?, ?)",
            [
                (f"large-{n}", "Large", f'{{"job_name": "Large", "text": "{"x" * 200_000}"}}')
                for n in range(60)
            ],
        )
        connection.commit()


@contextmanager
def half_sent_body(site: Site) -> Iterator[None]:
    """A POST whose body never comes whole."""
    head = (
        "POST /api/campaigns HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f'Authorization: Bearer {site.root}\r\nContent-Length: 1000\r\n\r\n{{"job_name": '
    )
    with connected(site) as client:
        client.sendall(head.encode())
        yield


@contextmanager
def slow_reader(site: Site) -> Iterator[None]:
    """A CSV stream of which only the beginning is read."""
    with connected(site) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        path = "/campaigns/jobs.csv?_stream=1&_size=max"
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        client.recv(100)
        yield


@contextmanager
def reconnecting_stream(site: Site) -> Iterator[None]:
    """Clients of the change stream that reconnect whenever it ends."""
    ended, opened = threading.Event(), threading.Event()

    def read() -> None:
        headers = {"Accept": "text/event-stream"}
        while not ended.is_set():
            try:
                with (
                    site.client() as client,
                    client.stream("GET", "/api/campaigns/changes", headers=headers) as answer,
                ):
                    for _ in answer.iter_bytes():
                        opened.set()
            except httpx2.HTTPError:
                ended.wait(0.01)

    threads = [threading.Thread(target=read, name="drill") for _ in range(5)]
    for thread in threads:
        thread.start()
    opened.wait(10)
    yield
    ended.set()
    for thread in threads:
        thread.join()


@contextmanager
def long_query(site: Site) -> Iterator[None]:
    def ask() -> None:
        headers = {"Authorization": f"Bearer {site.root}"}
        with site.client() as client, suppress(httpx2.HTTPError):
            client.get("/campaigns/-/query.json", params={"sql": LONG_SQL}, headers=headers)

    thread = threading.Thread(target=ask, name="drill")
    thread.start()
    yield
    thread.join()


@contextmanager
def connected(site: Site) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", site.port), timeout=30) as client:
        yield client
