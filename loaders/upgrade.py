"""Creates a database, or upgrades the file of an earlier system where it lies.

An old file is identified and checked before anything is written, backed up beside itself, and then
changed in one transaction: a run that is killed leaves the old file or the new one.
"""

from __future__ import annotations

import importlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import cast

import sqlite_utils
from sqlite_utils import Migrations

from loaders import backups, integrity
from loaders.connections import BULK_CACHE_KIB, connect, count_rows
from loaders.folder_lock import alone_in
from loaders.migrations import runner, script
from loaders.progress import Progress, portion, steps_told
from loaders.registry import database_spec

SQLITE_HEADER = b"SQLite format 3\x00"
PATIENCE = 5  # seconds for a lock of another program

# A table and columns that only this database has.
SIGNATURES = {
    "campaigns": ("jobs", {"id", "job_name"}),
    "yt-builder": ("jobs", {"job_id", "run_id"}),
    "presentation_jobs": ("presentation_jobs", {"job_id", "status"}),
    "trends": ("trending_topics", {"topic"}),
    "metrics": ("video_metrics", {"video_id", "platform"}),
    "image_library": ("image_library", {"file_path"}),
}

# Measured on files of the earlier systems; a progress bar goes by it.
STEPS_PER_ROW = {name: 700 if name == "campaigns" else 150 for name in SIGNATURES}
BACKUP_TAKES = 0.15  # of an upgrade


@dataclass
class Build:
    """What `build` did to one file."""

    name: str
    path: str
    created: bool = False
    migrations: list[str] | None = None
    backup: str | None = None


def migrations_of(name: str) -> Migrations:
    stem = database_spec(name).stem
    if (script.FOLDER / stem).is_dir():
        return runner.migrations_of(name, stem)
    return cast(Migrations, schema_of(name).migrations)


def schema_of(name: str) -> ModuleType:
    """The module that holds a database's migrations."""
    return importlib.import_module(f"loaders.migrations.{database_spec(name).stem}")


def build(name: str, path: Path, progress: Progress | None = None) -> Build:
    """Create or upgrade the file; ValueError, with the file untouched, if it is not ours.

    Of several that start at once one does it, and the others find it done.
    """
    done = Build(name, str(path), migrations=[])
    if not is_current(name, path, patience=0):
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone_in(path.resolve().parent):
            if not is_current(name, path):
                bring_up_to_date(name, path, done, progress)
    return done


def is_current(name: str, path: Path, patience: int = PATIENCE) -> bool:
    """Is nothing left to do? Where that cannot be told now, as during an upgrade, it is not."""
    if is_new(path):
        return False
    try:
        with closing(open_read_only(path, patience)) as connection:
            return (
                identify(connection) == name
                and not pending(name, connection)
                and not vacuum_pending(connection)
            )
    except sqlite3.DatabaseError:
        return False


def is_new(path: Path) -> bool:
    return not path.exists() or path.stat().st_size == 0


def bring_up_to_date(name: str, path: Path, done: Build, progress: Progress | None) -> None:
    done.created = is_new(path)
    if not done.created:
        inspect(name, path)
    with closing(connect(path)) as connection:
        done.migrations = pending(name, connection)
        if done.migrations and has_schema(connection):
            upgrade(name, path, connection, done, progress)
        elif done.migrations:
            with schema_changes(connection):
                migrations_of(name).apply(migrating(connection))
        else:
            wipe_old_pages(connection)


def pending(name: str, connection: sqlite3.Connection) -> list[str]:
    return [migration.name for migration in migrations_of(name).pending(migrating(connection))]


def inspect(name: str, path: Path) -> None:
    """Refuse what is no SQLite file, or another database than `name`. Writes nothing."""
    with path.open("rb") as file:
        if file.read(len(SQLITE_HEADER)) != SQLITE_HEADER:
            raise ValueError(f"{path} is not a SQLite file: it was left as it is")
    roll_back_unfinished(path)
    with closing(open_read_only(path)) as connection:
        try:
            identity = identify(connection)
            if identity == name and pending(name, connection):
                refuse_damaged(path, connection)
        except sqlite3.DatabaseError as error:
            fault = integrity.fault(error)
            raise ValueError(f"{path} {fault}: it was left as it is") from error
    if identity is None:
        raise ValueError(f"{path} holds other tables than {name}: it was left as it is")
    if identity not in ("", name):
        raise ValueError(f"{path} is a {identity} database, not {name}: it was left as it is")


def roll_back_unfinished(path: Path) -> None:
    """Bring in the journal of a killed writer, which holds what the file is; a reader cannot."""
    real = path.resolve()
    if not real.with_name(f"{real.name}-journal").exists():
        return
    with (
        closing(sqlite3.connect(real, timeout=PATIENCE)) as connection,
        suppress(sqlite3.DatabaseError),
    ):
        identify(connection)


def open_read_only(path: Path, patience: int = PATIENCE) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=patience)


def identify(connection: sqlite3.Connection) -> str | None:
    """The name of the database that the file is; empty without tables; None if unknown."""
    for name, (table, columns) in SIGNATURES.items():
        found = connection.execute("select name from pragma_table_info(?)", (table,))
        if columns <= {column for (column,) in found}:
            return name
    tables = connection.execute("select count(*) from sqlite_master").fetchone()[0]
    return None if tables else ""


