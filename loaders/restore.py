"""`dailies restore`: a backup takes the place of a database, once it has been found sound."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

from loaders import backups, upgrade
from loaders.migrations.jobs_api import RENEW_EPOCH
from loaders.registry import SIDE_FILES
from loaders.times import file_stamp


def restore(name: str, path: Path, file: Path) -> Path | None:
    """Replace the database at `path` by the backup `file`; where what was there is now.

    ValueError, with nothing changed, unless `file` is one regular SQLite file, sound and of this
    database, and nobody is writing to the one to be replaced.
    """
    if not stat.S_ISREG(file.lstat().st_mode):
        raise ValueError(f"{file} is no regular file")
    upgrade.inspect(name, file)
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(upgrade.open_read_only(file)) as source:
        refuse_unsound(file, source)
        incoming = backups.copy(source, path.with_name(f".{path.name}.restoring"))
    renew_epoch(incoming)
    kept = None
    if path.exists():
        settle_log(path)
        kept = backups.free_name(path.with_name(f"{path.name}.replaced-{file_stamp()}"))
        path.rename(kept)
    for suffix in SIDE_FILES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    incoming.rename(path)
    backups.sync(path.parent)
    return kept


def refuse_unsound(file: Path, source: sqlite3.Connection) -> None:
    try:
        upgrade.refuse_damaged(file, source)
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{file} is damaged ({error}): nothing was changed") from error


def renew_epoch(path: Path) -> None:
    """Tokens of changes that came after the backup was made must not be taken for its own."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if upgrade.has_table(connection, "change_stream"):
            connection.execute(RENEW_EPOCH)


def settle_log(path: Path) -> None:
    """Bring the write-ahead log into the file, which is then whole on its own.

    ValueError when another program is in the middle of something.
    """
    with closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as connection:
        try:
            busy = connection.execute("pragma wal_checkpoint(truncate)").fetchone()[0]
        except sqlite3.DatabaseError:
            return  # damaged, perhaps the reason for the restore: kept as it is
    if busy:
        raise ValueError(f"{path} is in use: stop the server first")
