"""Upgrades a `trends` file of seed 003's system: every row stays as it is."""

from __future__ import annotations

import sqlite3

from loaders.legacy.tables import rebuilding
from loaders.migrations import script


def upgrade(connection: sqlite3.Connection) -> None:
    with rebuilding(connection, "trends"):
        pass
    script.execute(connection, script.statements("trends", "rebuild"))
