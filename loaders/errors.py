"""Errors of the domain. All are ValueError, so that bad input needs one `except`.

HTTP statuses are chosen in dailies/errors.py, exit codes in dailies/cli/options.py.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Why SQLite could not read or write a file, by its result codes.
REASONS = {
    sqlite3.SQLITE_BUSY: "is in use by another program, which may be upgrading it",
    sqlite3.SQLITE_READONLY: "is read-only",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: check permissions of the file and its folder",
    sqlite3.SQLITE_FULL: "cannot be written: the disk is full",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk or its quota failed",
}
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

RULE = re.compile(r"\w+\.(?P<column>\w+): ")


class DomainError(ValueError):
    """Base of the errors below; `messages` has one entry for each fault."""

    def __init__(self, *messages: str) -> None:
        super().__init__("; ".join(messages))
        self.messages = list(messages)


class Invalid(DomainError):
    """A value or combination of values that is not allowed; the message names it."""


class NotFound(DomainError):
    """The record does not exist."""


class Conflict(DomainError):
    """The record is not in a state that allows this, or was changed by somebody else."""


class TooLarge(DomainError):
    """The record is larger than the server accepts; a trigger says so in these words."""

    WORDS = ": a job has at most "


class Locked(DomainError):
    """Another program holds the write lock for longer than the busy timeout."""


class FileChanged(DomainError):
    """The file of a database was deleted, moved or replaced while it was open."""


class DuplicateKey(Conflict, sqlite3.IntegrityError):
    """A record with this key already exists."""


def code_of(error: BaseException) -> int | None:
    """The primary result code of an error of SQLite."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def describe_error(error: sqlite3.Error) -> str:
    """What is wrong with a database file, after its name: `is damaged (...)`."""
    code = code_of(error)
    kind = "is damaged" if code in DAMAGED else "cannot be used"
    return REASONS.get(code or 0) or f"{kind} ({error})"


def for_each(items: Sequence[Item], store: Callable[[Item], Result]) -> list[Result]:
    """Results of `store` for every item; one error names every fault and its position.

    It is of the type of the faults where they are all of one type, else `Invalid`.
    """
    results: list[Result] = []
    faults: list[str] = []
    types: set[type[DomainError]] = set()
    for position, item in enumerate(items, 1):
        try:
            results.append(store(item))
        except DomainError as error:
            types.add(type(error))
            faults += [f"{position} of {len(items)}: {message}" for message in error.messages]
    if faults:
        raise (types.pop() if len(types) == 1 else Invalid)(*faults)
    return results


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
        if TooLarge.WORDS in message:
            raise TooLarge(message) from error
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
