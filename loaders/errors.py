"""Errors that callers tell apart. All are ValueError, so bad input needs one `except`."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

RULE = re.compile(r"\w+\.(?P<column>\w+): ")


class DuplicateKeyError(sqlite3.IntegrityError, ValueError):
    """A row with this key exists already."""


class RuleError(ValueError):
    """A value that the database refuses; the message names table, column and rule."""


@contextmanager
def refusals(what: str, values: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Turn SQLite's refusal of a write into the error above that says what it is about.

    Triggers name the column and the rule; the value, which they cannot name, is that of `values`.
    """
    try:
        yield
    except sqlite3.IntegrityError as error:
        message = str(error)
        if message.startswith("UNIQUE constraint failed"):
            raise DuplicateKeyError(f"{what} already exists") from error
        raise RuleError(with_value(message, values or {})) from error


def with_value(message: str, values: Mapping[str, Any]) -> str:
    """The message of a trigger, with the value it is about where `values` has one."""
    found = RULE.match(message)
    if not found or values.get(found["column"]) is None:
        return message
    return f"{message}, not {values[found['column']]!r}"
