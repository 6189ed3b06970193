"""What the loaders hand out: dictionaries whose known fields are attributes as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Job(dict[str, Any]):
    """A whole job: a dictionary of what was said of it, with its table's columns as attributes."""

    def __init__(self, document: Mapping[str, Any], columns: Mapping[str, Any]) -> None:
        super().__init__(document)
        self.columns = dict(columns)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.columns[name] if name in self.columns else self[name]
        except KeyError:
            raise AttributeError(name) from None

    def to_dict(self) -> dict[str, Any]:
        """The job with the times that the database keeps, where it does not say them itself."""
        times = {
            name: self.columns[name]
            for name in ("created_at", "updated_at")
            if self.get(name) is None and self.columns.get(name) is not None
        }
        return {**self, **times}


class Statistics(dict[str, Any]):
    """Named numbers, as keys and as attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None
