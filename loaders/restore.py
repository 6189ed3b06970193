"""`dailies restore`: replace a database by a backup that was checked first."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

from loaders import backups, checks, schema
from loaders.registry import SIDE_FILES
from loaders.times import file_stamp


def restore(name: str, path: Path, file: Path) -> Path | None:
    """Replace the database at `path` by the backup `file`; the new path of the replaced file.

    ValueError, with nothing changed, unless `file` is a regular, undamaged SQLite file of this
    database and no other program has the file at `path` open.
    """
    if not stat.S_ISREG(file.lstat().st_mode):
        raise ValueError(f"{file} is no regular file")
    checks.inspect(name, file)
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(checks.open_read_only(file)) as source:
        checks.refuse_damaged(file, source)
        incoming = backups.copy(source, path.with_name(f".{path.name}.restoring"))
    try:
        renew_epoch(incoming)
        kept = keep_replaced(path) if path.exists() else None
        incoming.rename(path)
    finally:
        incoming.unlink(missing_ok=True)
    backups.sync(path.parent)
    return kept


def keep_replaced(path: Path) -> Path:
    """Rename the file that is replaced, as `NAME.db.replaced-YYYYMMDDTHHMMSSZ`."""
    close_log(path)
    kept = backups.free_name(path.with_name(f"{path.name}.replaced-{file_stamp()}"))
    path.rename(kept)
    for suffix in SIDE_FILES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return kept


def renew_epoch(path: Path) -> None:
    """Make change tokens that were issued after the backup invalid."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if ("table", "change_stream") in schema.objects_of(connection):
            connection.execute("update change_stream set epoch = lower(hex(randomblob(4)))")


def close_log(path: Path) -> None:
    """Move the write-ahead log into the file, which is then complete without it.

    SQLite leaves WAL mode only if no other program has the file open: ValueError otherwise.
    """
    with closing(checks.connect_to_check(path)) as connection:
        try:
            connection.execute("pragma journal_mode = delete")
        except sqlite3.OperationalError as error:
            raise ValueError(f"{path} is in use: stop the server first") from error
        except sqlite3.DatabaseError:
            return  # damaged, perhaps the reason for the restore: kept as it is
