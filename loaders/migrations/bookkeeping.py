"""What every one of our databases has beside its own tables."""

from __future__ import annotations

import sqlite3

from loaders.times import NOW_SQL

# The one row says who is writing and whether triggers rest while rows are loaded in bulk. Both are
# set and cleared within one transaction, so nobody else ever sees them.
CREATE_WRITE_CONTEXT = """
create table write_context (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  actor TEXT,
  paused INTEGER NOT NULL DEFAULT 0,
  vacuum_pending INTEGER NOT NULL DEFAULT 0
)
"""

KEEP_WRITE_CONTEXT = """
create trigger write_context_bd before delete on write_context
begin
  select raise(abort, 'write_context: its row must stay, or the triggers lose count');
end
"""

CREATE_SET_ASIDE = f"""
create table set_aside (
  id INTEGER PRIMARY KEY,
  table_name TEXT NOT NULL,
  row_key TEXT,
  reason TEXT NOT NULL,
  content TEXT,
  at TEXT NOT NULL DEFAULT ({NOW_SQL})
)
"""

SET_ASIDE = """
insert into set_aside (table_name, row_key, reason, content)
values (:table_name, :row_key, :reason, :content)
"""


def create_bookkeeping(connection: sqlite3.Connection) -> None:
    """The tables `write_context` and `set_aside`."""
    connection.execute(CREATE_WRITE_CONTEXT)
    connection.execute("insert into write_context (id) values (1)")
    connection.execute(KEEP_WRITE_CONTEXT)
    connection.execute(CREATE_SET_ASIDE)
