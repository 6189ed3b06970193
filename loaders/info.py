"""Facts about database files: size, pages, rows, schema version, storage of earlier systems."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from loaders import checks, schema
from loaders.backups import size_of
from loaders.connections import Connection, count_rows, main_file, reading
from loaders.registry import database_path

EARLIER_FOLDER = Path("~/.zyra-video-agent")  # where seed 000's system keeps its files


def describe(name: str) -> dict[str, Any]:
    """Facts about the database, also if it does not exist yet."""
    path = database_path(name)
    found: dict[str, Any] = {"name": name, "path": str(path), "exists": path.exists()}
    if path.exists():
        checks.inspect(name, path)
        with closing(checks.connect_to_check(path)) as connection:
            found |= describe_file(connection, path)
            found["pending_migrations"] = schema.pending(name, connection)
    if name == "campaigns":
        found["earlier_storage"] = detect_storage(path)
    return found


def describe_open(db: Connection) -> dict[str, Any]:
    """Facts about the file behind an open connection."""
    file = main_file(db)
    with reading(db) as connection:
        return {"path": str(file), **describe_file(connection, file)}


def describe_file(connection: sqlite3.Connection, path: Path) -> dict[str, Any]:
    """Size in bytes, page counts, rows of each table, and the last migration applied."""
    numbers = ("page_size", "page_count", "freelist_count")
    tables = connection.execute(
        """
        select name
        from pragma_table_list
        where schema = 'main'
          and type = 'table'
          and name not like 'sqlite_%'
        order by name
        """
    )
    return {
        "size": path.stat().st_size if path.exists() else 0,
        **{name: connection.execute(f"pragma {name}").fetchone()[0] for name in numbers},
        "rows": {name: count_rows(connection, name) for (name,) in tables.fetchall()},
        "schema_version": schema_version(connection),
    }


def schema_version(connection: sqlite3.Connection) -> str | None:
    """The last migration applied; None for the file of an earlier system."""
    try:
        row = connection.execute(
            "select name from _sqlite_migrations order by rowid desc limit 1"
        ).fetchone()
    except sqlite3.OperationalError:
        return None
    return str(row[0]) if row else None


def detect_storage(path: Path) -> str:
    """Which storage an earlier system left: SQLite, files per job, single file, or none.

    Searched in this order: the database, `CAMPAIGNS_YAML_PATH`, the folder of the database, the
    folder of the earlier system.
    """
    if path.exists() and is_earlier_file(path):
        return "SQLite"
    named = os.environ.get("CAMPAIGNS_YAML_PATH")
    if named and Path(named).expanduser().exists():
        return "files per job" if Path(named).expanduser().is_dir() else "single file"
    for folder in (path.parent, EARLIER_FOLDER.expanduser()):
        if (folder / "jobs").is_dir():
            return "files per job"
        if (folder / "campaigns.yaml").is_file():
            return "single file"
    return "none"


def is_earlier_file(path: Path) -> bool:
    """True for a campaigns file without a migration of ours."""
    with closing(checks.connect_to_check(path)) as connection:
        return checks.identify(connection) == "campaigns" and schema_version(connection) is None


def vacuum(db: Connection) -> dict[str, int]:
    """VACUUM and optimize; the file's size in bytes before and after."""
    with reading(db) as connection:
        before = size_of(connection)
        connection.execute("vacuum")
        connection.execute("pragma optimize")
        connection.execute("pragma wal_checkpoint(truncate)")
        return {"size_before": before, "size_after": size_of(connection)}
