"""Sessions and the rules of the sign-in page.

A session is stored on the server, and looked up at every request with the token that it was opened
with: signing out ends it, revoking the token too. The signed cookie names both.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from urllib.parse import quote

from datasette import Request, Response
from datasette.app import Datasette

from dailies.auth import tokens
from dailies.auth.tokens import Actor, InvalidTokenError
from dailies.datasette_compat import read_session, signed_session

COOKIE = "ds_actor"
SESSION_SECONDS = 14 * 24 * 3600
FAILURES_ALLOWED = 5
WINDOW_SECONDS = 60
MAX_ADDRESSES = 10_000

# Browsers read `\` as `/` and drop tabs and line breaks: `/\host` and `/<tab>/host` are elsewhere.
LOCAL_PATH = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")


def local_path(target: str, otherwise: str = "/") -> str:
    """`target` if it is a path on this server, else `otherwise`; ASCII, as headers need it."""
    if not LOCAL_PATH.fullmatch(target):
        return otherwise
    return quote(target.encode(errors="replace"), safe="/%?#&=+:;,@!$'()*[]~-._")


def start_session(datasette: Datasette, request: Request, response: Response, actor: Actor) -> None:
    """Store a session in place of the one that the request came with."""
    end_session(datasette, request)
    session = tokens.start_session(actor["token"], SESSION_SECONDS)
    response.set_cookie(
        COOKIE,
        signed_session(datasette, actor, session, SESSION_SECONDS),
        max_age=SESSION_SECONDS,
        secure=request.scheme == "https" or bool(datasette.setting("force_https_urls")),
        httponly=True,
        samesite="lax",
    )


def end_session(datasette: Datasette, request: Request) -> None:
    found = read_session(datasette, request.cookies.get(COOKIE, ""))
    if found and found[1]:
        tokens.end_session(found[1])


def delete_cookie(response: Response) -> None:
    response.set_cookie(COOKIE, "", expires=0, max_age=0, httponly=True)


def reason_session_ended(datasette: Datasette, request: Request) -> str | None:
    """Why the session is invalid; None if it is valid or there is no session."""
    found = read_session(datasette, request.cookies.get(COOKIE, ""))
    if found is None or "token" not in found[0]:
        return None
    actor, session = found
    try:
        tokens.verify_session(session, str(actor["token"]))
    except InvalidTokenError as error:
        return str(error)
    return None


class Throttle:
    """Counts failed attempts of the last minute for each client address, in bounded memory."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def seconds_to_wait(self, address: str) -> int:
        """0 if this address may try now, else whole seconds until it may."""
        failures = self._failures.get(address)
        if failures is None or len(failures) < FAILURES_ALLOWED:
            return 0
        left = failures[0] + WINDOW_SECONDS - self._clock()
        return max(0, int(left) + 1) if left > 0 else 0

    def failed(self, address: str) -> None:
        failures = self._failures.setdefault(address, deque(maxlen=FAILURES_ALLOWED))
        failures.append(self._clock())
        self._failures.move_to_end(address)
        while len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)
