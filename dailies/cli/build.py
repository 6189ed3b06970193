"""`dailies build`: a database created, upgraded, filled for the first time, or begun anew."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dailies.cli import samples
from loaders import backups, checks, upgrade
from loaders.campaigns import files
from loaders.connections import connect
from loaders.import_options import ImportOptions
from loaders.progress import Progress
from loaders.registry import SIDE_FILES, database_path


@dataclass
class Built:
    """What was done to one database; `error` says why nothing was."""

    name: str
    path: str
    created: bool = False
    migrations: list[str] = field(default_factory=list)
    search_rebuilt: list[str] = field(default_factory=list)
    backup: str | None = None
    imported: dict[str, Any] | None = None
    sample_rows: int | None = None
    error: str | None = None

    @property
    def ok(self) -> bool:
        return self.error is None and (self.imported is None or bool(self.imported["ok"]))

    def as_dict(self) -> dict[str, Any]:
        return {"ok": self.ok, **asdict(self)}


def build(
    name: str, sample: bool = False, reset: bool = False, progress: Progress | None = None
) -> Built:
    """Build the database where its name says it lies. A file that is refused is left untouched."""
    path = database_path(name)
    built = Built(name, str(path))
    try:
        if reset and path.exists():
            built.backup = str(remove(name, path))
        upgraded = upgrade.build(name, path, progress)
        built.created, built.migrations = upgraded.created, upgraded.migrations or []
        built.backup = built.backup or upgraded.backup
        with closing(connect(path)) as connection:
            fill(connection, built, sample)
    except (ValueError, OSError, sqlite3.Error) as error:
        built.error = f"{name}: {error}"
    return built


def fill(connection: sqlite3.Connection, built: Built, sample: bool) -> None:
    """Stale search indexes rebuilt; what an old system left imported; samples where asked for."""
    if not built.created:
        built.search_rebuilt = checks.rebuild_search_indexes(connection)
    earlier = os.environ.get("CAMPAIGNS_YAML_PATH")
    if built.created and built.name == "campaigns" and earlier:
        source = Path(earlier).expanduser()
        report = files.import_jobs(connection, [source], ImportOptions(actor="build"))
        built.imported = report.as_dict()
    if sample:
        built.sample_rows = samples.add(built.name, connection)


def remove(name: str, path: Path) -> Path:
    """Delete the database file after a verified backup; where that is."""
    upgrade.inspect(name, path)
    with closing(connect(path)) as connection:
        backup = backups.back_up(connection, path)
    for suffix in ("", *SIDE_FILES):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return backup
