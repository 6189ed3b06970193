"""Progress on a terminal, shown once the work has taken a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from loaders.progress import Progress

SHOW_AFTER = 1.0  # seconds
SHOW_EVERY = 0.1  # seconds


@contextmanager
def row_counter(label: str) -> Iterator[Callable[[int], None]]:
    """A counter of rows, for work of unknown length."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    start, count, shown = time.monotonic(), 0, 0.0

    def advance(rows: int) -> None:
        nonlocal count, shown
        count += rows
        now = time.monotonic()
        if now - start > SHOW_AFTER and now - shown > SHOW_EVERY:
            shown = now
            click.echo(f"\r{label}: {count:,} rows", nl=False, err=True)

    yield advance
    if shown:
        click.echo("", err=True)


@contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """A bar for work of known length."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    start = time.monotonic()
    bar = click.progressbar(length=1, label=label, file=sys.stderr)
    with ExitStack() as stack:

        def update(done: int, total: int) -> None:
            if time.monotonic() - start < SHOW_AFTER:
                return
            if not bar.entered:
                stack.enter_context(bar)
            bar.length = total
            bar.update(done - bar.pos)

        yield update
