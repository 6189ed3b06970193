"""`just bench`: every measurement of one run, printed as one table and written as JSON.

Rates differ from machine to machine; ratios of two of them, taken in turn, do much less. A run uses
two processors, also on machines with more.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import files, lists, pages, requests, rows, server, snapshots, triggers, upgrade
from benchmarks.peers import POCKETBASE
from benchmarks.rows import Row
from benchmarks.workspace import Workspace

ROOT = Path(__file__).parent.parent
README, DOCUMENT = ROOT / "README.md", ROOT / "docs" / "performance.md"
RESULTS = ROOT / "benchmarks" / "results.json"
PROCESSORS = 2
MAX_LOAD = 0.5

# What the README shows.
HEADLINES = {
    "read one",
    "list 20, newest first",
    "create one, answered when on disk",
    "claim",
    "filtered list alone, the slowest, p95",
    "search alone, table page, newest first, p95",
    "table page, ?language=German",
    "import NDJSON, empty table",
    "export NDJSON",
    "import snapshots, CSV",
    "start to first response",
}

# In this order: what needs the files for itself comes before the servers that share them.
SUBJECTS: dict[str, Callable[[Workspace], Iterator[Row]]] = {
    "imports": files.imports,
    "exports": files.exports,
    "snapshots": snapshots.measure,
    "start": server.start,
    "memory": server.memory_growth,
    "requests": requests.measure,
    "filters": lists.filters,
    "searches": lists.searches,
    "pages": pages.measure,
    "triggers": triggers.measure,
    "upgrade": upgrade.measure,
}


@dataclass
class Report:
    """The rows of a run, and what is missing: peers, and measurements that failed."""

    jobs: int
    snapshots: int
    rows: list[Row] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    load: float = field(default_factory=lambda: os.getloadavg()[0])  # of the machine, before

    def as_dict(self) -> dict[str, Any]:
        return {
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "jobs": self.jobs,
            "snapshots": self.snapshots,
            "load": round(self.load, 1),
            "versions": {
                "python": platform.python_version(),
                "sqlite": sqlite3.sqlite_version,
                "datasette": version("datasette"),
                "pocketbase": POCKETBASE,
            },
            "missing": self.missing,
            "failed": self.failed,
            "rows": [row.as_dict() for row in self.rows],
        }


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    use_two_processors()
    with tempfile.TemporaryDirectory(prefix="dailies-bench-", ignore_cleanup_errors=True) as folder:
        workspace = Workspace(Path(folder), options.jobs, options.snapshots, options.seconds)
        report = run(workspace, options.only)
    print(rows.table(report.rows))
    print("\n".join(remarks(report)), file=sys.stderr)
    save(report.as_dict(), options)
    return 1 if report.failed else 0


def remarks(report: Report) -> Iterator[str]:
    yield from dict.fromkeys(f"{row.name}: {row.note}" for row in report.rows if row.note)
    yield from differences(report)
    if report.load > MAX_LOAD:
        yield f"the machine was busy before (load {report.load:.1f}): these numbers are too low"
    yield from (f"missing: {line}" for line in report.missing)
    yield from (f"failed: {line}" for line in report.failed)


def differences(report: Report) -> Iterator[str]:
    """The ratios that differ by more than a third from the last complete run of this size."""
    last = json.loads(RESULTS.read_text())
    if (last["jobs"], last["snapshots"]) != (report.jobs, report.snapshots):
        return
    ratios = {(row["name"], row["peer"]): row["ratio"] for row in last["rows"]}
    for row in report.rows:
        before = ratios.get((row.name, row.peer))
        if before and row.ratio and not 3 / 4 <= row.ratio / before <= 4 / 3:
            ratios_of_both = f"{rows.shown(row.ratio)}, was {rows.shown(before)}"
            yield f"differs by more than a third: {row.name}, {row.peer}: {ratios_of_both}"


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="just bench", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--snapshots", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each round of requests")
    parser.add_argument(
        "--only", metavar="WORD", action="append", choices=[*SUBJECTS], help=", ".join(SUBJECTS)
    )
    parser.add_argument("--json", type=Path, help="where to write the results as JSON")
    parser.add_argument("--no-docs", action="store_true", help="leave README and docs as they are")
    return parser.parse_args(arguments)


def use_two_processors() -> None:
    """PocketBase uses all that there are; ratios of machines could not be compared."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:PROCESSORS])


def run(workspace: Workspace, only: list[str] | None = None) -> Report:
    """Measure the subjects, all of them by default; one that fails does not stop the others."""
    report = Report(workspace.jobs, workspace.snapshots, missing=workspace.missing)
    try:
        for name in only or SUBJECTS:
            with failures_noted(report, name):
                for row in SUBJECTS[name](workspace):
                    print(f"  {row}", file=sys.stderr, flush=True)
                    report.rows.append(row)
    finally:
        with failures_noted(report, "ending the servers"):
            workspace.stack.close()
    return report


@contextmanager
def failures_noted(report: Report, name: str) -> Iterator[None]:
    print(f"{name} ...", file=sys.stderr, flush=True)
    began = time.monotonic()
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever failed, the others are measured
        report.failed.append(f"{name}: {type(error).__name__}: {error}")
    print(f"  ({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)


def save(report: dict[str, Any], options: argparse.Namespace) -> None:
    """The results as JSON, and the tables of a complete run made of them."""
    complete = not options.only
    path = options.json or (RESULTS if complete and not options.no_docs else None)
    if path is not None:
        path.write_text(json.dumps(report, indent=2) + "\n")
    if complete and not options.no_docs:
        for document, text in documents(report).items():
            rows.write_between_marks(document, text)


def documents(report: dict[str, Any]) -> dict[Path, str]:
    """The tables of the README and of docs/performance.md."""
    found = [rows.from_dict(row) for row in report["rows"]]
    title = f"{report['jobs']:,} jobs"
    notes = [f"- {row.name}: {row.note}" for row in found if row.note]
    notes += [f"- Missing: {line}" for line in report["missing"]]
    notes += [f"- Failed: {line}" for line in report["failed"]]
    return {
        README: rows.table((row for row in found if row.name in HEADLINES), title),
        DOCUMENT: "\n".join([rows.table(found, title), "", *dict.fromkeys(notes)]).rstrip(),
    }


if __name__ == "__main__":
    sys.exit(main())
