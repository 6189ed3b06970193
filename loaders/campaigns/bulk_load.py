"""Fills an empty table of jobs several times faster than its triggers would.

Triggers and indexes of `jobs` are dropped meanwhile. Afterwards `rebuild.sql` derives from all rows
at once what triggers derive for each. All of it happens within the caller's transaction, so that no
other connection ever sees the table without its triggers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from loaders import schema
from loaders.connections import has_rows
from loaders.migrations import script

SET_ACTOR = """
update job_history
set actor = :actor
where id > :last_id
"""


def is_possible(connection: sqlite3.Connection) -> bool:
    """True if there are no jobs, and no triggers of the user's that have to see each new one."""
    ours = {one.name for one in dropped_objects()}
    triggers = connection.execute(
        "select name from sqlite_master where type = 'trigger' and tbl_name = 'jobs'"
    )
    return not has_rows(connection, "jobs") and {name for (name,) in triggers} <= ours


@contextmanager
def without_triggers(connection: sqlite3.Connection, actor: str | None) -> Iterator[None]:
    """Within the block, rows of `jobs` need only `id`, `data` and times, and must be valid."""
    last_id = connection.execute("select coalesce(max(id), 0) from job_history").fetchone()[0]
    for one in dropped_objects():
        connection.execute(f"drop {one.kind} if exists {one.name}")
    yield
    script.execute(connection, script.statements("campaigns", "rebuild"))
    connection.execute(SET_ACTOR, {"actor": actor, "last_id": last_id})
    for one in dropped_objects():
        connection.execute(one.sql)


def dropped_objects() -> list[schema.SchemaObject]:
    objects = schema.reference("campaigns").values()
    return [one for one in objects if one.table == "jobs" and one.kind in ("index", "trigger")]
