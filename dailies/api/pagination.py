"""Lists of a resource: filters, full-text search, order, and pages by a token (keyset pagination).

A page continues after the last row of the one before, found by its value and row number, so that
rows added or deleted meanwhile neither repeat nor hide others.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dailies.api.request import refuse_unknown
from dailies.api.resources import Resource
from loaders.errors import Invalid
from loaders.messages import quoted
from loaders.rows import Record
from loaders.times import INSTANT, configured_timezone, to_instant

DEFAULT_SIZE = 100
MAX_ROWS = 1000
MAX_BYTES = 4_000_000  # of a page, but for its last row
MAX_WORDS = 100
MAX_INTEGER = 2**63 - 1
PARAMETERS = ("q", "_sort", "_size", "_next")
BOOLEANS = {"true": 1, "false": 0, "1": 1, "0": 0}
NUMBER = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,4})?", re.ASCII)

Value = str | int | float | None


class Position(NamedTuple):
    """The end of a page: the value that it was sorted by, and the number of the row."""

    value: Value
    row: int


class Segment(NamedTuple):
    """A part of a list: SQL, and its parameters."""

    condition: str
    values: Mapping[str, Value]


class Page(NamedTuple):
    records: list[Record]
    next: str | None


@dataclass(frozen=True)
class ListQuery:
    """One page of a list; `conditions` are SQL with the parameters `values`."""

    sort: str
    descending: bool
    size: int
    after: Position | None
    conditions: tuple[str, ...] = ()
    values: Mapping[str, Value] = field(default_factory=dict)


def parse_query(resource: Resource, given: Mapping[str, str]) -> ListQuery:
    """The page that these parameters ask for. Invalid, naming the first one that is wrong."""
    refuse_unknown(given, (*PARAMETERS, *resource.columns), "parameter")
    sort, descending = parse_sort(resource, given.get("_sort", "-created_at"))
    conditions, values = parse_filters(resource, given)
    words = given.get("q", "").replace("\0", " ").split()
    if len(words) > MAX_WORDS:
        raise Invalid(f"q: at most {MAX_WORDS} words")
    if words:
        search = parse_words(resource, words)
        conditions.append(search.condition)
        values.update(search.values)
    return ListQuery(
        sort=sort,
        descending=descending,
        size=parse_size(given.get("_size")),
        after=parse_token(given["_next"]) if given.get("_next") else None,
        conditions=tuple(conditions),
        values=values,
    )


def parse_words(resource: Resource, words: list[str]) -> Segment:
    """Rows that contain every word: as a word, or where there is no search index, as any text."""
    if index := resource.search_index:
        found = f"select rowid from {index} where {index} match :q"  # noqa: S608
        quoted_words = " ".join('"' + word.replace('"', '""') + '"' for word in words)
        return Segment(f"{resource.table}.rowid in ({found})", {"q": quoted_words})
    text = " || char(10) || ".join(
        f"coalesce({resource.table}.{column}, '')" for column in resource.searched
    )
    values = {f"q{number}": word for number, word in enumerate(words)}
    held = (f"instr(lower({text}), lower(:{name}))" for name in values)
    return Segment(" and ".join(held), values)


def parse_numbered_page(given: Mapping[str, str]) -> tuple[int, int | None]:
    """How many versions or events, and below which number."""
    if not given.get("_next"):
        return parse_size(given.get("_size")), None
    number = parse_token(given["_next"]).value
    if not isinstance(number, int):
        raise Invalid(f"_next: {quoted(given['_next'])} is not a token of this API")
    return parse_size(given.get("_size")), number


def parse_sort(resource: Resource, text: str) -> tuple[str, bool]:
    column = text.removeprefix("-")
    if column not in resource.columns:
        raise Invalid(f"_sort: there is no column {quoted(column)}")
    return column, text.startswith("-")


def parse_size(text: str | None) -> int:
    if text is None:
        return DEFAULT_SIZE
    if not re.fullmatch(r"[0-9]{1,4}", text, re.ASCII) or not 1 <= int(text) <= MAX_ROWS:
        raise Invalid(f"_size: must be a number from 1 to {MAX_ROWS}, not {quoted(text)}")
    return int(text)


def parse_filters(
    resource: Resource, given: Mapping[str, str]
) -> tuple[list[str], dict[str, Value]]:
    conditions = []
    values: dict[str, Value] = {}
    for column, kind in resource.columns.items():
        if column not in given:
            continue
        conditions.append(equal(resource, column))
        value = parse_value(column, kind, given[column])
        if column in resource.instants:
            value = resource.instant_value(str(value))
        values[column] = value
    return conditions, values


def parse_value(column: str, kind: str, text: str) -> Value:
    """The value to compare a column of this kind with. Invalid if it cannot hold such a value."""
    if kind == "boolean":
        if text not in BOOLEANS:
            raise Invalid(f"{column}: must be true, false, 1 or 0, not {quoted(text)}")
        return BOOLEANS[text]
    if kind == "time":
        instant = to_instant(text, configured_timezone())
        if not INSTANT.fullmatch(instant):
            example = "2026-11-20T07:15:00Z"
            raise Invalid(f"{column}: must be a time such as {example}, not {quoted(text)}")
        return instant
    if kind == "number" and not NUMBER.fullmatch(text):
        raise Invalid(f"{column}: must be a number, not {quoted(text)}")
    return text


def equal(resource: Resource, column: str) -> str:
    """SQL: true for rows whose column has the value of the parameter of its name."""
    if column in resource.sorted_times:
        found = f"select job_id from job_times where {column} = :{column}"  # noqa: S608
        return f"{resource.table}.job_id in ({found})"
    return f"{resource.instants.get(column, f'{resource.table}.{column}')} = :{column}"


def sort_value(resource: Resource, column: str) -> str:
    """SQL: the value of a column by which rows are sorted."""
    if column in resource.sorted_times:
        return f"job_times.{column}"
    return resource.instants.get(column, f"{resource.table}.{column}")


def format_token(position: Position) -> str:
    text = json.dumps(position, ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode(errors="replace")).decode().rstrip("=")


def parse_token(token: str) -> Position:
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        value, row = json.loads(text)
    except (ValueError, TypeError, binascii.Error, RecursionError):
        value, row = None, None
    if not is_value(value) or type(row) is not int or abs(row) > MAX_INTEGER:
        raise Invalid(f"_next: {quoted(token)} is not a token of this API")
    return Position(value, row)


def is_value(value: Any) -> bool:
    if isinstance(value, int):
        return abs(value) <= MAX_INTEGER
    return value is None or isinstance(value, str | float)


def read_page(connection: sqlite3.Connection, resource: Resource, query: ListQuery) -> Page:
    """Read a page. Nulls come together: first if ascending, last if descending."""
    records: list[Record] = []
    last = Position(None, 0)
    bytes_left = MAX_BYTES
    for condition, values in segments(resource, query):
        limit = query.size + 1 - len(records)
        parameters = {**query.values, **values, "limit": limit}
        for *row, value, number in connection.execute(
            page_sql(resource, query, condition), parameters
        ):
            if len(records) == query.size or bytes_left <= 0:
                return Page(records, format_token(last))
            record = resource.to_record(row)
            records.append(record)
            last = Position(sortable(value), number)
            bytes_left -= len(record.text)
    return Page(records, None)


def sortable(value: Any) -> Value:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def segments(resource: Resource, query: ListQuery) -> list[Segment]:
    """Parts of the list that an index can serve, in their order."""
    column = sort_value(resource, query.sort)
    row = f"{resource.table}.rowid"
    nulls = Segment(f"{column} is null", {})
    others = Segment(f"{column} is not null", {})
    if query.after is None:
        return [others, nulls] if query.descending else [nulls, others]
    beyond = "<" if query.descending else ">"
    values: dict[str, Value] = {"after": query.after.value, "after_row": query.after.row}
    if query.after.value is None:
        rest = Segment(f"{nulls.condition} and {row} {beyond} :after_row", values)
        return [rest] if query.descending else [rest, others]
    rest = Segment(
        f"{column} {beyond}= :after and ({column} {beyond} :after or {row} {beyond} :after_row)",
        values,
    )
    return [rest, nulls] if query.descending else [rest]


def page_sql(resource: Resource, query: ListQuery, condition: str) -> str:
    """SQL: the rows in their order. Whole rows are read of the page only."""
    column = sort_value(resource, query.sort)
    direction = "desc" if query.descending else "asc"
    times = "join job_times using (job_id)" if query.sort in resource.sorted_times else ""
    return f"""
        select
          {resource.select},
          page.sorted_by,
          page.number
        from (
          select
            {column} as sorted_by,
            {resource.table}.rowid as number
          from {resource.table}
          {times}
          where {" and ".join((condition, *query.conditions))}
          order by sorted_by {direction}, number {direction}
          limit :limit
        ) as page
        join {resource.table} on {resource.table}.rowid = page.number
        order by page.sorted_by {direction}, page.number {direction}
        """  # noqa: S608
