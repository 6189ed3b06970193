"""A server under attack, with a client that watches its delays and one that keeps writing."""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))
from server_process import CLIENT, ServerProcess, run_dailies

WATCHED = "/api/campaigns?_size=1"
WATCH_INTERVAL_SECONDS = 0.01


class Site(ServerProcess):
    """`dailies serve` over a data folder; `site.request(...)` sends one request."""

    def __init__(self, data_dir: Path, *options: str, **settings: str) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        super().__init__(data_dir, *options, **settings)
        self.longest_delay = 0.0
        self.watch_interval = WATCH_INTERVAL_SECONDS
        self._root: str | None = None

    @property
    def root(self) -> str:
        """A token of root."""
        if self._root is None:
            self._root = self.token("root")
        return self._root

    def dailies(self, *args: str | Path, **settings: str) -> Any:
        """Run a command over the same data folder; its CompletedProcess."""
        return run_dailies(self.data_dir, *args, **settings)

    @contextmanager
    def watched(self, path: str = WATCHED) -> Iterator[None]:
        """Have another client ask for `path` all the time, and remember its longest delay.

        Any answer counts; a server that is down for good does not answer, which is an error.
        """
        ended = threading.Event()
        failures: list[Exception] = []

        def watch() -> None:
            with self.client() as client:
                while not ended.is_set() and not failures:
                    start = time.monotonic()
                    try:
                        client.get(path)
                    except httpx2.HTTPError as error:
                        failures.append(error)
                    self.longest_delay = max(self.longest_delay, time.monotonic() - start)
                    ended.wait(self.watch_interval)

        with self.client() as client:
            client.get(path)  # the first request of a kind may load code
        yield from running(watch, ended)
        if failures:
            raise AssertionError(f"another client got no answer: {failures[0]!r}")

    @contextmanager
    def writing(self) -> Iterator[list[str]]:
        """Have a worker add campaign jobs all the time; the list of ids that were acknowledged."""
        ended = threading.Event()
        acknowledged: list[str] = []
        headers = {"Authorization": f"Bearer {self.root}"}

        def write() -> None:
            number = 0
            with self.client() as client:
                while not ended.is_set():
                    number += 1
                    job = {"id": f"drill-{id(ended)}-{number}", "job_name": f"Job {number}"}
                    try:
                        answer = client.post("/api/campaigns", json=job, headers=headers)
                    except httpx2.HTTPError:
                        ended.wait(WATCH_INTERVAL_SECONDS)
                        continue
                    if answer.status_code == 201:
                        acknowledged.append(job["id"])

        yield from running(write, ended, acknowledged)

    def client(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, **CLIENT)

    def missing(self, acknowledged: list[str], path: Path | None = None) -> int:
        """How many of these campaign jobs the file (by default the one served) does not hold."""
        file = path or self.data_dir / "campaigns.db"
        with closing(sqlite3.connect(file)) as connection:
            held = {key for (key,) in connection.execute("select id from jobs")}
        return sum(key not in held for key in acknowledged)


def running(work: Any, ended: threading.Event, value: Any = None) -> Iterator[Any]:
    thread = threading.Thread(target=work, name="drill")
    thread.start()
    try:
        yield value
    finally:
        ended.set()
        thread.join()
