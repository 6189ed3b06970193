"""Errors of the domain and of requests as HTTP statuses, in Datasette's shape.

Errors that Datasette itself makes get theirs in plugins/errors.py and plugins/api_errors.py.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping

from loaders.errors import (
    Conflict,
    DomainError,
    FileChanged,
    Locked,
    NotFound,
    TooLarge,
    describe_error,
)

MAX_MESSAGES = 100
RETRY = {"Retry-After": "1"}
LOCKED = "The database is locked by another program: try again"
STATUSES: dict[type[DomainError], int] = {
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    Locked: 503,
    FileChanged: 503,
}


FILE_ERRORS = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_READONLY,
    }
)


class RequestError(Exception):
    """A response other than success, for matters of HTTP such as 401, 405, 412 or 415."""

    def __init__(
        self, status: int, messages: str | Iterable[str], headers: Mapping[str, str] | None = None
    ) -> None:
        self.status = status
        self.messages = [messages] if isinstance(messages, str) else list(messages)
        self.headers = dict(headers or {})
        super().__init__("; ".join(self.messages))


# What reading and writing may raise. Rows of other programs may hold more than Python can read.
FAILURES = (RequestError, sqlite3.Error, ValueError, RecursionError, OverflowError, MemoryError)
TOO_MUCH_MEMORY = "The server has no memory for this now: try again, or ask for less"


def request_error(error: Exception) -> RequestError:
    """The response to one of `FAILURES`."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, DomainError):
        return domain_error(error)
    if isinstance(error, MemoryError):
        return RequestError(503, TOO_MUCH_MEMORY, RETRY)
    if not isinstance(error, sqlite3.Error):
        return RequestError(400, f"This cannot be read or stored as JSON: {error}")
    if "locked" in str(error) or "busy" in str(error):
        return RequestError(503, LOCKED, RETRY)
    if "interrupted" in str(error):
        return RequestError(503, "The time limit for a query was exceeded", RETRY)
    return RequestError(503, f"The database {describe_error(error)}", RETRY)


def is_file_error(error: Exception) -> bool:
    """True if the file of a database cannot be read or written, whatever is asked of it."""
    errors = (error, error.__cause__, error.__context__)  # Datasette raises others from some
    codes = [getattr(one, "sqlite_errorcode", 0) or 0 for one in errors]
    return any(code & 0xFF in FILE_ERRORS for code in codes)


def domain_error(error: DomainError) -> RequestError:
    """404, 409 or 503 (with Retry-After) by the type of the error, else 400."""
    status = next((code for kind, code in STATUSES.items() if isinstance(error, kind)), 400)
    messages = [LOCKED] if isinstance(error, Locked) else limited(error.messages)
    return RequestError(status, messages, RETRY if status == 503 else None)


def limited(messages: list[str]) -> list[str]:
    if len(messages) <= MAX_MESSAGES:
        return messages
    return [*messages[:MAX_MESSAGES], f"and {len(messages) - MAX_MESSAGES:,} more"]


def error_text(messages: Iterable[str], status: int) -> str:
    """The JSON body of an error, whatever the messages quote."""
    texts = [message.encode(errors="replace").decode() for message in messages]
    document = {"ok": False, "error": "; ".join(texts), "errors": texts, "status": status}
    return json.dumps(document, ensure_ascii=False)
