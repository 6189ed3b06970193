"""What an import says of every row it met."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

Progress = Callable[[int], None]  # told of rows as they pass


@dataclass
class ImportReport:
    """Counts of rows; each row found is imported, updated, skipped, or failed with an error."""

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
        """The document that `dailies import --json` prints."""
        return {"ok": self.ok, "failed": self.failed, **asdict(self)}
