"""Consistent copies of a database while it is in use, verified before they get their name."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

from loaders import checks
from loaders.progress import Progress
from loaders.times import file_stamp

PAGES_AT_ONCE = 4096


def back_up(connection: sqlite3.Connection, path: Path, progress: Progress | None = None) -> Path:
    """A verified copy beside `path`, `NAME.db.backup-YYYYMMDDTHHMMSSZ`, with mode 0600."""
    return copy(connection, path.with_name(f"{path.name}.backup-{file_stamp()}"), progress)


def back_up_to(
    connection: sqlite3.Connection, folder: Path, name: str, progress: Progress | None = None
) -> Path:
    """A verified copy in `folder`, named `NAME-YYYYMMDDTHHMMSSZ.db`."""
    folder.mkdir(parents=True, exist_ok=True)
    return copy(connection, folder / f"{name}-{file_stamp()}.db", progress)


def copy_beside(path: Path, folder: Path | None = None) -> Path:
    """A copy of a file or folder beside it, or in `folder`, named like a backup."""
    target = free_name((folder or path.parent) / f"{path.name}.backup-{file_stamp()}")
    if path.is_dir():
        shutil.copytree(path, target)
    else:
        shutil.copy2(path, target)
    return target


def copy_to_keep(path: Path, other: Path) -> Path:
    """A copy beside the file or folder; in the folder `other` if that one cannot be written."""
    try:
        return copy_beside(path)
    except OSError:  # as in a folder that is read-only
        return copy_beside(path, other)


def free_name(path: Path) -> Path:
    """`path`, or that with a number appended if it exists."""
    return next(name for name in numbered(path) if not name.exists())


def numbered(path: Path) -> Iterator[Path]:
    yield path
    for number in count(2):
        yield path.with_name(f"{path.name}-{number}")


def copy(connection: sqlite3.Connection, wanted: Path, progress: Progress | None = None) -> Path:
    """Write beside `wanted`, verify, sync and rename; the name it got."""
    descriptor, name = tempfile.mkstemp(".partial", f"{wanted.name}.", wanted.parent)
    os.close(descriptor)
    partial = Path(name)
    try:
        with closing(sqlite3.connect(partial, isolation_level=None)) as destination:
            destination.execute("pragma synchronous = off")
            connection.backup(destination, pages=PAGES_AT_ONCE, progress=report_pages(progress))
            destination.execute("pragma journal_mode = delete")
            verify(connection, destination)
        sync(partial)
        target = publish(partial, wanted)
    finally:
        partial.unlink(missing_ok=True)
    sync(target.parent)
    return target


def report_pages(progress: Progress | None) -> Callable[[int, int, int], None] | None:
    return (lambda _, left, total: progress(total - left, total)) if progress else None


def publish(partial: Path, wanted: Path) -> Path:
    """Give the finished copy a name that is free, also if others publish at the same time."""
    for name in numbered(wanted):
        with suppress(FileExistsError):
            claim(name, partial)
            return name
    raise AssertionError("unreachable")


def claim(name: Path, partial: Path) -> None:
    """Rename without replacing a file; FileExistsError if the name is taken."""
    try:
        name.hardlink_to(partial)
    except FileExistsError:
        raise
    except OSError:  # file systems without hard links, as on most memory sticks
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600))
        partial.replace(name)


def verify(original: sqlite3.Connection, copied: sqlite3.Connection) -> None:
    """ValueError unless the copy is undamaged and has the same schema."""
    schema = "select name, sql from sqlite_master order by name"
    if copied.execute(schema).fetchall() != original.execute(schema).fetchall():
        raise ValueError("the backup is incomplete: nothing was changed")
    if found := checks.damage(copied, quick=True):
        raise ValueError(f"the backup is damaged ({found[0]}): nothing was changed")


def sync(path: Path) -> None:
    """Force a file, or the names in a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
