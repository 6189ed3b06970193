"""Rows as Python objects: dictionaries whose keys are also attributes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from loaders.connections import Connection, reading
from loaders.formats.json_form import encode


class Record(NamedTuple):
    """A stored job: its key, and the whole of it as JSON text."""

    key: str
    text: str


Change = Callable[[dict[str, Any]], dict[str, Any]]
Check = Callable[[Record], None]


class Version(NamedTuple):
    """An earlier state of a job, or an event in its life: its number, and its JSON text."""

    number: int
    text: str


class Job(dict[str, Any]):
    """A job: a dictionary of its document, with the columns of its table as attributes."""

    def __init__(self, document: Mapping[str, Any], columns: Mapping[str, Any]) -> None:
        super().__init__(document)
        self.columns = dict(columns)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.columns[name] if name in self.columns else self[name]
        except KeyError:
            raise AttributeError(name) from None

    def to_dict(self) -> dict[str, Any]:
        """The document; times that it does not contain are taken from the columns."""
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


def select(
    db: Connection, sql: str, values: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The rows of a query as column -> value."""
    with reading(db) as connection:
        return dictionaries(connection.execute(sql, dict(values or {})))


def dictionaries(cursor: sqlite3.Cursor) -> list[dict[str, Any]]:
    """The rows of a query as column -> value."""
    names = [name for name, *_ in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def json_text(value: Any) -> str | None:
    """The text for a JSON column; ValueError for a value that has no JSON form."""
    return None if value is None else json.dumps(encode(value), ensure_ascii=False)


def required_text(column: str, value: Any) -> str:
    """The value itself; ValueError unless it is text and not blank."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{column} must be text and not blank, not {value!r}")
    return value
