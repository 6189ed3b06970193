"""Run every case and print a table: `python -m drill [WORD...] [--quick]`.

Words select the cases whose title or module contains one of them. Exits 1 when a case failed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from drill.case import Case, all_cases


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m drill", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--quick", action="store_true", help="as the tests run it")
    options = parser.parse_args()
    table = Table("what", "how often", "lost", "longest delay", "seconds", "result")
    failures = 0
    for case in selected(options.words, quick=options.quick):
        failures += not add_row(table, case, quick=options.quick)
    Console(width=140).print(table)
    return 1 if failures else 0


def selected(words: list[str], *, quick: bool) -> list[Case]:
    return [
        case
        for case in all_cases()
        if (case.in_quick or not quick)
        and (not words or any(word in f"{case.function.__module__} {case.title}" for word in words))
    ]


def add_row(table: Table, case: Case, *, quick: bool) -> bool:
    """Run one case and add what it counted; False when it failed."""
    print(f"{case.title} ...", file=sys.stderr, flush=True)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            run = case.run(Path(folder), quick=quick)
        except Exception as error:  # noqa: BLE001 - whatever broke, the other cases run
            print(f"  failed: {error}", file=sys.stderr)
            table.add_row(case.title, "", "", "", f"{time.monotonic() - start:.1f}", str(error))
            return False
    delay = f"{run.delay * 1000:.0f} ms" if run.delay else "-"
    notes = "; ".join(["ok", *run.notes])
    spent = f"{time.monotonic() - start:.1f}"
    table.add_row(case.title, str(run.tries), str(run.lost), delay, spent, notes)
    return True


if __name__ == "__main__":
    sys.exit(main())
