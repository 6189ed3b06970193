"""Create a database, or upgrade or repair an existing file in place.

A file is identified and checked before anything is written, backed up beside itself, and then
changed in one transaction: a run that is killed leaves the old file or the new one.
"""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import sqlite_utils

from loaders import backups, checks, repair, schema
from loaders.connections import BULK_CACHE_KIB, connect, count_rows, give_up_after
from loaders.database_file import TIMEOUT, create_file, create_folder, open_read_only
from loaders.folder_lock import exclusive
from loaders.progress import Progress, portion, report_steps

# Measured on files of the earlier systems, for progress bars.
STEPS_PER_ROW = 400
UPGRADE_ROOM = 3  # times the size of the file
BACKUP_SHARE = 0.15  # of the time that an upgrade takes


@dataclass
class BuildResult:
    """What `build` did to one file."""

    name: str
    path: str
    created: bool = False
    migrations: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    backup: str | None = None


def build(name: str, path: Path, progress: Progress | None = None) -> BuildResult:
    """Create, upgrade or repair the file; ValueError, leaving it unchanged, if it is another one.

    Of several programs that start at once one does it; the others wait.
    """
    result = BuildResult(name, str(path))
    if not is_current(name, path, timeout=0):
        create_folder(path.parent)
        with exclusive(path.resolve().parent):
            if not is_current(name, path):
                update(name, path, result, progress)
    return result


def is_current(name: str, path: Path, timeout: float = TIMEOUT) -> bool:
    """True if nothing is left to do; False also if unknown, as during an upgrade."""
    if is_new(path):
        return False
    try:
        with closing(open_read_only(path, timeout)) as connection:
            return (
                checks.identify(connection) == name
                and not checks.needs_work(name, connection)
                and not vacuum_pending(connection)
            )
    except (OSError, ValueError, sqlite3.DatabaseError):
        return False  # `update` says what is wrong


def is_new(path: Path) -> bool:
    return not path.exists() or path.stat().st_size == 0


def update(name: str, path: Path, result: BuildResult, progress: Progress | None) -> None:
    result.created = is_new(path)
    if result.created:
        create_file(path)
    else:
        checks.inspect(name, path)
        refuse_read_only(path)
    backups.sweep(path.resolve().parent, f"{path.name}.backup-")
    earlier = backups.same_backup(path)
    with closing(connect(path)) as connection:
        result.migrations = schema.pending(name, connection)
        if not schema.objects_of(connection):
            with schema_changes(connection):
                migrate(name, connection)
        elif result.migrations:
            result.backup = str(earlier) if earlier else None
            upgrade(name, path, connection, result, progress)
        elif schema.differences(name, connection).labels:
            result.backup = str(earlier) if earlier else None
            repair_file(name, path, connection, result, progress)
        wipe_old_pages(connection)


def refuse_read_only(path: Path) -> None:
    """ValueError if the file cannot be changed, as on a read-only disk."""
    for place in (path, path.resolve().parent):
        if not os.access(place, os.W_OK):
            raise ValueError(f"{path} must be upgraded or repaired, but {place} is read-only")


def upgrade(
    name: str,
    path: Path,
    connection: sqlite3.Connection,
    result: BuildResult,
    progress: Progress | None,
) -> None:
    """Apply pending migrations after a verified backup."""
    backups.need_room(path.parent, room_for(connection, result))
    damaged = damaged_indexes(path)
    with backed_up(path, connection, result, progress), rollback_journal(connection):
        # The file is rewritten afterwards, so deleted rows need not be overwritten one by one.
        connection.execute("pragma secure_delete = off")
        with schema_changes(connection):
            repair.forget(connection, damaged)
            migrate(name, connection)
            repair.repair(name, connection)
            connection.execute("update write_context set vacuum_pending = 1")


def repair_file(
    name: str,
    path: Path,
    connection: sqlite3.Connection,
    result: BuildResult,
    progress: Progress | None,
) -> None:
    """Restore missing and altered objects after a verified backup."""
    damaged = damaged_indexes(path)
    with backed_up(path, connection, result, progress), schema_changes(connection):
        repair.forget(connection, damaged)
        result.repaired = repair.repair(name, connection)


