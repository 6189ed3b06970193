"""Rows of the queues' tables as dictionaries: values of JSON columns are Python objects."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from loaders.connections import Connection
from loaders.errors import Invalid, translated
from loaders.rows import select
from loaders.times import INSTANT, configured_timezone, to_instant

Row = dict[str, Any]
MAX_INTEGER = 2**63 - 1


@dataclass(frozen=True)
class Table:
    """A table and the kind of each of its columns: text, number, time or json."""

    name: str
    columns: Mapping[str, str]

    def select(
        self, db: Connection, sql: str, parameters: Mapping[str, Any] | None = None
    ) -> list[Row]:
        """The rows of a query, with JSON parsed."""
        return [self.parsed(row) for row in select(db, sql, parameters)]

    def parsed(self, row: Row) -> Row:
        """The row, with the values of its JSON columns."""
        return {**row, **{name: from_json(row[name]) for name in self.json_columns if name in row}}

    @cached_property
    def json_columns(self) -> tuple[str, ...]:
        return tuple(name for name, kind in self.columns.items() if kind == "json")

    def insert(self, connection: sqlite3.Connection, label: str, values: Mapping[str, Any]) -> int:
        """Insert a row and return its rowid. `label` names the row in errors."""
        row = self.converted(values)
        columns, parameters = ", ".join(row), ", ".join(f":{name}" for name in row)
        sql = f"insert into {self.name} ({columns}) values ({parameters})"  # noqa: S608
        with translated(label, row):
            return int(connection.execute(sql, row).lastrowid or 0)

    def converted(self, values: Mapping[str, Any]) -> Row:
        """The values as SQLite stores them. Invalid for a wrong type and an unknown column."""
        for name in values:
            if name not in self.columns:
                raise Invalid(f'{self.name} has no column "{name}"')
        return {
            name: None
            if value is None
            else CONVERTERS[self.columns[name]](f"{self.name}.{name}", value)
            for name, value in values.items()
        }


def from_json(value: Any) -> Any:
    """The value of a JSON text, with null for NaN and infinities; other text is unchanged."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, parse_constant=lambda _: None, parse_float=finite)
    except (ValueError, RecursionError):
        return value


def finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def to_text(column: str, value: Any) -> str:
    if not isinstance(value, str):
        raise Invalid(f"{column}: must be text, not {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Invalid(f"{column}: holds half of a character (a lone surrogate)") from error
    return value


def to_number(column: str, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Invalid(f"{column}: must be a number, not {value!r}")
    if not math.isfinite(value) or abs(value) > MAX_INTEGER:
        raise Invalid(f"{column}: is out of range: {value!r}")
    return value


def to_time(column: str, value: Any) -> str:
    """The instant in our form; a time without a zone is taken in the configured one."""
    text = value.isoformat() if isinstance(value, datetime) else value
    instant = to_instant(text, configured_timezone()) if isinstance(text, str) else ""
    if not INSTANT.fullmatch(instant):
        raise Invalid(f"{column}: must be a time such as 2026-11-20T07:15:00Z, not {value!r}")
    return instant


def to_json(column: str, value: Any) -> str:
    """JSON text; text must be JSON already."""
    try:
        parsed = json.loads(value) if isinstance(value, str) else value
        text = json.dumps(parsed, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid(f"{column}: is not valid JSON: {error}") from error
    return to_text(column, text)


CONVERTERS = {"text": to_text, "number": to_number, "time": to_time, "json": to_json}
