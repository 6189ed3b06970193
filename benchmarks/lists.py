"""Filtered lists and searches, one request at a time, and lists of few jobs beside many."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from urllib.parse import urlencode

import httpx2

from benchmarks import documents
from benchmarks.load import Load, Target, alternate, measure, request
from benchmarks.requests import API, PB_NEWEST, failures
from benchmarks.rows import Row, compared
from benchmarks.workspace import FEW_JOBS, OURS, Request, Workspace

SORTS = ("-created_at", "-updated_at", "job_name")
REQUESTS = 20  # of each list
RARE_COLUMNS = ("product", "persona", "language", "campaign_type")
FEW = f"{FEW_JOBS:,} jobs"


def filters(work: Workspace) -> Iterator[Row]:
    """Every list by one indexed column, and the same lists of few jobs."""
    many = every_list(work, work.server.port)
    slowest = max(many, key=lambda title: many[title].percentile(0.95))
    p95 = many[slowest].percentile(0.95)
    name = "filtered list alone, the slowest, p95"
    yield Row(name, p95, "ms", "less", limit=10, note=slowest)
    if work.jobs > FEW_JOBS:
        yield from growth(many, every_list(work, work.small_server.port))


def growth(many: dict[str, Load], few: dict[str, Load]) -> Iterator[Row]:
    """The list whose median delay grows most from few jobs to many."""
    grown = {title: many[title].median / few[title].median for title in many.keys() & few.keys()}
    worst = max(grown, key=grown.__getitem__)
    row = Row(
        "filtered list alone, the one that grows most",
        many[worst].median,
        "ms",
        "less",
        FEW,
        least_ratio=0.5,
        note=worst,
    )
    yield from compared(row, {FEW: few[worst].median})


def every_list(work: Workspace, port: int) -> dict[str, Load]:
    """The first and second page of each list, by filter and order."""
    found = {}
    values = [*documents.FILTERS.items(), *((name, documents.RARE_VALUE) for name in RARE_COLUMNS)]
    for (column, value), sort in itertools.product(values, SORTS):
        query = urlencode({column: value, "_sort": sort})
        path = f"{API}?{query}&_size=20"
        found[query] = alone(work, port, path)
        with httpx2.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False
        ) as client:
            token = client.get(path).raise_for_status().json()["next"]
        if token is not None:
            found[f"{query}, second page"] = alone(
                work, port, f"{path}&{urlencode({'_next': token})}"
            )
    return found


def alone(work: Workspace, port: int, path: str) -> Load:
    """Up to 20 requests, one after the other, after one that warms up."""
    target = Target(port, lambda _: request("GET", path))
    measure(target, seconds=work.seconds, connections=1, requests=1)
    load = measure(target, seconds=work.seconds / 2, connections=1, requests=REQUESTS)
    failures({OURS: [load]})
    return load


def searches(work: Workspace) -> Iterator[Row]:
    """The first page of a search for a word that every job has."""
    word = documents.COMMON_WORD
    anywhere = "||".join(f"{name}~'{word}'" for name in ("job_name", "product", "hook"))
    newest = f"_search={word}&_sort_desc=created_at"
    yield from search(
        work,
        "API, newest first",
        lambda _: ("GET", f"{API}?q={word}&_size=20"),
        pocketbase=lambda _: ("GET", f"{PB_NEWEST}&filter=({anywhere})"),
    )
    for title, path in (("table in JSON", "jobs.json"), ("table page", "jobs")):
        yield from search(
            work,
            f"{title}, newest first",
            lambda _, path=path: ("GET", f"/campaigns/{path}?{newest}"),
            datasette=lambda _, path=path: f"/copy/{path}?{newest}",
        )
    yield from search(work, "page of all databases", lambda _: ("GET", f"/-/search?q={word}"))


def search(work: Workspace, title: str, ours: Request, **others: Request) -> Iterator[Row]:
    targets = work.targets(ours, **others)
    rounds = alternate(targets, seconds=work.seconds, connections=1, requests=REQUESTS)
    note = failures(rounds)
    loads = {
        name: Load(delays=[one for load in some for one in load.delays])
        for name, some in rounds.items()
    }
    p95 = {name: load.percentile(0.95) for name, load in loads.items()}
    row = Row(
        f"search alone, {title}, p95",
        p95.pop(OURS),
        "ms",
        "less",
        limit=50,
        note=note,
    )
    yield from compared(row, p95)
