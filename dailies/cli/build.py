"""`dailies build`: create, upgrade, repair, fill or reset a database."""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dailies.cli import samples
from loaders import backups, restore, upgrade
from loaders.connections import connect
from loaders.import_export import import_files
from loaders.import_options import ImportOptions
from loaders.progress import Progress
from loaders.registry import database_path
from loaders.upgrade import BuildResult


@dataclass
class BuildReport(BuildResult):
    """What was done to one database; `error` is the reason if it was refused."""

    imported: dict[str, Any] | None = None
    sample_rows: int | None = None
    error: str | None = None

    @property
    def ok(self) -> bool:
        return self.error is None and (self.imported is None or bool(self.imported["ok"]))

    def as_dict(self) -> dict[str, Any]:
        return {"ok": self.ok, **asdict(self)}

    def lines(self) -> Iterator[str]:
        """The report for a terminal, without the import's."""
        if self.error:
            yield f"Error: {self.error}"
            return
        if self.backup:
            yield f"{self.name}: backed up to {self.backup}"
        yield f"{self.name}: {self.action} {self.path}"
        if self.repaired:
            yield f"{self.name}: repaired {', '.join(self.repaired)}"
        if self.sample_rows:
            yield f"{self.name}: {self.sample_rows} sample rows added"

    @property
    def action(self) -> str:
        if self.created:
            return "created"
        if self.migrations:
            return "upgraded"
        return "repaired" if self.repaired else "up to date:"


def build(
    name: str,
    sample: bool = False,
    reset: bool = False,
    progress: Progress | None = None,
    check_seconds: float = math.inf,
) -> BuildReport:
    """Build the database at its configured path. A file that is refused is left unchanged.

    Its content is checked, and repaired, unless that takes longer than `check_seconds`.
    """
    path = database_path(name)
    report = BuildReport(name, str(path))
    try:
        if reset and path.exists():
            report.backup = str(restore.reset(name, path))
            report.created = True
        result = upgrade.build(name, path, progress)
        report.created, report.migrations = report.created or result.created, result.migrations
        report.repaired = result.repaired
        report.backup = report.backup or result.backup
        if not report.created:
            upgrade.repair_content(name, path, report, progress, check_seconds)
        with closing(connect(path)) as connection:
            fill(connection, report, sample)
    except (ValueError, OSError, sqlite3.Error) as error:
        report.error = f"{name}: {error}"
    return report


def fill(connection: sqlite3.Connection, report: BuildReport, sample: bool) -> None:
    """Import from an earlier system into a new file; add samples."""
    earlier = os.environ.get("CAMPAIGNS_YAML_PATH")
    if report.created and report.name == "campaigns" and earlier:
        source = Path(earlier).expanduser()
        backup = backups.copy_to_keep(source, database_path(report.name).parent)
        imported = import_files(report.name, connection, [source], ImportOptions(actor="build"))
        report.imported = {**imported.as_dict(), "backup": str(backup)}
    if sample:
        report.sample_rows = samples.add(report.name, connection)
