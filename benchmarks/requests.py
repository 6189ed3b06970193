"""Short requests to the jobs API from 8 connections, beside PocketBase's and Datasette's."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator
from typing import Any

import httpx2
from server_process import CLIENT

from benchmarks import documents, peers
from benchmarks.load import Load, alternate, together
from benchmarks.peers import RECORDS
from benchmarks.rows import Row, compared
from benchmarks.workspace import OURS, POCKETBASE, Workspace

API, BUILDS = "/api/campaigns", "/api/builds"
QUEUED = 20_000  # builds that wait for each second of a round, more than are claimed in all rounds
RUNNING = 100  # builds that workers hold
PB_NEWEST = f"{RECORDS}?sort=-created&perPage=20&skipTotal=1"


def measure(work: Workspace) -> Iterator[Row]:
    yield from read_one(work)
    yield from lists(work)
    yield from create_one(work)
    yield from update_one(work)
    yield from builds(work)


def read_one(work: Workspace) -> Iterator[Row]:
    targets = work.targets(
        lambda n: ("GET", f"{API}/{documents.identifier(work.old_number(n))}"),
        pocketbase=lambda n: ("GET", f"{RECORDS}/{peers.record_id(work.old_number(n))}"),
        datasette=lambda n: f"/copy/jobs/{documents.identifier(work.old_number(n))}.json",
    )
    loads = alternate(targets, seconds=work.seconds)
    yield from rates("read one", loads, least_ratio=1)
    p99 = {
        name: statistics.median(load.percentile(0.99) for load in rounds)
        for name, rounds in loads.items()
    }
    row = Row("read one, p99", p99.pop(OURS), "ms", "less", POCKETBASE, limit=10)
    yield from compared(row, p99)


def lists(work: Workspace) -> Iterator[Row]:
    targets = work.targets(
        lambda _: ("GET", f"{API}?_size=20"),
        pocketbase=lambda _: ("GET", PB_NEWEST),
        datasette=lambda _: "/copy/jobs.json?_size=20&_sort_desc=created_at",
    )
    loads = alternate(targets, seconds=work.seconds)
    yield from rates("list 20, newest first", loads, least_ratio=1)
    targets = work.targets(
        lambda _: ("GET", f"{API}?_size=20&language=German"),
        pocketbase=lambda _: ("GET", f"{PB_NEWEST}&filter=(language%3D'German')"),
        datasette=lambda _: "/copy/jobs.json?_size=20&_sort_desc=created_at&language=German",
    )
    loads = alternate(targets, seconds=work.seconds)
    yield from rates("list 20 of a language, newest first", loads)


def create_one(work: Workspace) -> Iterator[Row]:
    targets = work.targets(
        lambda _: ("POST", API, work.new_job()),
        pocketbase=lambda _: ("POST", RECORDS, peers.record(work.new_job())),
    )
    loads = alternate(targets, seconds=work.seconds)
    yield from rates("create one, answered when on disk", loads, least_ratio=1)


def update_one(work: Workspace) -> Iterator[Row]:
    def change(n: int) -> tuple[Any, ...]:
        job_id = documents.identifier(work.old_number(n))
        return "PATCH", f"{API}/{job_id}", {"hook": f"hook {n}"}

    yield from beside_update(work, "update one", change)


def builds(work: Workspace) -> Iterator[Row]:
    """What workers send; PocketBase has no queue, so its update is what to compare with."""
    running = fill_queue(work)

    def heartbeat(n: int) -> tuple[Any, ...]:
        return "POST", f"{BUILDS}/{running[n % len(running)]}/heartbeat", {"progress": 50}

    yield from beside_update(work, "heartbeat", heartbeat)
    claim = {"worker": "bench"}
    yield from beside_update(work, "claim", lambda _: ("POST", f"{BUILDS}/claim", claim))


def fill_queue(work: Workspace) -> list[int]:
    """Add builds that wait, and claim some; the numbers of these."""
    headers = {"Authorization": f"Bearer {work.token}"}
    with httpx2.Client(base_url=work.server.url, headers=headers, **CLIENT) as client:
        for _ in range(1 + round(QUEUED * work.seconds / 1000)):
            client.post(BUILDS, json=[{"status": "queued"}] * 1000).raise_for_status()
        claims = [client.post(f"{BUILDS}/claim", json={"worker": "w"}) for _ in range(RUNNING)]
    return [claim.raise_for_status().json()["rows"][0]["job_id"] for claim in claims]


def beside_update(work: Workspace, name: str, request: Any) -> Iterator[Row]:
    def change(n: int) -> tuple[Any, ...]:
        record_id = peers.record_id(work.old_number(n))
        return "PATCH", f"{RECORDS}/{record_id}", {"hook": f"hook {n}"}

    targets = work.targets(request, pocketbase=change)
    loads = alternate(targets, seconds=work.seconds)
    yield from rates(name, loads, least_ratio=1)


def rates(
    name: str, loads: dict[str, list[Load]], *, least_ratio: float | None = None
) -> Iterator[Row]:
    """Requests a second: the medians of the rounds. RuntimeError when one of ours failed."""
    found = {
        peer: statistics.median(load.rate for load in rounds) for peer, rounds in loads.items()
    }
    row = Row(
        name,
        found.pop(OURS),
        "a second",
        "more",
        POCKETBASE,
        least_ratio=least_ratio,
        note=failures(loads),
    )
    yield from compared(row, found)


def failures(loads: dict[str, list[Load]]) -> str:
    """What peers failed to answer; RuntimeError when it was us."""
    notes = []
    for peer, rounds in loads.items():
        load = together(rounds)
        if not load.failures:
            continue
        count = f"{len(load.failures)} of {len(load.failures) + len(load.delays)} requests"
        if peer == OURS:
            raise RuntimeError(f"{count} failed: {summary(load.failures[0])}")
        notes.append(f"{peer} failed {count}: {summary(load.failures[0])}")
    return "; ".join(notes)


def summary(response: str) -> str:
    """The status and what the end of the body says, in one line."""
    head, _, body = response.partition("\r\n\r\n")
    text = re.sub(r"<[^>]*>", " ", body)
    return " ".join(f"{head.splitlines()[0]} {text[-300:]}".split())
