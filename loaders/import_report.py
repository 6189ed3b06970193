"""The report of an import: every row found is imported, updated, skipped or failed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

MAX_ERRORS = 100_000

OtherLists = dict[Path, list[str]]  # lists of rows in a file that were not read


class Origin(NamedTuple):
    """Where a row came from: file, position in it, and its key if it has one."""

    source: str
    position: str
    key: str | None = None


def unknown_lists(others: OtherLists, name: str, tables: Iterable[str]) -> list[dict[str, Any]]:
    """An error for each list whose rows belong to none of these tables of the database `name`."""
    choices = ", ".join(tables)
    return [
        {
            "source": str(path),
            "position": f'list "{key}"',
            "id": None,
            "reason": f'{name} has no table "{key}" for these rows: choose from {choices}',
        }
        for path, keys in others.items()
        for key in keys
        if key not in tables
    ]


@dataclass
class ImportReport:
    """Counts of rows, an error for each failed row (the first ones), and the backup of updates.

    `other_lists` are those of files with several tables.
    """

    found: int = 0
    imported: int = 0
    updated: int = 0
    skipped: int = 0
    failed: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)
    backup: str | None = None
    other_lists: OtherLists = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.failed == 0

    def fail(self, source: str, position: str, key: str | None, reason: str) -> None:
        self.failed += 1
        if len(self.errors) < MAX_ERRORS:
            error = {"source": source, "position": position, "id": key, "reason": reason}
            self.errors.append(error)

    def fail_all(self, errors: Iterable[dict[str, Any]]) -> None:
        for error in errors:
            self.fail(error["source"], error["position"], error["id"], error["reason"])

    def add(self, other: ImportReport) -> None:
        """Add what was counted for another table."""
        self.found += other.found
        self.imported += other.imported
        self.updated += other.updated
        self.skipped += other.skipped
        self.failed += other.failed
        self.errors += other.errors[: MAX_ERRORS - len(self.errors)]

    def as_dict(self) -> dict[str, Any]:
        """The JSON document that `dailies import --json` prints."""
        values = asdict(self)
        del values["other_lists"]
        return {"ok": self.ok, **values}
