"""SQLite's own examination of a file, told apart into damage and what is only against a rule."""

from __future__ import annotations

import sqlite3

MOST_MESSAGES = 20
# A row of an old file may break the constraints of its own table, written before they were or past
# them; a search index out of step is rebuilt. Neither keeps a file from being read.
HARMLESS = ("check constraint failed in", "null value in")


def damage(connection: sqlite3.Connection, quick: bool = False) -> list[str]:
    """What is broken in the file itself; empty for a sound one."""
    pragma = "quick_check" if quick else "integrity_check"
    messages = connection.execute(f"pragma {pragma}({MOST_MESSAGES * 50})")
    return [message for (message,) in messages if is_damage(message)][:MOST_MESSAGES]


def is_damage(message: str) -> bool:
    text = message.lower()
    return text != "ok" and "fts5" not in text and not text.startswith(HARMLESS)


def fault(error: sqlite3.DatabaseError) -> str:
    """What is wrong with a file that SQLite could not read: `is in use ...` or `is damaged ...`."""
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
        return "is in use by another program, which may be upgrading it"
    return f"is damaged ({error})"
