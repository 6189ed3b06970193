"""How far long work has come, told to whoever shows it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[int, int], None]  # how much is done, and of how much

STEPS_AT_ONCE = 50_000


def portion(progress: Progress | None, begin: float, end: float) -> Progress | None:
    """What to tell of work that takes another from `begin` to `end`, both between 0 and 1."""
    if progress is None:
        return None
    tell = progress
    return lambda done, total: tell(round(total * begin + done * (end - begin)), total)


@contextmanager
def steps_told(
    connection: sqlite3.Connection, expected: int, progress: Progress | None
) -> Iterator[None]:
    """Tell of the steps that SQLite takes meanwhile, of which there are about `expected`."""
    if progress is None:
        yield
        return
    tell, taken = progress, 0

    def tick() -> None:
        nonlocal taken
        taken = min(taken + STEPS_AT_ONCE, expected)
        tell(taken, expected)

    connection.set_progress_handler(tick, STEPS_AT_ONCE)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)
    tell(expected, expected)