def repair_content(
    name: str,
    path: Path,
    result: BuildResult,
    progress: Progress | None = None,
    seconds: float = math.inf,
) -> None:
    """Rebuild search indexes and other derived rows that do not agree with their tables.

    Unlike `build`, this reads the whole file, and nothing is done if that takes more `seconds`.
    """
    with closing(connect(path)) as connection:
        try:
            with give_up_after(connection, seconds):
                stale = checks.stale_search_indexes(connection, name)
                faults = [] if stale else checks.derived_faults(connection, name)
        except TimeoutError:
            return
        if (not stale and not faults) or not os.access(path, os.W_OK):
            return
        with (
            exclusive(path.resolve().parent),
            backed_up(path, connection, result, progress),
        ):
            damaged = [index for index in stale if not rebuild_index(path, index)]
            if damaged or faults:
                with schema_changes(connection):
                    repair.repair_content(name, connection, damaged)
        wipe_old_pages(connection)
    result.repaired += [f"search index {index}" for index in stale]
    result.repaired += [fault.partition(" does not ")[0] for fault in faults]


def damaged_indexes(path: Path) -> list[str]:
    """Search indexes that cannot be read. To ask spoils a connection."""
    with closing(open_read_only(path)) as connection:
        return checks.damaged_indexes(connection)


def rebuild_index(path: Path, index: str) -> bool:
    """False if it is too damaged for that, after which a connection is of no more use."""
    with closing(connect(path)) as connection:
        return repair.rebuild_index(connection, index)


@contextmanager
def backed_up(
    path: Path, connection: sqlite3.Connection, result: BuildResult, progress: Progress | None
) -> Iterator[None]:
    """Back the file up, then report the progress of the work within."""
    if result.backup is None:
        backup = backups.back_up(connection, path, portion(progress, 0, BACKUP_SHARE))
        result.backup = str(backup)
    with report_steps(connection, expected_steps(connection), portion(progress, BACKUP_SHARE, 1)):
        yield


def room_for(connection: sqlite3.Connection, result: BuildResult) -> int:
    """Bytes that an upgrade needs at most, with its backup unless there is one already."""
    copies = UPGRADE_ROOM + (result.backup is None)
    return copies * backups.size_of(connection)


def expected_steps(connection: sqlite3.Connection) -> int:
    objects = schema.objects_of(connection).values()
    tables = [one.name for one in objects if one.kind == "table" and not one.is_virtual]
    return STEPS_PER_ROW * sum(count_rows(connection, table) for table in tables)


class Joining(sqlite_utils.Database):
    """Its migrations take part in the transaction around them, which is rolled back whole.

    A savepoint for each would make SQLite keep a second copy of every page that they change.
    """

    @contextmanager
    def atomic(self) -> Iterator[sqlite_utils.Database]:
        yield self


def migrate(name: str, connection: sqlite3.Connection) -> None:
    schema.migrations_of(name).apply(Joining(connection, recursive_triggers=False))


@contextmanager
def rollback_journal(connection: sqlite3.Connection) -> Iterator[None]:
    """Keep old pages in a journal meanwhile, rather than new ones in the write-ahead log.

    An upgrade writes few old pages and many new ones, which then are written once. If another
    program has the file open, the log stays.
    """
    with suppress(sqlite3.OperationalError):
        connection.execute("pragma journal_mode = delete")
    try:
        yield
    finally:
        with suppress(sqlite3.OperationalError):
            connection.execute("pragma journal_mode = wal")


@contextmanager
def schema_changes(connection: sqlite3.Connection) -> Iterator[None]:
    """One transaction in which tables may be renamed without rewriting references to them."""
    connection.execute("pragma foreign_keys = off")
    connection.execute("pragma legacy_alter_table = on")
    connection.execute(f"pragma cache_size = -{BULK_CACHE_KIB}")
    try:
        connection.execute("begin exclusive")
        try:
            yield
        except BaseException:
            connection.rollback()
            raise
        connection.execute("commit")
    finally:
        connection.execute("pragma secure_delete = on")
        connection.execute("pragma legacy_alter_table = off")
        connection.execute("pragma foreign_keys = on")


def wipe_old_pages(connection: sqlite3.Connection) -> None:
    """After an upgrade, leave no deleted row in a free page or in the write-ahead log."""
    if vacuum_pending(connection):
        connection.execute("vacuum")
        connection.execute("update write_context set vacuum_pending = 0")
        connection.execute("pragma wal_checkpoint(truncate)")


def vacuum_pending(connection: sqlite3.Connection) -> bool:
    row = connection.execute("select vacuum_pending from write_context").fetchone()
    return bool(row and row[0])
