"""The jobs page in HTML, filtered and sorted, and the home page, beside plain Datasette's."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

from benchmarks import documents
from benchmarks.load import Load, alternate, together
from benchmarks.requests import failures
from benchmarks.rows import Row
from benchmarks.workspace import DATASETTE, OURS, Workspace

FACETS = ("product", "persona", "language", "enabled")
SORTS = ("id", "job_name", "product", "language", "created_at", "updated_at")
REQUESTS = 5
ROUNDS = 2


def measure(work: Workspace) -> Iterator[Row]:
    """Each page alone; the first one also as the issue of speed asks for it."""
    note, pages = "", {}
    for query in queries():
        pages[query] = alone(work, f"/campaigns/jobs?{query}", f"/copy/jobs?{query}")
        note = note or failures(pages[query])
    german = urlencode({"language": documents.FILTERS["language"]})
    name = "table page, ?language=German"
    yield versus(name, pages[german], least_ratio=2, note=note)
    slowest = max(pages, key=lambda query: together(pages[query][OURS]).median)
    name = "table page by any facet or sort, the slowest"
    yield versus(name, pages[slowest], limit=150, note=slowest)
    compared = {query: versus("", loads).ratio for query, loads in pages.items()}
    ratios = {query: ratio for query, ratio in compared.items() if ratio is not None}
    least = min(ratios, key=ratios.__getitem__)
    name = "table page by any facet or sort, the least ratio"
    yield versus(name, pages[least], least_ratio=2, note=least)
    yield versus("home page, beside one database's page", alone(work, "/", "/copy"))


def queries() -> Iterator[str]:
    """Filters by a common and a rare value, and both directions of the sorts."""
    for column in FACETS:
        yield urlencode({column: documents.FILTERS[column]})
    for column in FACETS[:-1]:
        yield urlencode({column: documents.RARE_VALUE})
    for column in SORTS:
        yield f"_sort={column}"
    yield "_sort_desc=job_name"
    yield "_sort_desc=updated_at"


def alone(work: Workspace, ours: str, datasette: str) -> dict[str, list[Load]]:
    targets = work.targets(lambda _: ("GET", ours), datasette=lambda _: datasette)
    return alternate(
        targets, seconds=work.seconds, connections=1, requests=REQUESTS, rounds=ROUNDS, warm_up=1
    )


def versus(
    name: str,
    loads: dict[str, list[Load]],
    *,
    least_ratio: float | None = None,
    limit: float | None = None,
    note: str = "",
) -> Row:
    ours, theirs = together(loads[OURS]), together(loads[DATASETTE])
    others = theirs.median if theirs.delays else None
    return Row(name, ours.median, "ms", "less", DATASETTE, others, least_ratio, limit, note)
