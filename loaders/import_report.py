"""The report of an import: every row found is imported, updated, skipped or failed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

MAX_ERRORS = 100_000


class Origin(NamedTuple):
    """Where a row came from: file, position in it, and its key if it has one."""

    source: str
    position: str
    key: str | None = None


@dataclass
class ImportReport:
    """Counts of rows, an error for each failed row (the first ones), and the backup of updates."""

    found: int = 0
    imported: int = 0
    updated: int = 0
    skipped: int = 0
    failed: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)
    backup: str | None = None

    @property
    def ok(self) -> bool:
        return self.failed == 0

    def fail(self, source: str, position: str, key: str | None, reason: str) -> None:
        self.failed += 1
        if len(self.errors) < MAX_ERRORS:
            error = {"source": source, "position": position, "id": key, "reason": reason}
            self.errors.append(error)

    def as_dict(self) -> dict[str, Any]:
        """The JSON document that `dailies import --json` prints."""
        return {"ok": self.ok, **asdict(self)}
