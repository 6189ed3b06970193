"""Ends the server within ten seconds of a signal, whatever clients and queries are doing.

uvicorn waits for every response, and Python for every thread, without a limit.
"""

from __future__ import annotations

import logging
import sys
import threading
from os import _exit as exit_without_waiting
from types import FrameType

import uvicorn

from dailies.api import sse

GRACE_SECONDS = 4  # for responses that are being sent
LIMIT_SECONDS = 8.5  # for everything: whatever was confirmed is on the disk

log = logging.getLogger("dailies")


class Server(uvicorn.Server):
    """uvicorn's server, which ends in time."""

    def __init__(self, config: uvicorn.Config) -> None:
        config.timeout_graceful_shutdown = GRACE_SECONDS
        super().__init__(config)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            sse.end_streams()
            watchdog = threading.Timer(LIMIT_SECONDS, end_now)
            watchdog.daemon = True
            watchdog.start()
        super().handle_exit(sig, frame)


def use() -> None:
    """Have Datasette start uvicorn with `Server`."""
    uvicorn.Server = Server  # type: ignore[misc]


def end_now() -> None:
    log.warning("A request did not end within %s seconds: ending without it", LIMIT_SECONDS)
    sys.stderr.flush()
    exit_without_waiting(0)
