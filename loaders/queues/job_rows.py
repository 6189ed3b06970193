"""Rows of the two job queues as dictionaries, and dictionaries as rows.

Columns of JSON hold Python values in the dictionaries, times are texts; a `datetime` may be given.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from loaders.connections import Connection, sqlite_connection
from loaders.errors import Invalid, translated
from loaders.times import configured_timezone, to_instant

Row = dict[str, Any]
INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z", re.ASCII)
LARGEST_INTEGER = 2**63 - 1


class LifeCycleError(Invalid):
    """A change of status that the life cycle forbids; the message says from where to where."""


@dataclass(frozen=True)
class Table:
    """A table as its functions write it: each column and its kind (text, number, time or json)."""

    name: str
    columns: Mapping[str, str]


def select(
    db: Connection, table: Table, sql: str, parameters: Mapping[str, Any] | None = None
) -> list[Row]:
    """The rows that a query gives, with JSON read."""
    cursor = sqlite_connection(db).execute(sql, dict(parameters or {}))
    names = [name for name, *_ in cursor.description]
    return [read(table, dict(zip(names, row, strict=True))) for row in cursor]


def read(table: Table, row: Row) -> Row:
    return {
        name: from_json(value) if table.columns.get(name) == "json" else value
        for name, value in row.items()
    }


def from_json(value: Any) -> Any:
    """The value of a JSON text; what is none stays as it is. What JSON cannot say again is null."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, parse_constant=lambda _: None, parse_float=finite)
    except (ValueError, RecursionError):
        return value


def finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def insert(
    connection: sqlite3.Connection, table: Table, what: str, values: Mapping[str, Any]
) -> int:
    """Insert a row; its row number. `what` names it in errors."""
    row = stored(table, values)
    columns, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
    with refusing(what, row):
        cursor = connection.execute(
            f"insert into {table.name} ({columns}) values ({marks})",  # noqa: S608
            row,
        )
    return int(cursor.lastrowid or 0)


def update(
    connection: sqlite3.Connection, table: Table, job_id: int | str, changes: Mapping[str, Any]
) -> bool:
    """Change a job's columns; False if there is no such job. The key stays what it is."""
    row = stored(table, {name: value for name, value in changes.items() if name != "job_id"})
    # A column set to itself, so that no change at all is a statement too.
    assignments = ", ".join(f"{name} = :{name}" for name in row) or "status = status"
    what = f"{table.name}.status: cannot go from {status_of(connection, table, job_id)} to"
    with refusing(f"job {job_id}", row, f"{what} {row.get('status')}"):
        cursor = connection.execute(
            f"update {table.name} set {assignments} where job_id = :job_id",  # noqa: S608
            {**row, "job_id": key(job_id)},
        )
    return cursor.rowcount > 0


def status_of(connection: sqlite3.Connection, table: Table, job_id: int | str) -> str | None:
    sql = f"select status from {table.name} where job_id = ?"  # noqa: S608
    found = connection.execute(sql, (key(job_id),)).fetchone()
    return found[0] if found else None


@contextmanager
def refusing(what: str, row: Mapping[str, Any], forbidden: str = "") -> Iterator[None]:
    """Translate errors of a write; `forbidden` is the message for a forbidden change of status."""
    try:
        with translated(what, row):
            yield
    except Invalid as error:
        if "(see job_status_moves)" in str(error):
            raise LifeCycleError(forbidden) from error
        raise


def key(job_id: Any) -> Any:
    """A job's key as SQLite takes it; what cannot be one finds no job."""
    too_large = isinstance(job_id, int) and abs(job_id) > LARGEST_INTEGER
    return None if too_large or not isinstance(job_id, int | str) else job_id


def stored(table: Table, values: Mapping[str, Any]) -> Row:
    """The values as SQLite holds them; ValueError naming a column that is none, or a bad value."""
    for name in values:
        if name not in table.columns:
            raise ValueError(f'{table.name} has no column "{name}"')
    return {
        name: CONVERTERS[table.columns[name]](f"{table.name}.{name}", value)
        for name, value in values.items()
    }


def to_text(column: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{column}: must be text, not {value!r}")
    if value is not None:
        require_unicode(column, value)
    return value


def require_unicode(column: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{column}: holds half of a character (a lone surrogate)") from error


def to_number(column: str, value: Any) -> int | float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{column}: must be a number, not {value!r}")
    if not math.isfinite(value) or abs(value) > LARGEST_INTEGER:
        raise ValueError(f"{column}: is out of range: {value!r}")
    return value


def to_time(column: str, value: Any) -> str | None:
    """The instant in our form; without a zone it is meant in the configured one."""
    if value is None:
        return None
    text = value.isoformat() if isinstance(value, datetime) else value
    instant = to_instant(text, configured_timezone()) if isinstance(text, str) else ""
    if not INSTANT.fullmatch(instant):
        raise ValueError(f"{column}: must be a time such as 2026-11-20T07:15:00Z, not {value!r}")
    return instant


def to_json(column: str, value: Any) -> str | None:
    """JSON text; a text is taken for JSON already."""
    if value is None:
        return None
    try:
        text = json.dumps(json.loads(value) if isinstance(value, str) else value,
                          ensure_ascii=False, allow_nan=False)  # fmt: skip
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{column}: is not valid JSON: {error}") from error
    require_unicode(column, text)
    return text


CONVERTERS = {"text": to_text, "number": to_number, "time": to_time, "json": to_json}
