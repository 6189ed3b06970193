"""Copies of a database that are whole, whatever else is going on, and checked before they count."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from loaders import integrity
from loaders.progress import Progress
from loaders.times import file_stamp

PAGES_AT_ONCE = 4096


def back_up(connection: sqlite3.Connection, path: Path, progress: Progress | None = None) -> Path:
    """A verified copy beside `path`, named `NAME.db.backup-YYYYMMDDTHHMMSSZ`, its owner's alone."""
    target = free_name(path.with_name(f"{path.name}.backup-{file_stamp()}"))
    copy(connection, target, progress)
    return target


def back_up_to(
    connection: sqlite3.Connection, folder: Path, name: str, progress: Progress | None = None
) -> Path:
    """A verified copy in `folder`, named `NAME-YYYYMMDDTHHMMSSZ.db`."""
    folder.mkdir(parents=True, exist_ok=True)
    target = free_name(folder / f"{name}-{file_stamp()}.db")
    copy(connection, target, progress)
    return target


def copy_beside(path: Path) -> Path:
    """A copy of a file or folder beside it, named like a backup."""
    target = free_name(path.with_name(f"{path.name}.backup-{file_stamp()}"))
    if path.is_dir():
        shutil.copytree(path, target)
    else:
        shutil.copy2(path, target)
    return target


def free_name(path: Path) -> Path:
    """`path`, or with a number behind it where that is taken."""
    candidate, number = path, 2
    while candidate.exists():
        candidate, number = path.with_name(f"{path.name}-{number}"), number + 1
    return candidate


def copy(connection: sqlite3.Connection, target: Path, progress: Progress | None = None) -> None:
    """Write beside `target`, check, make it durable, rename into place."""
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600))
    try:
        with closing(sqlite3.connect(partial, isolation_level=None)) as destination:
            destination.execute("pragma synchronous = off")
            connection.backup(
                destination,
                pages=PAGES_AT_ONCE,
                progress=(lambda _, left, total: progress(total - left, total))
                if progress
                else None,
            )
            destination.execute("pragma journal_mode = delete")
            verify(connection, destination)
        sync(partial)
        partial.rename(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync(target.parent)


def verify(original: sqlite3.Connection, copied: sqlite3.Connection) -> None:
    """ValueError unless the copy is sound and holds the same tables."""
    schema = "select name, sql from sqlite_master order by name"
    if copied.execute(schema).fetchall() != original.execute(schema).fetchall():
        raise ValueError("the backup lacks something: nothing was changed")
    if found := integrity.damage(copied, quick=True):
        raise ValueError(f"the backup is not sound ({found[0]}): nothing was changed")


def sync(path: Path) -> None:
    """Force a file, or the names in a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
