"""A lock on a folder, for threads and processes; it leaves no file behind."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform != "win32":
    import fcntl


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Wait for the lock; where folders cannot be locked, go on without it. Not reentrant."""
    descriptor = lock(folder)
    try:
        yield
    finally:
        if descriptor is not None:
            unlock(descriptor)


def lock(folder: Path) -> int | None:
    """Wait for the lock; its descriptor, or None where folders cannot be locked."""
    if sys.platform == "win32":
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:  # some network file systems have no such locks
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def unlock(descriptor: int) -> None:
    if sys.platform != "win32":
        # Closing is not enough where a forked child holds the same descriptor.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)
