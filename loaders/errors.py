"""Errors of the domain. All are ValueError, so that bad input needs one `except`.

HTTP statuses are chosen in dailies/api/responses.py, exit codes in dailies/cli/options.py.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

RULE = re.compile(r"\w+\.(?P<column>\w+): ")


class Invalid(ValueError):
    """A value or combination of values that is not allowed; the message names it."""


class NotFound(ValueError):
    """The record does not exist."""


class Conflict(ValueError):
    """The record is not in a state that allows this, or was changed by somebody else."""


class Locked(ValueError):
    """Another program holds the write lock for longer than the busy timeout."""


class DuplicateKey(Conflict, sqlite3.IntegrityError):
    """A record with this key already exists."""


@contextmanager
def translated(what: str, values: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Translate SQLite's errors on a write of the record `what` into errors of the domain.

    Triggers name the column and the rule, but cannot name the value: that is taken from `values`.
    """
    try:
        yield
    except sqlite3.IntegrityError as error:
        message = str(error)
        if message.startswith("UNIQUE constraint failed"):
            raise DuplicateKey(f"{what} already exists") from error
        raise Invalid(with_value(message, values or {})) from error
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            raise Locked("the database is locked by another program: try again") from error
        raise


def with_value(message: str, values: Mapping[str, Any]) -> str:
    """The message of a trigger, followed by the value of the column it names."""
    found = RULE.match(message)
    if not found or values.get(found["column"]) is None:
        return message
    return f"{message}, not {values[found['column']]!r}"
