"""Report the progress of long work to a callback."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[int, int], None]  # called with the amount done and the total

STEPS_AT_ONCE = 50_000


def portion(progress: Progress | None, begin: float, end: float) -> Progress | None:
    """The callback for work that is a part of other work: from `begin` to `end`, of 0 to 1."""
    if progress is None:
        return None
    report = progress
    return lambda done, total: report(round(total * begin + done * (end - begin)), total)


@contextmanager
def report_steps(
    connection: sqlite3.Connection, expected: int, progress: Progress | None
) -> Iterator[None]:
    """Report the steps of SQLite's virtual machine within, about `expected` of them."""
    if progress is None:
        yield
        return
    report, taken = progress, 0

    def tick() -> None:
        nonlocal taken
        taken = min(taken + STEPS_AT_ONCE, expected)
        report(taken, expected)

    connection.set_progress_handler(tick, STEPS_AT_ONCE)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)
    report(expected, expected)
