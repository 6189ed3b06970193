"""The result of `dailies verify`: how a file differs from a database."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Comparison:
    """Keys missing in the database, extra in it, and different, with the paths that differ."""

    found: int = 0
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    different: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not (self.missing or self.extra or self.different or self.errors)

    def as_dict(self) -> dict[str, Any]:
        """The JSON document that `dailies verify --json` prints."""
        return {"ok": self.ok, **asdict(self)}
