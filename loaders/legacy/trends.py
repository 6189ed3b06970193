"""Takes over a `trends` file of seed 003's system: every row stays as it is."""

from __future__ import annotations

import sqlite3

from loaders.legacy.tables import drop_search, renew


def upgrade(connection: sqlite3.Connection) -> None:
    """Give the old tables today's defaults; the trigger that calls itself for ever goes."""
    connection.execute("drop trigger if exists update_trending_topics_timestamp")
    drop_search(connection, "trending_topics")
    for table in ("trending_topics", "search_history"):
        renew(connection, table)
