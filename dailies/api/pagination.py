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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dailies.api.filters import Value, parse_filters, refuse_unknown_filters
from dailies.api.resources import Resource
from loaders.errors import Invalid
from loaders.messages import quoted
from loaders.rows import Record
from loaders.search import MAX_TERMS, terms_of

DEFAULT_SIZE = 100
MAX_ROWS = 1000
MAX_BYTES = 4_000_000  # of a page, but for its last row
SEGMENT = "/* segment */"  # in SQL: where the condition of a segment goes
MAX_READ = 2_000  # rows that may be read in vain before the search index is asked
MAX_INTEGER = 2**63 - 1
PARAMETERS = ("q", "_sort", "_size", "_next")

FIND_INDEX = """
select 1
from pragma_index_list(:table) as list
join pragma_index_info(list.name) as info
where info.seqno = 0
  and info.name = :column
"""


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
    """One page of a list: rows that hold the `text`, and for which all `conditions` are true.

    The parameters of these, which are SQL, are `values`.
    """

    sort: str
    descending: bool
    size: int
    after: Position | None
    text: str = ""
    conditions: tuple[str, ...] = ()
    values: Mapping[str, Value] = field(default_factory=dict)


def parse_query(resource: Resource, given: Mapping[str, str]) -> ListQuery:
    """The page that these parameters ask for. Invalid, naming the first one that is wrong."""
    refuse_unknown_filters(resource, given, *PARAMETERS)
    sort, descending = parse_sort(resource, given.get("_sort", "-created_at"))
    conditions, values = parse_filters(resource, given)
    text = given.get("q", "")
    if len(text.split()) > MAX_TERMS:
        raise Invalid(f"q: at most {MAX_TERMS} words")
    if terms_of(text):
        values["q"] = text
    return ListQuery(
        sort=sort,
        descending=descending,
        size=parse_size(given.get("_size")),
        after=parse_token(given["_next"]) if given.get("_next") else None,
        text=text if "q" in values else "",
        conditions=tuple(conditions),
        values=values,
    )


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
    statements = statements_of(connection, resource, query)
    for condition, values in segments(resource, query):
        if len(statements) > 1 and is_empty(connection, resource, query, condition, values):
            continue
        limit = query.size + 1 - len(records)
        parameters = {**query.values, **values, "limit": limit}
        for *row, value, number in read_rows(connection, statements, condition, parameters):
            if len(records) == query.size or bytes_left <= 0:
                return Page(records, format_token(last))
            record = resource.to_record(row)
            records.append(record)
            last = Position(sortable(value), number)
            bytes_left -= len(record.text)
    return Page(records, None)


def read_rows(
    connection: sqlite3.Connection,
    statements: list[str],
    condition: str,
    parameters: Mapping[str, Value],
) -> Iterable[tuple[Any, ...]]:
    """The rows of the last statement, or of one before it that gives as many as are wanted."""
    *shortcuts, last = (sql.replace(SEGMENT, condition) for sql in statements)
    for sql in shortcuts:
        rows = connection.execute(sql, parameters).fetchall()
        if len(rows) == parameters["limit"]:
            return rows
    return connection.execute(last, parameters)


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


def statements_of(
    connection: sqlite3.Connection, resource: Resource, query: ListQuery
) -> list[str]:
    """SQL: the rows of a segment in their order, whole rows of the page only.

    What many rows hold is likely to be in those that come first: these are read before.
    """
    if not query.text:
        found = page_sql(resource, query, query.conditions)
        if not query.conditions or not is_indexed(connection, resource, query.sort):
            return [found]
        return [page_sql(resource, query, (), " and ".join(query.conditions)), found]
    search = resource.search
    if not search.finds_many(connection, query.text):
        return [page_sql(resource, query, (*query.conditions, search.condition))]
    found = page_sql(resource, query, (*query.conditions, search.condition_in_order(query.text)))
    return [page_sql(resource, query, query.conditions, search.condition_of_row), found]


def is_empty(
    connection: sqlite3.Connection,
    resource: Resource,
    query: ListQuery,
    condition: str,
    values: Mapping[str, Value],
) -> bool:
    """True if a segment has no rows, as that of nulls in most lists."""
    sql = f"select 1 from {source_of(resource, query)} where {condition} limit 1"  # noqa: S608
    return connection.execute(sql, values).fetchone() is None


def source_of(resource: Resource, query: ListQuery) -> str:
    times = "join job_times using (job_id)" if query.sort in resource.sorted_times else ""
    return f"{resource.table} {times}"


def is_indexed(connection: sqlite3.Connection, resource: Resource, column: str) -> bool:
    """True if rows can be read in the order of this column."""
    table, _, name = sort_value(resource, column).rpartition(".")
    return connection.execute(FIND_INDEX, {"table": table, "column": name}).fetchone() is not None


def page_sql(
    resource: Resource, query: ListQuery, conditions: Iterable[str], among_first: str = ""
) -> str:
    """SQL: the rows in their order; only those of the first that are `among_first`, if given."""
    column = sort_value(resource, query.sort)
    direction = "desc" if query.descending else "asc"
    order = f"order by sorted_by {direction}, number {direction}"
    page = f"""
          select
            {column} as sorted_by,
            {resource.table}.rowid as number
          from {source_of(resource, query)}
          where {" and ".join((SEGMENT, *conditions))}
          {order}
          limit {MAX_READ if among_first else ":limit"}
        """  # noqa: S608
    if among_first:
        page = f"""
          select sorted_by, number
          from ({page}) as first
          cross join {resource.table} on {resource.table}.rowid = first.number
          where {among_first}
          limit :limit
        """  # noqa: S608
    return f"""
        select
          {resource.select},
          page.sorted_by,
          page.number
        from ({page}) as page
        join {resource.table} on {resource.table}.rowid = page.number
        order by page.sorted_by {direction}, page.number {direction}
        """  # noqa: S608
