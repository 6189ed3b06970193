"""The report of an import: every row found is imported, updated, skipped or failed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple


class Origin(NamedTuple):
    """Where a row came from: file, position in it, and its key if it has one."""

    source: str
    position: str
    key: str | None = None


@dataclass
class ImportReport:
    """Counts of rows, one error for each failed row, and the backup taken before updates."""

    found: int = 0
    imported: int = 0
    updated: int = 0
    skipped: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)
    backup: str | None = None

    @property
    def failed(self) -> int:
        return len(self.errors)

    @property
    def ok(self) -> bool:
        return not self.errors

    def fail(self, source: str, position: str, key: str | None, reason: str) -> None:
        self.errors.append({"source": source, "position": position, "id": key, "reason": reason})

    def as_dict(self) -> dict[str, Any]:
        """The JSON document that `dailies import --json` prints."""
        return {"ok": self.ok, "failed": self.failed, **asdict(self)}