def upgrade(
    name: str, path: Path, connection: sqlite3.Connection, done: Build, progress: Progress | None
) -> None:
    """A verified backup beside the file, one transaction, and no page of the old file left."""
    backup = backups.back_up(connection, path, portion(progress, 0, BACKUP_TAKES))
    done.backup = str(backup)
    steps = expected_steps(name, connection)
    with steps_told(connection, steps, portion(progress, BACKUP_TAKES, 1)):
        apply_migrations(name, connection)
        wipe_old_pages(connection)


def expected_steps(name: str, connection: sqlite3.Connection) -> int:
    tables = connection.execute(
        """
        select name
        from sqlite_master
        where type = 'table'
          and rootpage > 0
          and name not like '%_fts_%'
        """
    ).fetchall()
    return STEPS_PER_ROW[name] * sum(count_rows(connection, table) for (table,) in tables)


def apply_migrations(name: str, connection: sqlite3.Connection) -> None:
    wiping = wipes_all(name, connection)
    with rollback_journal(connection), schema_changes(connection, wiping):
        if wiping:
            wipe_free_pages(connection)
        migrations_of(name).apply(migrating(connection))
        # With the log, old pages stay in the file until another program lets go of it.
        wiped = wiping and journal_mode(connection) == "delete"
        connection.execute("update write_context set vacuum_pending = ?", (not wiped,))


def journal_mode(connection: sqlite3.Connection) -> str:
    return str(connection.execute("pragma journal_mode").fetchone()[0])


class Joining(sqlite_utils.Database):
    """Its migrations take part in the transaction around them, which is rolled back whole.

    A savepoint for each would make SQLite keep a second copy of every page that they change.
    """

    @contextmanager
    def atomic(self) -> Iterator[sqlite_utils.Database]:
        yield self


def migrating(connection: sqlite3.Connection) -> sqlite_utils.Database:
    return Joining(connection, recursive_triggers=False)


def has_schema(connection: sqlite3.Connection) -> bool:
    row = connection.execute("select count(*) from sqlite_master").fetchone()
    return bool(row[0])


def has_table(connection: sqlite3.Connection, table: str) -> bool:
    found = connection.execute("select 1 from sqlite_master where name = ?", (table,))
    return found.fetchone() is not None


def refuse_damaged(path: Path, connection: sqlite3.Connection) -> None:
    if found := integrity.damage(connection):
        raise ValueError(f"{path} is damaged ({found[0]}): it was left as it is")


def wipes_all(name: str, connection: sqlite3.Connection) -> bool:
    """Does the upgrade replace every table of the file, and wipe what it replaces?"""
    tables = connection.execute("select name from sqlite_master where type = 'table'")
    return {table for (table,) in tables} <= wiped_tables(name)


def wiped_tables(name: str) -> set[str]:
    stem = database_spec(name).stem
    if (script.FOLDER / stem).is_dir():
        module = importlib.import_module(f"loaders.legacy.{stem}")
    else:
        module = schema_of(name)
    return getattr(module, "WIPED_BY_UPGRADE", set())


@contextmanager
def rollback_journal(connection: sqlite3.Connection) -> Iterator[None]:
    """Keep old pages in a journal meanwhile, rather than new ones in the write-ahead log.

    An upgrade writes few old pages and many new ones, which then are written once. Where another
    program has the file open the log stays.
    """
    with suppress(sqlite3.OperationalError):
        connection.execute("pragma journal_mode = delete")
    try:
        yield
    finally:
        with suppress(sqlite3.OperationalError):
            connection.execute("pragma journal_mode = wal")


@contextmanager
def schema_changes(connection: sqlite3.Connection, wiping: bool = False) -> Iterator[None]:
    """One transaction in which tables may be replaced without rewriting what refers to them.

    Unless it is `wiping` what it deletes, the whole file is to be written anew after it.
    """
    connection.execute("pragma foreign_keys = off")
    connection.execute("pragma legacy_alter_table = on")
    connection.execute(f"pragma secure_delete = {'on' if wiping else 'off'}")
    connection.execute(f"pragma cache_size = -{BULK_CACHE_KIB}")
    try:
        begin(connection, wiping)
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


def begin(connection: sqlite3.Connection, by_batches: bool) -> None:
    """Lock the file. What may undo a single statement stays in memory if each changes little."""
    connection.execute(f"pragma temp_store = {'memory' if by_batches else 'default'}")
    connection.execute("begin exclusive")
    # That choice is made by now, and sorting needs files.
    connection.execute("pragma temp_store = default")


def wipe_free_pages(connection: sqlite3.Connection) -> None:
    """Let a table of zeros take up every free page, whatever it held, and give them back."""
    size = connection.execute("pragma page_size").fetchone()[0]
    connection.execute("create table dailies_zeros (zeros BLOB)")
    while free := connection.execute("pragma freelist_count").fetchone()[0]:
        connection.execute(
            "insert into dailies_zeros values (zeroblob(?))", (min(free, 10_000) * size,)
        )
    connection.execute("drop table dailies_zeros")


def wipe_old_pages(connection: sqlite3.Connection) -> None:
    """After an upgrade no deleted row may linger in a free page, nor in the write-ahead log."""
    if vacuum_pending(connection):
        connection.execute("vacuum")
        connection.execute("update write_context set vacuum_pending = 0")
        connection.execute("pragma wal_checkpoint(truncate)")


def vacuum_pending(connection: sqlite3.Connection) -> bool:
    row = connection.execute("select vacuum_pending from write_context").fetchone()
    return bool(row and row[0])
