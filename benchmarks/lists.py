"""Filtered lists and searches, one request at a time, and lists of few jobs beside many."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlencode

import httpx2
from server_process import CLIENT

from benchmarks import documents
from benchmarks.load import Load, Target, alternate, measure, request, together
from benchmarks.requests import API, PB_NEWEST, failures
from benchmarks.rows import Row, compared
from benchmarks.workspace import FEW_JOBS, OURS, Workspace

SORTS = ("-created_at", "-updated_at", "job_name")
REQUESTS = 20  # of each list
REPEATED = 10  # lists that are measured twice
RARE_COLUMNS = ("product", "persona", "language", "campaign_type")
FEW = f"{FEW_JOBS:,} jobs"


class Page(NamedTuple):
    """The first or second page of a list by one column."""

    column: str
    value: str
    sort: str
    number: int

    @property
    def query(self) -> str:
        return urlencode({self.column: self.value, "_sort": self.sort})

    def __str__(self) -> str:
        return f"{self.query}, page {self.number}"


COMMON = list(documents.FILTERS.items())
RARE = [(column, documents.RARE_VALUE) for column in RARE_COLUMNS]


def filters(work: Workspace) -> Iterator[Row]:
    """Every list by one indexed column, and lists of the same length of few jobs."""
    many = every_page(work, work.server.port, COMMON + RARE)
    slowest = max(many, key=lambda page: p95_of(many[page]))
    p95 = p95_of(many[slowest])
    name = "filtered list alone, the slowest, p95"
    yield Row(name, p95, "ms", "less", limit=10, note=str(slowest))
    if work.jobs > FEW_JOBS:
        yield from growth(many, every_page(work, work.small_server.port, COMMON))


def growth(many: dict[Page, Load], few: dict[Page, Load]) -> Iterator[Row]:
    """The list whose median delay grows most from few jobs to many."""

    def delay_of_few(page: Page) -> float:
        return few[page._replace(value=documents.FILTERS[page.column])].median

    worst = max(many, key=lambda page: many[page].median / delay_of_few(page))
    name = "filtered list alone, the one that grows most"
    ours = many[worst].median
    row = Row(name, ours, "ms", "less", FEW, least_ratio=0.5, note=str(worst))
    yield from compared(row, {FEW: delay_of_few(worst)})


def every_page(work: Workspace, port: int, values: list[tuple[str, str]]) -> dict[Page, Load]:
    """The first and second page of each list, by filter and order.

    The slowest are measured once more, and the better load counts: what else the machine does is
    the slowest of so many delays otherwise.
    """
    paths = {}
    for (column, value), sort in itertools.product(values, SORTS):
        page = Page(column, value, sort, 1)
        paths[page] = f"{API}?{page.query}&_size=20"
        if token := next_token(port, paths[page]):
            paths[page._replace(number=2)] = f"{paths[page]}&{urlencode({'_next': token})}"
    found = {page: alone(work, port, path) for page, path in paths.items()}
    for page in sorted(found, key=lambda page: p95_of(found[page]))[-REPEATED:]:
        found[page] = min(found[page], alone(work, port, paths[page]), key=p95_of)
    return found


def next_token(port: int, path: str) -> str | None:
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", **CLIENT) as client:
        token: str | None = client.get(path).raise_for_status().json()["next"]
    return token


def p95_of(load: Load) -> float:
    return load.percentile(0.95)


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
    in_pocketbase = f"{PB_NEWEST}&filter=({anywhere})"
    newest = f"_search={word}&_sort_desc=created_at"
    yield from search(work, "API, newest first", f"{API}?q={word}&_size=20", in_pocketbase)
    for title, path in (("table in JSON", "jobs.json"), ("table page", "jobs")):
        ours, theirs = f"/campaigns/{path}?{newest}", f"/copy/{path}?{newest}"
        yield from search(work, f"{title}, newest first", ours, datasette=theirs)
    yield from search(work, "page of all databases", f"/-/search?q={word}")


def search(
    work: Workspace,
    title: str,
    ours: str,
    pocketbase: str | None = None,
    datasette: str | None = None,
) -> Iterator[Row]:
    targets = work.targets(
        lambda _: ("GET", ours),
        pocketbase=None if pocketbase is None else lambda _: ("GET", pocketbase),
        datasette=None if datasette is None else lambda _: datasette,
    )
    rounds = alternate(targets, seconds=work.seconds, connections=1, requests=REQUESTS)
    note = failures(rounds)
    loads = {name: together(some) for name, some in rounds.items()}
    p95 = {name: p95_of(load) for name, load in loads.items() if load.delays}
    name = f"search alone, {title}, p95"
    yield from compared(Row(name, p95.pop(OURS), "ms", "less", limit=50, note=note), p95)
