"""Upgrades an `image_library` file of seed 003's system.

Every image stays as it is, whether its file exists or not. Uses and collection entries of images
that no longer exist are set aside.
"""

from __future__ import annotations

import sqlite3

from loaders.legacy.tables import rebuilding, set_rows_aside
from loaders.migrations import script

# Table, its key, the column that refers to a parent, the parent.
REFERENCES = (
    ("image_usage", ("id",), "image_id", "image_library"),
    ("collection_images", ("collection_id", "image_id"), "collection_id", "image_collections"),
    ("collection_images", ("collection_id", "image_id"), "image_id", "image_library"),
)


def upgrade(connection: sqlite3.Connection) -> None:
    with rebuilding(connection, "image_library"):
        for table, key, column, parent in REFERENCES:
            orphans = f"{column} not in (select id from {parent})"  # noqa: S608
            set_rows_aside(connection, table, key, orphans, f"its row of {parent} is gone")
    script.execute(connection, script.statements("image_library", "rebuild"))
