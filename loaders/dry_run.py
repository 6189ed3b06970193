"""`--dry-run`: do the work in a transaction and roll it back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def dry_run_transaction(connection: sqlite3.Connection, dry_run: bool) -> Iterator[None]:
    """Roll back what the block writes if `dry_run`; do nothing otherwise.

    The block's own `transaction` joins the one opened here, so that it does not commit.
    """
    if not dry_run:
        yield
        return
    connection.execute("begin immediate")
    try:
        yield
    finally:
        connection.rollback()
