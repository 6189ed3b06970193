"""Filters of lists: `column=value` and Datasette's `column__operator=value`, with typed values.

The SQL is that of Datasette's table pages. Values must fit the column, and times are compared as
instants, however they were stored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache

from dailies.api.resources import Resource
from dailies.datasette_compat import Filters
from dailies.storage.bounds import MAX_LIKE_PATTERN
from loaders.errors import Invalid
from loaders.messages import quoted
from loaders.queues.instants import instant
from loaders.times import DATE, INSTANT, configured_timezone, to_instant

EXACT = "exact"
COMPARING = frozenset({EXACT, "not", "gt", "gte", "lt", "lte"})
LISTS = frozenset({"in", "notin"})
ARRAYS = frozenset({"arraycontains", "arraynotcontains"})
WITHOUT_VALUE = frozenset(key for key, _, no_argument in Filters([]).lookups() if no_argument)
OPERATORS = tuple(key for key, _, _ in Filters([]).lookups())
MAX_LISTED = 1_000  # values of `in`
MAX_PATTERN = (MAX_LIKE_PATTERN - 2) // 4  # characters of up to four bytes, between two `%`

BOOLEANS = {"true": 1, "false": 0, "1": 1, "0": 0}
NUMBER = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,4})?", re.ASCII)
TABLE, PLACEHOLDER = "held", "filtered"  # the table and column in Datasette's SQL
COLUMN = re.compile(r'(?:"?held\b"?\.)?"?filtered\b"?')

Value = str | int | float | None


@cache
def filter_names(columns: tuple[str, ...]) -> frozenset[str]:
    """The parameters that filter by these columns."""
    with_operators = (f"{column}__{operator}" for column in columns for operator in OPERATORS)
    return frozenset((*columns, *with_operators))


def refuse_unknown_filters(resource: Resource, given: Mapping[str, str], *others: str) -> None:
    """Invalid, naming each parameter that is no filter and none of `others`."""
    known = filter_names(tuple(resource.columns))
    unknown = [name for name in given if name not in known and name not in others]
    if unknown:
        raise Invalid(*(describe_unknown(resource, name, others) for name in unknown))


def describe_unknown(resource: Resource, name: str, others: tuple[str, ...]) -> str:
    column = name.rpartition("__")[0]
    if column in resource.columns:
        return f"unknown parameter {quoted(name)}: operators are {', '.join(OPERATORS)}"
    known = ", ".join((*resource.columns, *others))
    return f"unknown parameter {quoted(name)}: use one of {known}"


def parse_filters(
    resource: Resource, given: Mapping[str, str]
) -> tuple[list[str], dict[str, Value]]:
    """Conditions in SQL, and the values of their parameters. Invalid for a wrong value."""
    named = [(name, value) for name, value in given.items() if is_filter(resource, name)]
    wanted = [(*split(name), value) for name, value in named]
    pairs = [
        (f"{PLACEHOLDER}__{operator}", converted(resource, column, operator, value))
        for column, operator, value in wanted
    ]
    conditions, values = Filters(pairs).build_where_clauses(TABLE)
    return [
        on_column(resource, column, operator, condition)
        for (column, operator, _), condition in zip(wanted, conditions, strict=True)
    ], values


def is_filter(resource: Resource, name: str) -> bool:
    return name in filter_names(tuple(resource.columns))


def split(name: str) -> tuple[str, str]:
    column, _, operator = name.rpartition("__")
    return (column, operator) if column else (name, EXACT)


def on_column(resource: Resource, column: str, operator: str, condition: str) -> str:
    """Datasette's condition, on what is compared of this column."""
    stored = f"{resource.table}.{column}"
    compared = stored
    if operator in ARRAYS:
        compared = f"iif(json_valid({stored}), {stored}, '[]')"
    elif resource.columns[column] == "time" and operator == "date":
        compared = instant(stored)
    elif resource.columns[column] == "time" and operator in COMPARING | LISTS:
        if column in resource.sorted_times:
            within = COLUMN.sub(f"job_times.{column}", condition)
            return f"{resource.table}.job_id in (select job_id from job_times where {within})"  # noqa: S608
        compared = resource.instants.get(column, instant(stored))
    return COLUMN.sub(lambda _: compared, condition)


def converted(resource: Resource, column: str, operator: str, text: str) -> Value:
    """The value as Datasette's filters take it. Invalid if the column cannot hold it."""
    name = column if operator == EXACT else f"{column}__{operator}"
    if operator in COMPARING:
        return typed(resource, column, name, text)
    if operator in LISTS:
        return json.dumps([typed(resource, column, name, one) for one in listed(name, text)])
    if operator == "date" and not DATE.fullmatch(text):
        raise Invalid(f"{name}: must be a date such as 2026-11-20, not {quoted(text)}")
    if operator not in WITHOUT_VALUE and len(text) > MAX_PATTERN:
        raise Invalid(f"{name}: at most {MAX_PATTERN} characters")
    return text


def listed(name: str, text: str) -> Iterator[str]:
    """The values of a list, which is JSON or separated by commas."""
    try:
        values = json.loads(text) if text.startswith("[") else text.split(",")
    except (ValueError, RecursionError):
        values = [None]
    if not all(isinstance(one, str | int | float) for one in values):
        raise Invalid(f"{name}: must be values with commas or a JSON array of them")
    if len(values) > MAX_LISTED:
        raise Invalid(f"{name}: at most {MAX_LISTED:,} values")
    for one in values:
        yield one.strip() if isinstance(one, str) else json.dumps(one)


def typed(resource: Resource, column: str, name: str, text: str) -> Value:
    kind = resource.columns[column]
    if kind == "boolean":
        if text not in BOOLEANS:
            raise Invalid(f"{name}: must be true, false, 1 or 0, not {quoted(text)}")
        return BOOLEANS[text]
    if kind == "time":
        moment = to_instant(text, configured_timezone())
        if not INSTANT.fullmatch(moment):
            example = "2026-11-20T07:15:00Z"
            raise Invalid(f"{name}: must be a time such as {example}, not {quoted(text)}")
        return resource.instant_value(moment) if column in resource.instants else moment
    if kind == "number" and not NUMBER.fullmatch(text):
        raise Invalid(f"{name}: must be a number, not {quoted(text)}")
    return text
