"""Database files: created private, opened without creating them, and watched while they are open.

SQLite goes on reading and writing a file that was deleted, moved or replaced, so that everything
written is lost. A `WatchedConnection` compares device and inode before each transaction and after
each commit.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from loaders.errors import FileChanged, code_of
from loaders.registry import SIDE_FILES

FILE_MODE = 0o600
FOLDER_MODE = 0o700
TIMEOUT = 5.0  # seconds to wait for another program's lock

Identity = tuple[int, int]  # device and inode


def identity_of(path: str | Path) -> Identity | None:
    """Device and inode; None if there is no file."""
    try:
        status = os.stat(path)  # noqa: PTH116 - three times as fast as Path.stat
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino


@dataclass(frozen=True)
class WatchedFile:
    """A path, and which file was there at the start."""

    path: str
    identity: Identity | None

    @classmethod
    def at(cls, path: str | Path) -> WatchedFile:
        absolute = os.path.abspath(path)  # noqa: PTH100 - a link may be changed too
        return cls(absolute, identity_of(absolute))

    def check(self) -> None:
        """FileChanged if the path does not lead to the same file any more."""
        found = identity_of(self.path)
        if found == self.identity and found is not None:
            return
        if found is None:
            raise FileChanged(f"{self.path} is gone: it was moved or deleted. Put it back")
        raise FileChanged(f"{self.path} was replaced while it was open: open it again")


class WatchedConnection(sqlite3.Connection):
    """Raises FileChanged instead of using a file that is not at its path any more."""

    files: tuple[WatchedFile, ...] = ()

    def check_files(self) -> None:
        for file in self.files:
            file.check()

    def _before(self) -> None:
        if self.files and not self.in_transaction:
            self.check_files()

    def cursor(self, *args: Any, **options: Any) -> Any:
        self._before()
        return super().cursor(*args, **options)

    def execute(self, *args: Any) -> sqlite3.Cursor:
        self._before()
        return super().execute(*args)

    def executemany(self, *args: Any) -> sqlite3.Cursor:
        self._before()
        return super().executemany(*args)

    def executescript(self, script: str) -> sqlite3.Cursor:
        self._before()
        return super().executescript(script)

    def commit(self) -> None:
        super().commit()
        self.check_files()

    def __exit__(self, *error: Any) -> Literal[False]:
        super().__exit__(*error)
        if error[0] is None:
            self.check_files()
        return False

    def close(self) -> None:
        """Close; if the file is elsewhere now, move the write-ahead log into it first.

        SQLite would leave the log, which would be taken for a part of the next file at this path.
        """
        try:
            self.check_files()
        except FileChanged:
            with suppress(sqlite3.Error):
                self.rollback()
                super().execute("pragma wal_checkpoint(truncate)").close()
        super().close()


Watched = TypeVar("Watched", bound=WatchedConnection)


def open_file(
    file: str | Path | WatchedFile, mode: str = "rw", timeout: float = TIMEOUT
) -> WatchedConnection:
    """Connect to a file, which must exist. `mode` is rw, ro, or `ro&immutable=1`."""
    return open_as(WatchedConnection, file, mode, timeout)


def open_as(
    factory: type[Watched],
    file: str | Path | WatchedFile,
    mode: str = "rw",
    timeout: float = TIMEOUT,
) -> Watched:
    """Connect; FileNotFoundError or FileChanged if it is not there (any more)."""
    watched = file if isinstance(file, WatchedFile) else WatchedFile.at(file)
    if watched.identity is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
    watched.check()
    connection = sqlite3.connect(
        uri_of(watched, mode),
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,
        factory=factory,
    )
    connection.files = (watched,)
    try:
        connection.check_files()
    except FileChanged:
        connection.close()
        raise
    return connection


def uri_of(file: WatchedFile, mode: str) -> str:
    return f"{Path(file.path).resolve().as_uri()}?mode={mode}"


def attach_read_only(connection: sqlite3.Connection, file: WatchedFile, schema: str) -> None:
    """Attach a file for reading, also where nothing can be written."""
    file.check()
    statement = f"attach database ? as {schema}"
    try:
        connection.execute(statement, [uri_of(file, "ro")])
    except sqlite3.OperationalError as error:
        if code_of(error) != sqlite3.SQLITE_CANTOPEN or has_log(Path(file.path).resolve()):
            raise
        connection.execute(statement, [uri_of(file, "ro&immutable=1")])


def open_read_only(file: str | Path | WatchedFile, timeout: float = TIMEOUT) -> WatchedConnection:
    """Connect for reading, also where nothing can be written.

    A database in WAL mode has two files beside it, which SQLite creates even to read.
    """
    return open_read_only_as(WatchedConnection, file, timeout)


def open_read_only_as(
    factory: type[Watched], file: str | Path | WatchedFile, timeout: float = TIMEOUT
) -> Watched:
    connection = open_as(factory, file, "ro", timeout)
    try:
        connection.execute("select 1 from sqlite_master").close()
    except sqlite3.DatabaseError as error:
        connection.close()
        if code_of(error) != sqlite3.SQLITE_CANTOPEN:
            raise
    else:
        return connection
    path = Path(connection.files[0].path).resolve()
    if has_log(path):
        raise ValueError(
            f"{path} cannot be read where nothing can be written, since changes are in {path}-wal: "
            "copy both files to another folder"
        )
    return open_as(factory, file, "ro&immutable=1", timeout)


def open_as_allowed(file: str | Path | WatchedFile, timeout: float = TIMEOUT) -> WatchedConnection:
    """Connect for writing, or for reading where nothing can be written."""
    connection = open_file(file, timeout=timeout)
    try:
        connection.execute("select 1 from sqlite_master").close()
    except sqlite3.DatabaseError as error:
        connection.close()
        if code_of(error) != sqlite3.SQLITE_CANTOPEN:
            raise
        return open_read_only(file, timeout)
    return connection


def has_log(path: Path) -> bool:
    """True if a write-ahead log or a journal with content is beside the file."""
    files = [path.with_name(path.name + suffix) for suffix in SIDE_FILES if suffix != "-shm"]
    return any(file.exists() and file.stat().st_size > 0 for file in files)


def create_file(path: Path) -> None:
    """Create an empty file that only its owner can read, and its folders; an old one stays.

    ValueError if the log of another file is there, with transactions that SQLite would delete.
    """
    create_folder(path.parent)
    if not path.exists() and has_log(path.resolve()):
        raise ValueError(
            f"{path} is gone, but its log is there ({path.name}-wal): put the file back, "
            "or move the log away"
        )
    if not path.exists():  # closing a file ends the locks of this process's connections to it
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, FILE_MODE))


def create_folder(folder: Path) -> None:
    """Create a folder that only its owner can read, and those above it; old ones stay."""
    if not folder.is_dir():
        create_folder(folder.parent)
        folder.mkdir(FOLDER_MODE, exist_ok=True)
