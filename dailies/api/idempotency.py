"""Requests that may come again: a retry gets the answer that the first one got.

An answer is kept in the transaction of the write that it tells of, so that either both are on the
disk or neither is. Refusals that a write met are answers too; those of a bad request are not.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from dailies.api.request import RefusalError
from dailies.api.responses import Answer, error_text
from loaders.times import format_instant, now

KEPT = timedelta(hours=24)
KEY = re.compile(r"[\x20-\x7e]{1,255}", re.ASCII)

FIND = """
select fingerprint, status, headers, body
from idempotency_keys
where actor = :actor
  and key = :key
"""

KEEP = """
insert into idempotency_keys (actor, key, fingerprint, status, headers, body, at)
values (:actor, :key, :fingerprint, :status, :headers, :body, :at)
"""

FORGET = "delete from idempotency_keys where at < :before"

Write = Callable[[sqlite3.Connection], Answer]


class Repeatable(NamedTuple):
    """A request that its sender gave a key, and what tells it from others of the same key."""

    actor: str
    key: str
    fingerprint: str


def repeatable(key: str | None, actor: str | None, *content: str | bytes) -> Repeatable | None:
    """The request with this content, if it has a key."""
    if key is None:
        return None
    if not KEY.fullmatch(key):
        raise RefusalError(400, "Idempotency-Key: must be 1 to 255 printable ASCII characters")
    digest = hashlib.sha256()
    for part in content:
        part = part.encode() if isinstance(part, str) else part
        digest.update(len(part).to_bytes(8, "big") + part)
    return Repeatable(actor or "", key, digest.hexdigest())


def once(request: Repeatable | None, write: Write) -> Write:
    """`write`, or in its place the answer that the same request got before."""
    if request is None:
        return write

    def write_once(connection: sqlite3.Connection) -> Answer:
        connection.execute(FORGET, {"before": format_instant(datetime.now(UTC) - KEPT)})
        if earlier := find(connection, request):
            return earlier
        answer = attempt(connection, write)
        values = {
            **request._asdict(),
            "status": answer.status,
            "headers": json.dumps(dict(answer.headers)),
            "body": answer.text,
            "at": now(),
        }
        connection.execute(KEEP, values)
        return answer

    return write_once


def find(connection: sqlite3.Connection, request: Repeatable) -> Answer | None:
    row = connection.execute(FIND, request._asdict()).fetchone()
    if row is None:
        return None
    fingerprint, status, headers, body = row
    if fingerprint != request.fingerprint:
        raise RefusalError(422, "Idempotency-Key: another request was sent with this key before")
    return Answer(status, body, json.loads(headers))


def attempt(connection: sqlite3.Connection, write: Write) -> Answer:
    """What `write` answers, be it a refusal, of which no change remains."""
    connection.execute("savepoint attempt")
    try:
        answer = write(connection)
    except RefusalError as refusal:
        connection.execute("rollback to attempt")
        answer = Answer(
            refusal.status, error_text(refusal.messages, refusal.status), refusal.headers
        )
    connection.execute("release attempt")
    return answer
