"""How rows get into and out of the databases.

from loaders import open_database, campaigns

db = open_database("campaigns")
campaigns.add_job(db, {"id": "a1", "job_name": "Spring launch"})

Threads may share such a `db`: each gets its own connection. If they share a connection that a
caller opened, the functions take turns, but nobody knows whose a transaction is that the caller
began itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import sqlite_utils

__all__ = ["open_database"]


def open_database(name: str, path: str | Path | None = None) -> sqlite_utils.Database:
    """The database, created or upgraded where needed, ready to read and write from any thread.

    ValueError when the file is no SQLite file, is damaged, or is another database of ours.
    """
    # Imported here, so that `dailies --help` is fast.
    from pathlib import Path

    from loaders import upgrade
    from loaders.registry import database_path
    from loaders.shared_database import SharedDatabase

    file = Path(path) if path is not None else database_path(name)
    upgrade.build(name, file)
    return SharedDatabase(file)
