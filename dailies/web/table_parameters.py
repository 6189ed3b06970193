"""Parameters of table pages and row writes that name columns.

A column that is not served is refused like one that does not exist. Datasette itself leaves the
names in filters to SQLite, which takes an unknown quoted name for a text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qsl

from dailies.datasette_compat import BadRequest
from dailies.storage.databases import ServedDatabase
from dailies.storage.restricted import fold
from loaders.messages import quoted

ROWID = "rowid"
NO_SUCH_KEY = "Invalid _through - could not find corresponding foreign key"  # Datasette's words
INVALID_THROUGH = '_through must be a JSON object with "table", "column" and "value"'


async def check_parameters(database: ServedDatabase, table: str, query_string: str) -> None:
    """BadRequest naming each column of filters, facets and `_through` that is not served."""
    pairs = parse_qsl(query_string, keep_blank_values=True)
    await require_columns(database, table, filtered(pairs), rowid=True)
    await require_columns(database, table, faceted(pairs))
    for through, column in map(through_parts, values_of(pairs, "_through")):
        if not await database.table_exists(through):
            raise BadRequest(NO_SUCH_KEY)
        await require_columns(database, through, [column], rowid=True)


async def require_columns(
    database: ServedDatabase, table: str, names: Iterable[str], *, rowid: bool = False
) -> None:
    wanted = dict.fromkeys(names)
    if unknown := await unknown_columns(database, table, wanted, rowid=rowid):
        raise BadRequest("; ".join(f"unknown column {quoted(name)}" for name in unknown))


async def unknown_columns(
    database: ServedDatabase, table: str, names: Iterable[str], *, rowid: bool = False
) -> list[str]:
    """Those of the names that are no served column; SQLite ignores the case of ASCII letters."""
    missing = list(names)
    if not missing:
        return []
    known = {fold(column) for column in await database.table_columns(table)}
    if rowid and await database.table_exists(table):
        known.add(ROWID)
    return [name for name in missing if fold(name) not in known]


def values_of(pairs: Iterable[tuple[str, str]], key: str) -> list[str]:
    return [value for name, value in pairs if name == key]


def filtered(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    """The columns of filters such as `column=value` and `column__gt=value`."""
    for name, _ in pairs:
        if "__" in name:
            yield name.rpartition("__")[0]
        elif not name.startswith("_"):
            yield name


def faceted(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, value in pairs:
        if name == "_facet" or (name.startswith("_facet_") and name != "_facet_size"):
            yield facet_column(value)


def facet_column(value: str) -> str:
    """The column of a facet, which may be a JSON object."""
    if not value.startswith("{"):
        return value
    config = json.loads(value)
    return str(config.get("column") or config.get("simple") or "")


def through_parts(text: str) -> tuple[str, str]:
    try:
        through = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest(INVALID_THROUGH) from error
    if not isinstance(through, dict) or not is_through(through):
        raise BadRequest(INVALID_THROUGH)
    return through["table"], through["column"]


def is_through(value: dict[str, Any]) -> bool:
    return (
        isinstance(value.get("table"), str)
        and isinstance(value.get("column"), str)
        and isinstance(value.get("value"), str | int | float | None)
        and "value" in value
    )
