"""Replace a database by another file: `dailies restore` and `dailies build --reset`.

The path leads to a whole database at every moment: the new file is complete beside the old one
before it takes its name, and the old file gets a second name before it loses its own.
"""

from __future__ import annotations

import gzip
import os
import shutil
import sqlite3
import stat
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from loaders import backups, checks, schema, upgrade
from loaders.backups import PARTIAL
from loaders.database_file import create_folder, open_file, open_read_only
from loaders.errors import DAMAGED, code_of, describe_error
from loaders.folder_lock import exclusive
from loaders.registry import SIDE_FILES
from loaders.times import file_stamp

GZIP_MARK = b"\x1f\x8b"
UNPACKED_AT_ONCE = 1 << 20


def restore(name: str, path: Path, file: Path) -> Path | None:
    """Replace the database at `path` by the backup `file`; the new path of the replaced file.

    ValueError, with nothing changed, unless `file` is a regular, undamaged SQLite file of this
    database, packed with gzip or not, and no other program has the file at `path` open.
    """
    if not stat.S_ISREG(file.lstat().st_mode):
        raise ValueError(f"{file} is no regular file")
    if path.exists() and path.samefile(file):
        raise ValueError(f"{file} is the database itself: name a backup of it")
    with locked(path) as real, unpacked(file, real) as source:
        checks.inspect(name, source)
        with closing(open_read_only(source)) as connection:
            checks.refuse_damaged(source, connection)
            incoming = backups.copy(connection, prepared(real))
        try:
            renew_epoch(incoming)
            return take_place(incoming, real)
        finally:
            backups.remove(incoming)


def reset(name: str, path: Path) -> Path:
    """Replace the database by an empty one, after a verified backup; the path of that.

    ValueError if another program has the file open.
    """
    with locked(path) as real:
        checks.inspect(name, path)
        incoming = prepared(real)
        try:
            upgrade.update(name, incoming, upgrade.BuildResult(name, str(incoming)), None)
            with alone(real) as connection:
                backup = backups.back_up(connection, path)
                replace(incoming, real)
        finally:
            backups.remove(incoming)
        backups.sync(real.parent)
    return backup


@contextmanager
def locked(path: Path) -> Iterator[Path]:
    """Lock the folder of a database; its path without symbolic links."""
    create_folder(path.parent)
    real = path.resolve()
    with exclusive(real.parent):
        for prefix in (f".{real.name}.", f"{real.name}.backup-"):
            backups.sweep(real.parent, prefix)
        yield real


def prepared(path: Path) -> Path:
    """Where the new file is written before it takes the place of the one at `path`."""
    return path.with_name(f".{path.name}.new{PARTIAL}")


@contextmanager
def unpacked(file: Path, path: Path) -> Iterator[Path]:
    """The file itself, or what gzip packed in it, in a temporary file beside `path`."""
    with file.open("rb") as packed:
        if packed.read(len(GZIP_MARK)) != GZIP_MARK:
            yield file
            return
    descriptor, name = tempfile.mkstemp(PARTIAL, f".{path.name}.", path.parent)
    target = Path(name)
    try:
        with gzip.open(file) as content, os.fdopen(descriptor, "wb") as copy:
            shutil.copyfileobj(content, copy, UNPACKED_AT_ONCE)
        yield target
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{file} cannot be unpacked: {error}") from error
    finally:
        backups.remove(target)


def renew_epoch(path: Path) -> None:
    """Make change tokens that were issued after the backup invalid."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if ("table", "change_stream") in schema.objects_of(connection):
            connection.execute("update change_stream set epoch = lower(hex(randomblob(4)))")


def take_place(incoming: Path, path: Path) -> Path | None:
    """Rename `incoming` to `path`; the new name of the file that was there, if there was one.

    That is `NAME.db.replaced-YYYYMMDDTHHMMSSZ`, with its log if it is damaged.
    """
    kept = backups.free_name(path.with_name(f"{path.name}.replaced-{file_stamp()}"))
    if not path.exists():
        found = move_log(path, kept)
        incoming.replace(path)
    else:
        found = True
        with alone(path):
            backups.second_name(path, kept)
            move_log(path, kept)
            replace(incoming, path)
    backups.sync(path.parent)
    return kept if found else None


def move_log(path: Path, kept: Path) -> bool:
    """Move what SQLite left beside a damaged or missing file, which must not meet another file."""
    found = False
    for suffix in SIDE_FILES:
        side = path.with_name(path.name + suffix)
        if suffix != "-shm" and side.exists() and side.stat().st_size:
            side.rename(kept.with_name(kept.name + suffix))
            found = True
        side.unlink(missing_ok=True)
    return found


def replace(incoming: Path, path: Path) -> None:
    """Rename with the owner and permissions of the file that is replaced."""
    status = path.stat()
    incoming.chmod(stat.S_IMODE(status.st_mode))
    with suppress(PermissionError):
        shutil.chown(incoming, status.st_uid, status.st_gid)
    incoming.replace(path)


@contextmanager
def alone(path: Path) -> Iterator[sqlite3.Connection]:
    """Lock a database that no other program has open, with its log moved into the file.

    ValueError if another program has it open, or if the log does not fit on the disk. A damaged
    file cannot be locked.
    """
    with closing(open_file(path)) as connection:
        try:
            connection.execute("pragma journal_mode = delete")
            connection.execute("pragma locking_mode = exclusive")  # commits keep the lock
            connection.execute("begin exclusive")
            connection.execute("commit")
            in_use = connection.execute("pragma journal_mode").fetchone() != ("delete",)
        except sqlite3.DatabaseError as error:
            in_use = code_of(error) == sqlite3.SQLITE_BUSY
            if not in_use and code_of(error) not in DAMAGED:
                message = f"{path} {describe_error(error)}: nothing was changed"
                raise ValueError(message) from error
        if in_use:
            raise ValueError(f"{path} is in use: stop the server first")
        yield connection
