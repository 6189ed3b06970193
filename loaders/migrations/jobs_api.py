"""What the jobs API keeps in the databases of jobs, beside the jobs themselves."""

from __future__ import annotations

import sqlite3

# An answer is kept with the write that it tells of, in the same transaction.
CREATE_IDEMPOTENCY_KEYS = """
create table idempotency_keys (
  actor TEXT NOT NULL,
  key TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  status INTEGER NOT NULL,
  headers TEXT NOT NULL,
  body TEXT NOT NULL,
  at TEXT NOT NULL,
  PRIMARY KEY (actor, key)
)
"""

# Numbers of changes count anew in another file: tokens name the file as well as the number.
CREATE_CHANGE_STREAM = """
create table change_stream (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  epoch TEXT NOT NULL
)
"""

RENEW_EPOCH = """
insert or replace into change_stream (id, epoch)
values (1, lower(hex(randomblob(4))))
"""


def create_api_tables(connection: sqlite3.Connection) -> None:
    """The tables `idempotency_keys` and `change_stream`."""
    connection.execute(CREATE_IDEMPOTENCY_KEYS)
    connection.execute("create index idx_idempotency_keys_at on idempotency_keys (at)")
    connection.execute(CREATE_CHANGE_STREAM)
    connection.execute(RENEW_EPOCH)
