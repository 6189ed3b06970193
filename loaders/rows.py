"""What the loaders hand out: dictionaries whose known fields are attributes as well."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, NamedTuple

from loaders.formats.json_form import encode


class Record(NamedTuple):
    """A stored job: its key, and the whole of it as JSON text."""

    key: str
    text: str


class Version(NamedTuple):
    """An earlier state of a job, or an event in its life: its number, and its JSON text."""

    number: int
    text: str


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


def dictionaries(cursor: sqlite3.Cursor) -> list[dict[str, Any]]:
    """What a query gave: column -> value, row by row."""
    names = [name for name, *_ in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def json_text(value: Any) -> str | None:
    """The text for a column that holds JSON; ValueError for what JSON cannot hold in any form."""
    return None if value is None else json.dumps(encode(value), ensure_ascii=False)


def required_text(column: str, value: Any) -> str:
    """`value`, which must be text and not blank."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{column} must be text and not blank, not {value!r}")
    return value
