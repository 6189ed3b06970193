"""Rules of the sign-in page: where it may send people, and how often they may fail."""

from __future__ import annotations

import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from urllib.parse import quote

SESSION_SECONDS = 14 * 24 * 3600
FAILURES_ALLOWED = 5
WINDOW_SECONDS = 60
MOST_ADDRESSES = 10_000

# Browsers read `\` as `/` and drop tabs and line breaks, so `/\host` and `/<tab>/host` leave.
LOCAL_PATH = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")


def local_path(target: str, otherwise: str = "/") -> str:
    """`target` when it is a path on this very server, else `otherwise`; ASCII, fit for a header."""
    if not LOCAL_PATH.fullmatch(target):
        return otherwise
    return quote(target.encode(errors="replace"), safe="/%?#&=+:;,@!$'()*[]~-._")


class Throttle:
    """Counts failures for each client address; forgets them after a minute, in bounded memory."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def seconds_to_wait(self, address: str) -> int:
        """0 when this address may try now, else whole seconds until it may."""
        failures = self._failures.get(address)
        if failures is None or len(failures) < FAILURES_ALLOWED:
            return 0
        left = failures[0] + WINDOW_SECONDS - self._clock()
        return max(0, int(left) + 1) if left > 0 else 0

    def failed(self, address: str) -> None:
        failures = self._failures.setdefault(address, deque(maxlen=FAILURES_ALLOWED))
        failures.append(self._clock())
        self._failures.move_to_end(address)
        while len(self._failures) > MOST_ADDRESSES:
            self._failures.popitem(last=False)
