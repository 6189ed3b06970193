"""Takes over an `image_library` file of seed 003's system.

Every image stays as it is, whether its file exists or not. Uses and collection entries of images
that are gone are set aside.
"""

from __future__ import annotations

import sqlite3

from loaders.legacy.tables import drop_search, renew, set_rows_aside

CHILDREN = {
    "image_usage": (("id",), {"image_id": "image_library"}),
    "collection_images": (
        ("collection_id", "image_id"),
        {"collection_id": "image_collections", "image_id": "image_library"},
    ),
}


def upgrade(connection: sqlite3.Connection) -> None:
    connection.execute("drop trigger if exists update_image_usage_stats")
    drop_search(connection, "image_library")
    for table, (key, parents) in CHILDREN.items():
        for column, parent in parents.items():
            set_orphans_aside(connection, table, key, column, parent)
    for table in ("image_library", "image_usage", "image_collections"):
        renew(connection, table)


def set_orphans_aside(
    connection: sqlite3.Connection, table: str, key: tuple[str, ...], column: str, parent: str
) -> None:
    if not has_tables(connection, table, parent):
        return
    set_rows_aside(
        connection,
        table,
        key,
        condition=f"not exists (select 1 from {parent} where {parent}.id = {table}.{column})",  # noqa: S608
        reason=f"its row of {parent} is gone",
    )


def has_tables(connection: sqlite3.Connection, *names: str) -> bool:
    found = {name for (name,) in connection.execute("select name from sqlite_master")}
    return found >= set(names)
