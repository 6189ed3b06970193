"""Sessions and the rules of the sign-in page.

A session is a signed cookie that names the token it was opened with, which is looked up at every
request: revoking the token ends the session too.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from urllib.parse import quote

from datasette import Request, Response
from datasette.app import Datasette
from itsdangerous import BadSignature

from dailies.auth import tokens
from dailies.auth.tokens import Actor, InvalidTokenError
from dailies.datasette_compat import signed_actor

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
    response.set_cookie(
        COOKIE,
        signed_actor(datasette, actor, SESSION_SECONDS),
        max_age=SESSION_SECONDS,
        secure=request.scheme == "https" or bool(datasette.setting("force_https_urls")),
        httponly=True,
        samesite="lax",
    )


def end_session(response: Response) -> None:
    response.set_cookie(COOKIE, "", expires=0, max_age=0, httponly=True)


def reason_session_ended(datasette: Datasette, request: Request) -> str | None:
    """Why the token of the session is invalid; None if it is valid or there is no session."""
    cookie = request.cookies.get(COOKIE)
    if not cookie:
        return None
    try:
        token_id = datasette.unsign(cookie, "actor")["a"]["token"]
    except (BadSignature, KeyError, TypeError):
        return None
    try:
        tokens.verify_session(str(token_id))
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
