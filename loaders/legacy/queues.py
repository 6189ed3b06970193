"""What the upgrades of both job queues have in common."""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from typing import Any, NamedTuple

from loaders.legacy.json_text import without_lone_surrogates
from loaders.legacy.tables import SET_ASIDE, text_or_bytes
from loaders.queues.instants import instant
from loaders.times import format_instant

ISO_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}", re.ASCII)


def correct_json(
    connection: sqlite3.Connection, table: str, key: str, column: str, unreadable: str
) -> None:
    """Make every text in a JSON column valid JSON; what was none is set aside whole.

    NaN and infinities become null, lone surrogates U+FFFD; what cannot be read, `unreadable`.
    """
    suspects = connection.execute(
        rf"""
        select rowid, {key}, cast({column} as blob)
        from {table}
        where {column} is not null
          and (typeof({column}) = 'blob'
            or not json_valid({column})
            or {column} glob '*\u[dD][89a-fA-F]*')
        """  # noqa: S608
    ).fetchall()
    for rowid, row_key, content in suspects:
        corrected = valid_json(content, unreadable)
        if corrected is None:
            continue
        values = {
            "table_name": table,
            "row_key": row_key,
            "reason": f"{column} was no valid JSON; what could be read of it stays",
            "content": text_or_bytes(content),
        }
        connection.execute(SET_ASIDE, values)
        connection.execute(
            f"update {table} set {column} = ? where rowid = ?",  # noqa: S608
            (corrected, rowid),
        )


def valid_json(content: bytes, unreadable: str) -> str | None:
    """Valid JSON for `content`; None where it is that already."""
    strange: list[str] = []
    try:
        value = json.loads(
            content.decode("utf-8", "replace"), parse_constant=strange.append, parse_float=finite
        )
    except (ValueError, RecursionError):
        return unreadable
    whole = without_lone_surrogates(value)
    if not strange and whole == value and isinstance(text_or_bytes(content), str):
        return None
    return json.dumps(whole, ensure_ascii=False)


def finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


class Moment(NamedTuple):
    """What a stored time means: the instants it may name, in order, and whether it names no zone.

    On the night that a clock is set back, a local time of the hour that is repeated means two.
    """

    instants: tuple[str, ...]
    local: bool


def moment_of(value: Any, zone: tzinfo) -> Moment | None:
    """The moment of an ISO time, meant in `zone` where it names none; None for another value."""
    if not isinstance(value, str) or not ISO_TIME.match(value):
        return None
    try:
        moment = datetime.fromisoformat(value.upper())
        if moment.tzinfo is not None:
            return Moment((format_instant(moment),), local=False)
        first, second = (moment.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
        twice = first.utcoffset() != second.utcoffset()
        instants = sorted(map(format_instant, (first, second) if twice else (first,)))
        return Moment(tuple(instants), local=True)
    except (ValueError, OverflowError):
        return None


def convert_times(
    connection: sqlite3.Connection, table: str, columns: Iterable[str], zone: tzinfo,
    earliest: str = "null",
) -> None:  # fmt: skip
    """Write local times as the instants that they are in `zone`; `columns` in the order of events.

    `earliest` is SQL: the instant before which none of a row's times was. In UTC a time without a
    zone names its instant already, so its text stays.
    """
    if zone is UTC:
        return
    names = list(columns)
    rows = connection.execute(
        f"select rowid, {earliest}, {', '.join(names)} from {table}"  # noqa: S608
    ).fetchall()
    assignments = ", ".join(f"{name} = ?" for name in names)
    connection.executemany(
        f"update {table} set {assignments} where rowid = ?",  # noqa: S608
        [
            (*converted, rowid)
            for rowid, first, *values in rows
            if (converted := convert(values, zone, first)) != values
        ],
    )


def convert(values: list[Any], zone: tzinfo, earliest: Any) -> list[Any]:
    """Each local time as the first of its instants that is not before those of its predecessors."""
    began = moment_of(earliest, UTC)
    last = began.instants[0] if began else ""
    converted = []
    for value in values:
        moment = moment_of(value, zone)
        if moment is None:
            converted.append(value)
            continue
        instant = next((one for one in moment.instants if one >= last), moment.instants[0])
        last = max(last, instant)
        converted.append(instant if moment.local else value)
    return converted


def add_times(connection: sqlite3.Connection, table: str, finished: str) -> None:
    """Fill `job_times`, which triggers keep from then on; `finished` is a column of both tables."""
    connection.execute(
        f"""
        insert into job_times (job_id, status, priority, created_at, {finished})
        select job_id, status, priority, {instant("created_at")}, {instant(finished)}
        from {table}
        """  # noqa: S608
    )
