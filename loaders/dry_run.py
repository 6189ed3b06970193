"""`--dry-run`: the work itself, in a transaction that is rolled back."""

from __future__ import annotations

import sqlite3


class Rehearsal:
    """A transaction around the work that is rolled back at its end when it is only a rehearsal."""

    def __init__(self, connection: sqlite3.Connection, dry_run: bool) -> None:
        self.connection = connection
        self.dry_run = dry_run

    def __enter__(self) -> None:
        if self.dry_run:
            self.connection.execute("begin immediate")

    def __exit__(self, *_: object) -> None:
        if self.dry_run:
            self.connection.rollback()
