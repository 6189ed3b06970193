"""The registry of the six databases, and the one way to open them.

A database is known by its name, never by its file's name: `CAMPAIGNS_DB_PATH` may point anywhere.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import sqlite_utils
from dotenv import dotenv_values

OLDEST_SQLITE = (3, 38, 0)
BUSY_TIMEOUT_MS = 5000
BULK_CACHE_KIB = 65_536
SIDE_FILES = ("-wal", "-shm", "-journal")  # what SQLite keeps beside a database file

Connection = sqlite3.Connection | sqlite_utils.Database


@dataclass(frozen=True)
class DatabaseSpec:
    """One database: its name, default file, the variable that moves it, and the tables served."""

    name: str
    variable: str
    tables: tuple[str, ...]
    resource: str | None = None

    @property
    def filename(self) -> str:
        return f"{self.name}.db"

    @property
    def main_table(self) -> str:
        """The table that imports and exports mean when none is named."""
        return self.tables[0]

    @property
    def stem(self) -> str:
        """The name of its Python modules."""
        return self.name.replace("-", "_")


DATABASES = {
    spec.name: spec
    for spec in (
        DatabaseSpec(
            "campaigns",
            "CAMPAIGNS_DB_PATH",
            ("jobs", "job_history", "deleted_jobs", "set_aside"),
            "campaigns",
        ),
        DatabaseSpec(
            "yt-builder",
            "YT_BUILDER_DB_PATH",
            ("jobs", "job_files", "youtube_uploads", "job_events", "set_aside"),
            "builds",
        ),
        DatabaseSpec(
            "presentation_jobs",
            "PRESENTATION_JOBS_DB_PATH",
            ("presentation_jobs", "job_events", "set_aside"),
            "presentations",
        ),
        DatabaseSpec(
            "trends",
            "TRENDS_DB_PATH",
            ("trending_topics", "search_history", "set_aside"),
        ),
        DatabaseSpec(
            "metrics",
            "METRICS_DB_PATH",
            ("video_metrics", "video_metadata", "latest_video_metrics", "set_aside"),
        ),
        DatabaseSpec(
            "image_library",
            "IMAGE_LIBRARY_DB_PATH",
            (
                "image_library",
                "image_usage",
                "image_collections",
                "collection_images",
                "set_aside",
            ),
        ),
    )
}


def database_spec(name: str) -> DatabaseSpec:
    """The registry's entry; ValueError naming the choices for an unknown name."""
    try:
        return DATABASES[name]
    except KeyError:
        choices = ", ".join(DATABASES)
        raise ValueError(f'no database is called "{name}": choose from {choices}') from None


def load_environment(folder: Path | None = None) -> None:
    """Read `.env` of the working folder; variables that are set already win."""
    for key, value in dotenv_values((folder or Path.cwd()) / ".env").items():
        if value is not None:
            os.environ.setdefault(key, value)


def data_dir() -> Path:
    return Path(os.environ.get("DAILIES_DATA_DIR") or "data").expanduser()


def database_path(name: str) -> Path:
    spec = database_spec(name)
    moved = os.environ.get(spec.variable)
    return Path(moved).expanduser() if moved else data_dir() / spec.filename


def open_database(name: str, path: str | Path | None = None) -> sqlite_utils.Database:
    """The database, created or upgraded where needed, ready to read and write.

    ValueError when the file is no SQLite file, is damaged, or is another database of ours.
    """
    from loaders import adoption  # here, since adoption opens files through this module

    file = Path(path) if path is not None else database_path(name)
    adoption.build(name, file)
    return sqlite_utils.Database(connect(file))


def connect(path: str | Path) -> sqlite3.Connection:
    """A connection with every promise kept on it: durable commits, foreign keys, no ghosts."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        raise ValueError(f"SQLite {sqlite3.sqlite_version} is too old: Dailies needs {oldest}")
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("pragma journal_mode = wal")
        keep_promises(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def keep_promises(connection: sqlite3.Connection) -> None:
    """What each connection of ours runs under, the server's too; WAL is a property of the file."""
    connection.execute(f"pragma busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("pragma synchronous = full")
    connection.execute("pragma foreign_keys = on")
    connection.execute("pragma secure_delete = on")


def sqlite_connection(db: Connection) -> sqlite3.Connection:
    """The SQLite connection of `db`, so that loaders take either kind."""
    return db.conn if isinstance(db, sqlite_utils.Database) else db


@contextmanager
def bulk_cache(connection: sqlite3.Connection) -> Iterator[None]:
    """Room for the indexes while many rows go in."""
    size = connection.execute("pragma cache_size").fetchone()[0]
    connection.execute(f"pragma cache_size = -{BULK_CACHE_KIB}")
    try:
        yield
    finally:
        connection.execute(f"pragma cache_size = {size}")


def main_file(connection: sqlite3.Connection) -> Path:
    """The file that a connection was opened on."""
    rows = connection.execute("pragma database_list")
    return Path(next(file for _, schema, file in rows if schema == "main"))


@contextmanager
def transaction(db: Connection) -> Iterator[sqlite3.Connection]:
    """All or nothing: commits at the end, rolls back on an error, joins an open transaction."""
    connection = sqlite_connection(db)
    if connection.in_transaction:
        yield connection
        return
    connection.execute("begin immediate")
    try:
        yield connection
        connection.execute("commit")
    except BaseException:
        # A commit that failed, on a full disk say, leaves its transaction open.
        connection.rollback()
        raise


@contextmanager
def acting_as(db: Connection, actor: str | None) -> Iterator[sqlite3.Connection]:
    """A transaction whose changes the histories put down to `actor`."""
    with transaction(db) as connection:
        connection.execute("update write_context set actor = :actor", {"actor": actor})
        yield connection
        connection.execute("update write_context set actor = null")


def count_rows(db: Connection, table: str) -> int:
    quoted = table.replace('"', '""')
    row = sqlite_connection(db).execute(f'select count(*) from "{quoted}"').fetchone()  # noqa: S608
    return cast(int, row[0])
