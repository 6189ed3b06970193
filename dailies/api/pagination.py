"""Lists of a resource: filters, full-text search, order, and pages that a token leads through.

A page goes on after the last row of the one before, found by its value and row number. Rows that
come or go meanwhile neither repeat others nor hide them.
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

from dailies.api.request import RefusalError, quoted, refuse_unknown
from dailies.api.resources import Resource
from dailies.api.responses import Stored
from loaders.queues.job_rows import INSTANT
from loaders.times import configured_timezone, to_instant

DEFAULT_SIZE = 100
MOST_ROWS = 1000
MOST_WORDS = 100
LARGEST_INTEGER = 2**63 - 1
PARAMETERS = ("q", "_sort", "_size", "_next")
BOOLEANS = {"true": 1, "false": 0, "1": 1, "0": 0}
NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", re.ASCII)

Value = str | int | float | None


class Position(NamedTuple):
    """Where a page ended: the value that it was sorted by, and the number of the row."""

    value: Value
    row: int


class Segment(NamedTuple):
    """A part of a list: SQL, and the values in it."""

    condition: str
    values: Mapping[str, Value]


class Page(NamedTuple):
    rows: list[Stored]
    next: str | None


@dataclass(frozen=True)
class Listing:
    """A request for one page; `conditions` are SQL over `values`."""

    sort: str
    descending: bool
    size: int
    after: Position | None
    conditions: tuple[str, ...] = ()
    values: Mapping[str, Value] = field(default_factory=dict)


def parse_listing(resource: Resource, parameters: list[tuple[str, str]]) -> Listing:
    """What the parameters ask for; RefusalError that names each one that makes no sense."""
    given = dict(parameters)
    refuse_unknown(given, (*PARAMETERS, *resource.columns), "parameter")
    if len(given) < len(parameters):
        raise RefusalError(400, "A parameter is given twice")
    sort, descending = parse_sort(resource, given.get("_sort", "-created_at"))
    conditions, values = parse_filters(resource, given)
    words = given.get("q", "").replace("\0", " ").split()
    if len(words) > MOST_WORDS:
        raise RefusalError(400, f"q: at most {MOST_WORDS} words")
    if words:
        search = parse_words(resource, words)
        conditions.append(search.condition)
        values.update(search.values)
    return Listing(
        sort=sort,
        descending=descending,
        size=parse_size(given.get("_size")),
        after=parse_token(given["_next"]) if given.get("_next") else None,
        conditions=tuple(conditions),
        values=values,
    )


def parse_words(resource: Resource, words: list[str]) -> Segment:
    """Rows that hold every word: as a word, or where there is no search index, as any text."""
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


def parse_version_page(parameters: list[tuple[str, str]]) -> tuple[int, int | None]:
    """How many versions, and below which number."""
    given = dict(parameters)
    refuse_unknown(given, ("_size", "_next"), "parameter")
    if not given.get("_next"):
        return parse_size(given.get("_size")), None
    number = parse_token(given["_next"]).value
    if not isinstance(number, int):
        raise RefusalError(400, f"_next: {quoted(given['_next'])} is no token of ours")
    return parse_size(given.get("_size")), number


def parse_sort(resource: Resource, text: str) -> tuple[str, bool]:
    column = text.removeprefix("-")
    if column not in resource.columns:
        raise RefusalError(400, f"_sort: there is no column {quoted(column)}")
    return column, text.startswith("-")


def parse_size(text: str | None) -> int:
    if text is None:
        return DEFAULT_SIZE
    if not re.fullmatch(r"[0-9]{1,4}", text, re.ASCII) or not 1 <= int(text) <= MOST_ROWS:
        raise RefusalError(
            400, f"_size: must be a number from 1 to {MOST_ROWS}, not {quoted(text)}"
        )
    return int(text)


def parse_filters(
    resource: Resource, given: Mapping[str, str]
) -> tuple[list[str], dict[str, Value]]:
    conditions = []
    values: dict[str, Value] = {}
    for column, kind in resource.columns.items():
        if column not in given:
            continue
        conditions.append(f"{compared(resource, column)} = :{column}")
        values[column] = parse_value(column, kind, given[column])
    return conditions, values


def parse_value(column: str, kind: str, text: str) -> Value:
    """What a column of this kind is compared with; RefusalError for what it never holds."""
    if kind == "boolean":
        if text not in BOOLEANS:
            raise RefusalError(400, f"{column}: must be true, false, 1 or 0, not {quoted(text)}")
        return BOOLEANS[text]
    if kind == "time":
        instant = to_instant(text, configured_timezone())
        if not INSTANT.fullmatch(instant):
            example = "2026-11-20T07:15:00Z"
            raise RefusalError(
                400, f"{column}: must be a time such as {example}, not {quoted(text)}"
            )
        return instant
    if kind == "number" and not NUMBER.fullmatch(text):
        raise RefusalError(400, f"{column}: must be a number, not {quoted(text)}")
    return text


def compared(resource: Resource, column: str) -> str:
    """SQL: what of a column is compared and sorted by."""
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
    if not is_value(value) or type(row) is not int or abs(row) > LARGEST_INTEGER:
        raise RefusalError(400, f"_next: {quoted(token)} is no token of ours")
    return Position(value, row)


def is_value(value: Any) -> bool:
    if isinstance(value, int):
        return abs(value) <= LARGEST_INTEGER
    return value is None or isinstance(value, str | float)


def read_page(connection: sqlite3.Connection, resource: Resource, listing: Listing) -> Page:
    """The page, read in one go: nulls stand together, first if ascending, last if descending."""
    wanted = listing.size + 1
    found: list[tuple[Any, ...]] = []
    for condition, values in segments(resource, listing):
        sql = page_sql(resource, listing, condition)
        limit = wanted - len(found)
        found += connection.execute(sql, {**listing.values, **values, "limit": limit}).fetchall()
        if len(found) == wanted:
            break
    shown = found[: listing.size]
    following = None
    if len(found) == wanted:
        last = tuple(shown[-1])
        following = format_token(Position(sortable(last[-2]), last[-1]))
    return Page([resource.to_stored(tuple(row)[:-2]) for row in shown], following)


def sortable(value: Any) -> Value:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def segments(resource: Resource, listing: Listing) -> list[Segment]:
    """Parts of the list that an index can serve, to be read one after the other."""
    column = compared(resource, listing.sort)
    row = f"{resource.table}.rowid"
    nulls = Segment(f"{column} is null", {})
    others = Segment(f"{column} is not null", {})
    if listing.after is None:
        return [others, nulls] if listing.descending else [nulls, others]
    beyond = "<" if listing.descending else ">"
    values: dict[str, Value] = {"after": listing.after.value, "after_row": listing.after.row}
    if listing.after.value is None:
        rest = Segment(f"{nulls.condition} and {row} {beyond} :after_row", values)
        return [rest] if listing.descending else [rest, others]
    rest = Segment(
        f"{column} {beyond}= :after and ({column} {beyond} :after or {row} {beyond} :after_row)",
        values,
    )
    return [rest, nulls] if listing.descending else [rest]


def page_sql(resource: Resource, listing: Listing, condition: str) -> str:
    """SQL: the rows in their order. Only those of the page are read whole."""
    column = compared(resource, listing.sort)
    direction = "desc" if listing.descending else "asc"
    return f"""
        select
          {resource.stored},
          page.sorted_by,
          page.number
        from (
          select
            {column} as sorted_by,
            {resource.table}.rowid as number
          from {resource.table}
          where {" and ".join((condition, *listing.conditions))}
          order by sorted_by {direction}, number {direction}
          limit :limit
        ) as page
        join {resource.table} on {resource.table}.rowid = page.number
        order by page.sorted_by {direction}, page.number {direction}
        """  # noqa: S608
