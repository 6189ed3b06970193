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
from loaders.connections import snapshot
from loaders.database_file import create_folder, has_log, open_read_only
from loaders.errors import describe_error
from loaders.folder_lock import exclusive
from loaders.progress import Progress
from loaders.registry import SIDE_FILES
from loaders.times import file_stamp

PAGES_AT_ONCE = 4096
YAML = (".yaml", ".yml")
COMPARED_AT_ONCE = 1 << 20
# What of the header a copy need not share: versions of the format, counters of changes.
COUNTERS = ((18, 20), (24, 28), (40, 44), (92, 100))
PARTIAL = ".partial"


def back_up(connection: sqlite3.Connection, path: Path, progress: Progress | None = None) -> Path:
    """A verified copy beside `path`, `NAME.db.backup-YYYYMMDDTHHMMSSZ`, with mode 0600."""
    return copy(connection, path.with_name(f"{path.name}.backup-{file_stamp()}"), progress)


def back_up_file(name: str, path: Path, folder: Path, progress: Progress | None = None) -> Path:
    """A verified copy of the database at `path` in `folder`, named `NAME-YYYYMMDDTHHMMSSZ.db`."""
    checks.inspect(name, path)
    create_folder(folder)
    with exclusive(folder.resolve()), closing(open_read_only(path)) as connection:
        sweep(folder, f"{name}-*.db.")
        return copy(connection, folder / f"{name}-{file_stamp()}.db", progress)


def sweep(folder: Path, prefix: str) -> None:
    """Delete unfinished copies of a run that was killed; the caller has locked the folder."""
    for file in folder.glob(f"{prefix}*{PARTIAL}*"):
        file.unlink(missing_ok=True)


def copy_beside(path: Path, folder: Path | None = None) -> Path:
    """A copy of a file, or of a folder's jobs, beside it or in `folder`, named like a backup."""
    target = free_name((folder or path.parent) / f"{path.name}.backup-{file_stamp()}")
    if path.is_dir():
        shutil.copytree(
            path,
            target,
            ignore=not_imported,
            copy_function=copy_readable,
            ignore_dangling_symlinks=True,
        )
    else:
        shutil.copy2(path, target)
    return target


def copy_to_keep(path: Path, other: Path) -> Path:
    """A copy beside the file or folder; in the folder `other` if that one cannot be written."""
    try:
        return copy_beside(path)
    except OSError:  # as in a folder that is read-only
        return copy_beside(path, other)


def not_imported(_folder: str, names: list[str]) -> list[str]:
    """Of the names in a folder of jobs, those that an import does not read, as databases."""
    return [name for name in names if name != "jobs" and not name.lower().endswith(YAML)]


def copy_readable(source: str, target: str) -> None:
    """Copy a file; the import names one that cannot be read."""
    with suppress(PermissionError):
        shutil.copy2(source, target)


def free_name(path: Path) -> Path:
    """`path`, or that with a number appended if it exists."""
    return next(name for name in numbered(path) if not name.exists())


def numbered(path: Path) -> Iterator[Path]:
    yield path
    for number in count(2):
        yield path.with_name(f"{path.name}-{number}")


def same_backup(path: Path) -> Path | None:
    """The newest backup beside `path` if it has the same content.

    The file must not be open in this process, which would lose its locks.
    """
    backups = sorted(path.parent.glob(f"{path.name}.backup-*[Z0-9]"))
    if not backups or has_log(path):
        return None
    newest = backups[-1]
    return newest if newest.is_file() and same_pages(path, newest) else None


def same_pages(path: Path, other: Path) -> bool:
    if path.stat().st_size != other.stat().st_size:
        return False
    with path.open("rb") as one, other.open("rb") as two:
        if without_counters(one.read(100)) != without_counters(two.read(100)):
            return False
        while part := one.read(COMPARED_AT_ONCE):
            if part != two.read(COMPARED_AT_ONCE):
                return False
    return True


def without_counters(header: bytes) -> bytes:
    blank = bytearray(header)
    for start, end in COUNTERS:
        blank[start:end] = bytes(end - start)
    return bytes(blank)


def need_room(folder: Path, size: int) -> None:
    """ValueError if so many bytes do not fit in a folder."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise ValueError(
            f"{folder} has {free:,} bytes of free disk space and needs {size:,}: "
            "nothing was changed"
        )


def size_of(connection: sqlite3.Connection) -> int:
    """The size of a database in bytes."""
    pages, size = (
        connection.execute(f"pragma {name}").fetchone()[0] for name in ("page_count", "page_size")
    )
    return int(pages * size)


def copy(connection: sqlite3.Connection, wanted: Path, progress: Progress | None = None) -> Path:
    """Write beside `wanted`, verify, sync and rename; the name it got."""
    need_room(wanted.parent, size_of(connection))
    descriptor, name = tempfile.mkstemp(PARTIAL, f"{wanted.name}.", wanted.parent)
    os.close(descriptor)
    partial = Path(name)
    try:
        write_copy(connection, partial, progress)
        sync(partial)
        target = publish(partial, wanted)
    except sqlite3.Error as error:
        raise ValueError(f"{wanted} {describe_error(error)}: nothing was changed") from error
    finally:
        remove(partial)
    sync(target.parent)
    return target


def remove(path: Path) -> None:
    """Delete a temporary database with what SQLite keeps beside it."""
    for suffix in ("", *SIDE_FILES):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def write_copy(
    connection: sqlite3.Connection, partial: Path, progress: Progress | None = None
) -> None:
    """Copy the pages as they are at the start, and check them.

    Without a transaction around it, a copy starts again at each change by another program.
    """
    with (
        closing(sqlite3.connect(partial, isolation_level=None)) as destination,
        snapshot(connection),
    ):
        destination.execute("pragma synchronous = off")
        connection.execute("select 1 from sqlite_master").fetchone()  # the snapshot begins here
        connection.backup(destination, pages=PAGES_AT_ONCE, progress=report_pages(progress))
        destination.execute("pragma journal_mode = delete")
        verify(connection, destination)


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


def second_name(path: Path, kept: Path) -> None:
    """Give a file another name beside its own."""
    try:
        kept.hardlink_to(path)
    except OSError:  # file systems without hard links, as on most memory sticks
        need_room(path.parent, path.stat().st_size)
        shutil.copy2(path, kept)


def verify(original: sqlite3.Connection, copied: sqlite3.Connection) -> None:
    """ValueError unless the copy is undamaged and has the same schema."""
    schema = "select name, sql from sqlite_master order by name"
    if copied.execute(schema).fetchall() != original.execute(schema).fetchall():
        raise ValueError("the backup is incomplete: nothing was changed")
    if found := checks.damage(copied):
        raise ValueError(f"the backup is damaged, as its original is ({found[0]})")


def sync(path: Path) -> None:
    """Force a file, or the names in a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
