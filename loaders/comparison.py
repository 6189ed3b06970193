"""The result of `dailies verify`: how a file differs from a database."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from loaders.import_report import OtherLists


@dataclass
class Comparison:
    """Keys missing in the database, extra in it, and different, with the paths that differ.

    `other_lists` are those of files with several tables.
    """

    found: int = 0
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    different: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    other_lists: OtherLists = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not (self.missing or self.extra or self.different or self.errors)

    def as_dict(self) -> dict[str, Any]:
        """The JSON document that `dailies verify --json` prints."""
        values = asdict(self)
        del values["other_lists"]
        return {"ok": self.ok, **values}

    def add(self, other: Comparison, table: str) -> None:
        """Add the comparison of another table, whose keys get its name."""
        self.found += other.found
        self.missing += [f"{table} {key}" for key in other.missing]
        self.extra += [f"{table} {key}" for key in other.extra]
        self.different += [{**one, "id": f"{table} {one['id']}"} for one in other.different]
        self.errors += other.errors
