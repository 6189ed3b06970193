"""The settings of uvicorn, which Datasette starts."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import resource
import sys
from typing import Any

import uvicorn
import uvloop

from dailies.http.clients import trusted_proxies
from dailies.http.logs import CONFIGURATION, LogStream
from dailies.http.protocol import MAX_CONNECTIONS, LimitedProtocol

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # of malloc.h
FILES_BESIDE = 512  # database files of all threads, at most


class Config(uvicorn.Config):
    """uvicorn's configuration with our limits, our log, and no trust in anybody's headers."""

    def __init__(self, app: Any, **options: Any) -> None:
        ours = {
            "http": LimitedProtocol,
            "ws": "none",
            "access_log": False,
            "log_config": CONFIGURATION,
            "forwarded_allow_ips": trusted_proxies(),
            "server_header": False,
        }
        super().__init__(app, **{**options, **ours})
        sys.stderr = LogStream()
        logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def use_limits() -> None:
    """Have Datasette start uvicorn with `Config`, on a faster event loop than Python's own."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    allow_files(MAX_CONNECTIONS + FILES_BESIDE)
    return_memory()
    uvicorn.Config = Config  # type: ignore[assignment,misc]


def return_memory() -> None:
    """Have glibc return the memory of large values at once, rather than keep it for each thread."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(M_MMAP_THRESHOLD, 1_000_000)
        mallopt(M_ARENA_MAX, 2)


def allow_files(number: int) -> None:
    """Raise this process's limit of open files, if it is lower and may be raised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number if hard == resource.RLIM_INFINITY else min(number, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
