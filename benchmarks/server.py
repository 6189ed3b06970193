"""Start of the server with six large files, and its memory after few and many requests."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from server_process import ServerProcess

from benchmarks import documents, peers
from benchmarks.load import Target, measure, request
from benchmarks.requests import API, failures
from benchmarks.rows import Row, compared
from benchmarks.workspace import DATASETTE, OURS, Workspace, memory, run_command

STARTS = 3
FEW = 2_000
AFTER_FEW = "itself after 2,000"
MANY_SECONDS = 300.0  # the most that many requests may take


def start(work: Workspace) -> Iterator[Row]:
    """From the command to the first response, with all six files, which others read before."""
    run_command(work.data_dir, "build", "--sample")
    files = sorted(work.data_dir.glob("*.db"))
    log = work.folder / "start.log"
    ours, theirs = [], []
    for _ in range(STARTS):
        ours.append(seconds_to_start(ServerProcess(work.data_dir)))
        theirs.append(seconds_to_start(peers.datasette(files, log)))
    gigabytes = sum(path.stat().st_size for path in files) / 1e9
    row = Row(
        "start to first response",
        statistics.median(ours),
        "s",
        "less",
        DATASETTE,
        limit=1.5,
        note=f"six files of {gigabytes:.2g} GB together",
    )
    yield from compared(row, {DATASETTE: statistics.median(theirs)})


def seconds_to_start(server: AbstractContextManager[object]) -> float:
    began = time.perf_counter()
    with server:
        return time.perf_counter() - began


def memory_growth(work: Workspace) -> Iterator[Row]:
    """A new server's own memory, that of files in the system's cache left out."""
    many = max(2 * FEW, min(200_000, work.jobs // 5))
    with ServerProcess(work.data_dir) as server:
        token = server.token("root")
        target = Target(server.port, lambda n: request(*mixed(work, n), token=token))
        used = []
        for count in (FEW, many - FEW):
            load = measure(target, seconds=MANY_SECONDS, requests=count)
            failures({OURS: [load]})
            used.append(memory(server.pid, "RssAnon"))
    sent = FEW + len(load.delays)
    row = Row(
        "memory after many requests",
        used[1],
        "MB",
        "less",
        AFTER_FEW,
        least_ratio=1 / 1.1,
        note=f"{sent:,} requests",
    )
    yield from compared(row, {AFTER_FEW: used[0]})


def mixed(work: Workspace, n: int) -> tuple[Any, ...]:
    """Mostly reads, one write in ten, a list in twenty, and a page in a hundred."""
    job_id = documents.identifier(work.old_number(n))
    if n % 100 == 0:
        return "GET", f"/campaigns/jobs/{job_id}"
    if n % 20 == 1:
        return "GET", f"{API}?_size=20"
    if n % 20 == 2:
        return "POST", API, work.new_job()
    if n % 20 == 3:
        return "PATCH", f"{API}/{job_id}", {"hook": f"hook {n}"}
    return "GET", f"{API}/{job_id}"
