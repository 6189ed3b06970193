"""Errors that callers tell apart. All are ValueError, so bad input needs one `except`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


class DuplicateKeyError(sqlite3.IntegrityError, ValueError):
    """A row with this key exists already."""


class RuleError(ValueError):
    """A value that the database refuses; the message names table, column and rule."""


@contextmanager
def refusals(what: str) -> Iterator[None]:
    """Turn SQLite's refusal of a write into the error above that says what it is about."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        message = str(error)
        if message.startswith("UNIQUE constraint failed"):
            raise DuplicateKeyError(f"{what} already exists") from error
        raise RuleError(message) from error
