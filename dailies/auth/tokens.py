"""API tokens: create, verify, list and revoke them.

A token is 256 random bits, of which only the SHA-256 is stored, in a file that only its owner may
read. It belongs to an actor and may limit what that actor may do, never extend it. Each request
looks it up: expiry and revocation take effect at once. So do sessions, which are stored beside
the tokens that they were opened with.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dailies.auth.secrets import create_private_file, private_path
from loaders.connections import BUSY_TIMEOUT_MS
from loaders.database_file import identity_of, open_read_only

PREFIX = "dly_"
STORE = "tokens.db"
JOB_ACTIONS = ("create-job", "update-job", "delete-job")
MAX_ACTOR_LENGTH = 200
MAX_SECONDS = 100 * 366 * 24 * 3600

Actor = dict[str, Any]

CREATE_TOKENS = """
create table if not exists tokens (
  id text primary key,
  hash blob not null unique,
  actor text not null,
  can text not null,
  created_at integer not null,
  expires_at integer,
  revoked_at integer
) strict
"""
CREATE_SESSIONS = """
create table if not exists sessions (
  id text primary key,
  token text not null,
  expires_at integer not null
) strict
"""

_local = threading.local()


class InvalidTokenError(ValueError):
    """A token or session that is unknown, expired or revoked."""


@dataclass(frozen=True)
class Token:
    """A stored token, without the token itself. Times are seconds since the epoch."""

    id: str
    actor: str
    can: tuple[str, ...]
    created_at: int
    expires_at: int | None
    revoked_at: int | None

    def check(self, now: float) -> None:
        """Raise InvalidTokenError if it is revoked or expired, or its expiry is not a number."""
        if self.revoked_at is not None:
            raise InvalidTokenError("This token has been revoked")
        if self.expires_at is None:
            return
        if not isinstance(self.expires_at, int) or now >= self.expires_at:
            raise InvalidTokenError("This token has expired")

    def as_actor(self) -> Actor:
        """The actor as Datasette expects it; `_r` has the actions that the token is limited to."""
        actor: Actor = {"id": self.actor, "token": self.id}
        if self.can:
            actor["_r"] = {"a": list(self.can)}
        return actor


def create(
    actor: str, can: Iterable[str] = (), expires_after: int | None = None
) -> tuple[str, str]:
    """Create a token for `actor`; return its id and the token, which is not stored.

    `can` limits it to these actions, `expires_after` to so many seconds. ValueError for an invalid
    actor, action or lifetime.
    """
    limits = tuple(dict.fromkeys(can))
    check_actor(actor)
    check_actions(limits)
    check_lifetime(expires_after)
    now = int(time.time())
    token_id, token = secrets.token_hex(8), PREFIX + secrets.token_urlsafe(32)
    row = {
        "id": token_id,
        "hash": hash_of(token),
        "actor": actor,
        "can": " ".join(limits),
        "created_at": now,
        "expires_at": None if expires_after is None else now + expires_after,
    }
    connection = connect_store()
    try:
        connection.execute(
            """
            insert into tokens (id, hash, actor, can, created_at, expires_at)
            values (:id, :hash, :actor, :can, :created_at, :expires_at)
            """,
            row,
        )
    finally:
        connection.close()
    return token_id, token


def verify(token: str) -> Actor:
    """The actor of `token`; InvalidTokenError if it is not valid."""
    return valid_actor("hash = ?", hash_of(token))


def verify_id(token_id: str) -> Actor:
    """The actor of the token with this id. Raises InvalidTokenError as `verify` does."""
    return valid_actor("id = ?", token_id)


def start_session(token_id: str, seconds: int) -> str:
    """Store a session opened with this token, which lasts so long; return its id."""
    session, now = secrets.token_hex(16), int(time.time())
    with closing(connect_store()) as connection:
        connection.execute("delete from sessions where expires_at <= ?", [now])
        connection.execute(
            "insert into sessions values (?, ?, ?)", [session, token_id, now + seconds]
        )
    return session


def end_session(session: str) -> None:
    with closing(connect_store()) as connection:
        connection.execute("delete from sessions where id = ?", [session])


def verify_session(session: str | None, token_id: str) -> Actor:
    """The actor of a session; InvalidTokenError if it has ended or its token is not valid."""
    actor = verify_id(token_id)
    connection = reading_connection()
    values = (session, token_id, int(time.time()))
    if connection is None or not connection.execute(FIND_SESSION, values).fetchone():
        raise InvalidTokenError("This session has ended: sign in again")
    return actor


def revoke(token_id: str) -> None:
    """Revoke a token and end every session opened with it; ValueError if there is no such id."""
    connection = connect_store()
    try:
        changed = connection.execute(
            "update tokens set revoked_at = coalesce(revoked_at, ?) where id = ?",
            (int(time.time()), token_id),
        ).rowcount
    finally:
        connection.close()
    if not changed:
        raise ValueError(f'no token has the id "{token_id}"')


def list_tokens() -> list[Token]:
    """Every token, the revoked ones too, oldest first."""
    connection = reading_connection()
    if connection is None:
        return []
    rows = connection.execute(f"{SELECT_TOKENS} order by created_at, rowid")
    return [token_from(row) for row in rows]


FIND_SESSION = "select 1 from sessions where id = ? and token = ? and expires_at > ?"
SELECT_TOKENS = "select id, actor, can, created_at, expires_at, revoked_at from tokens"


def valid_actor(condition: str, value: str | bytes) -> Actor:
    connection = reading_connection()
    row = (
        connection and connection.execute(f"{SELECT_TOKENS} where {condition}", (value,)).fetchone()
    )
    if not row:
        raise InvalidTokenError("This token is not known here")
    token = token_from(row)
    token.check(time.time())
    return token.as_actor()


def token_from(row: tuple[Any, ...]) -> Token:
    token_id, actor, can, created_at, expires_at, revoked_at = row
    return Token(token_id, actor, tuple(can.split()), created_at, expires_at, revoked_at)


def hash_of(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


def check_actor(actor: str) -> None:
    if (
        not actor
        or len(actor) > MAX_ACTOR_LENGTH
        or not actor.isprintable()
        or actor != actor.strip()
    ):
        raise ValueError(f"an actor is a name of 1 to {MAX_ACTOR_LENGTH} printable characters")


def check_actions(actions: tuple[str, ...]) -> None:
    known = known_actions()
    for action in actions:
        if action not in known:
            raise ValueError(f'there is no action "{action}": choose from {", ".join(known)}')


def check_lifetime(seconds: int | None) -> None:
    if seconds is not None and (
        not isinstance(seconds, int) or isinstance(seconds, bool) or seconds <= 0
    ):
        raise ValueError("a token expires after a whole number of seconds, at least 1")
    if seconds is not None and seconds > MAX_SECONDS:
        raise ValueError("a token lives for 100 years at most: leave the expiry out instead")


def known_actions() -> tuple[str, ...]:
    """The actions that a token can be limited to: ours, then Datasette's."""
    from dailies.datasette_compat import core_actions  # here: it is slow to load

    return JOB_ACTIONS + core_actions()


def connect_store() -> sqlite3.Connection:
    """Connect to the store to write to it; create it if it is missing."""
    connection = open_store(create_private_file(STORE))
    try:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        connection.execute(CREATE_TOKENS)
        connection.execute(CREATE_SESSIONS)
    except BaseException:
        connection.close()
        raise
    return connection


def reading_connection() -> sqlite3.Connection | None:
    """This thread's connection to the store; None if there is no store.

    It is opened again after the file was replaced: tokens of a deleted store are invalid.
    """
    path = private_path(STORE)
    identity = identity_of(path)
    if identity is None:
        return None
    if getattr(_local, "identity", None) != identity:
        _local.open = OpenStore(connect_to_read(path))
        _local.identity = identity
    connection: sqlite3.Connection = _local.open.connection
    return connection


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Connect with all tables there, or for reading alone where nothing can be written."""
    try:
        return connect_store()
    except (OSError, sqlite3.OperationalError):
        return open_read_only(path)


class OpenStore:
    """A connection that is closed when its thread ends."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def __del__(self) -> None:
        self.connection.close()


def open_store(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None)
