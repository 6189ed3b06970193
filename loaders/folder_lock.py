"""One at a time in a folder, of all threads and programs that ask; no file is left behind."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform != "win32":
    import fcntl


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Wait until nobody else is; where folders cannot be locked, go on at once.

    Do not ask again while inside: that would wait for itself.
    """
    descriptor = lock(folder)
    try:
        yield
    finally:
        if descriptor is not None:
            unlock(descriptor)


def lock(folder: Path) -> int | None:
    """A descriptor that holds the lock, which ends with the process at the latest."""
    if sys.platform == "win32":
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:  # some network file systems know no such locks
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
