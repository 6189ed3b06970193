"""Empty databases for a test: built once for each process, then copied."""

from __future__ import annotations

import atexit
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable
from contextlib import closing
from functools import cache
from pathlib import Path

from loaders import open_database
from loaders.registry import DATABASES, database_path


@cache
def built() -> Path:
    """A folder with all six databases; it is deleted when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="dailies-empty-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name, spec in DATABASES.items():
        open_database(name, folder / spec.filename).close()
    return folder


def in_memory(
    name: str, factory: type[sqlite3.Connection] = sqlite3.Connection
) -> closing[sqlite3.Connection]:
    """An empty database without a file, for a test that makes many of them."""
    connection = sqlite3.connect(":memory:", isolation_level=None, factory=factory)
    with closing(sqlite3.connect(built() / DATABASES[name].filename)) as empty:
        empty.backup(connection)
    return closing(connection)


def create_databases(names: Iterable[str] = DATABASES) -> None:
    """Create the databases that do not exist yet where the environment says they belong."""
    for name in names:
        path = database_path(name)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            create_at(name, path)


def create_at(name: str, path: Path) -> Path:
    return shutil.copyfile(built() / DATABASES[name].filename, path)
