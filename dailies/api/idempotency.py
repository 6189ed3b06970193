"""Idempotency-Key: a retry within 24 hours gets the response to the first request.

A response is stored in the transaction of its write, so that both are on the disk or neither is.
Errors of the write are stored as well; errors found before it, such as a bad body, are not.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from dailies.api.responses import JSONResponse, error_response
from dailies.errors import RequestError, request_error
from loaders.errors import DomainError, Invalid, Locked
from loaders.times import format_instant, now

LIFETIME = timedelta(hours=24)
KEY = re.compile(r"[\x20-\x7e]{1,255}", re.ASCII)

FIND = """
select fingerprint, status, headers, body
from idempotency_keys
where actor = :actor
  and key = :key
"""

STORE = """
insert into idempotency_keys (actor, key, fingerprint, status, headers, body, at)
values (:actor, :key, :fingerprint, :status, :headers, :body, :at)
"""

DELETE_EXPIRED = "delete from idempotency_keys where at < :before"

Write = Callable[[sqlite3.Connection], JSONResponse]


class Repeatable(NamedTuple):
    """A request with a key, and the digest of its content."""

    actor: str
    key: str
    fingerprint: str


def repeatable(key: str | None, actor: str | None, *content: str | bytes) -> Repeatable | None:
    """The request with this content, if it has a key."""
    check_key(key)
    if key is None:
        return None
    digest = hashlib.sha256()
    for part in content:
        part = part.encode() if isinstance(part, str) else part
        digest.update(len(part).to_bytes(8, "big") + part)
    return Repeatable(actor or "", key, digest.hexdigest())


def check_key(key: str | None) -> None:
    if key is not None and not KEY.fullmatch(key):
        raise Invalid("Idempotency-Key: must be 1 to 255 printable ASCII characters")


def once(request: Repeatable | None, write: Write) -> Write:
    """`write`, or a function that returns the stored response to the same request."""
    if request is None:
        return write

    def write_once(connection: sqlite3.Connection) -> JSONResponse:
        connection.execute(DELETE_EXPIRED, {"before": format_instant(datetime.now(UTC) - LIFETIME)})
        if earlier := find(connection, request):
            return earlier
        response = attempt(connection, write)
        values = {
            **request._asdict(),
            "status": response.status,
            "headers": json.dumps(dict(response.headers)),
            "body": response.text,
            "at": now(),
        }
        connection.execute(STORE, values)
        return response

    return write_once


def find(connection: sqlite3.Connection, request: Repeatable) -> JSONResponse | None:
    row = connection.execute(FIND, request._asdict()).fetchone()
    if row is None:
        return None
    fingerprint, status, headers, body = row
    if fingerprint != request.fingerprint:
        raise RequestError(422, "Idempotency-Key: this key was used for another request")
    return JSONResponse(status, body, json.loads(headers))


def attempt(connection: sqlite3.Connection, write: Write) -> JSONResponse:
    """The response of `write`; an error is rolled back and becomes a response."""
    connection.execute("savepoint attempt")
    try:
        response = write(connection)
    except Locked:
        raise  # the retry may succeed
    except (RequestError, DomainError) as error:
        connection.execute("rollback to attempt")
        response = error_response(request_error(error))
    connection.execute("release attempt")
    return response
