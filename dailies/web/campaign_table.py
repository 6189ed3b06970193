"""The list of campaigns: columns, filters as chips, actions on many."""

from __future__ import annotations

import json
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from dailies.api.resources import CAMPAIGNS
from loaders.campaigns.normal_form import BOOLEAN_KEYS

COLUMNS = {
    "job_name": "Name",
    "product": "Product",
    "persona": "Persona",
    "language": "Language",
    "hook": "Hook",
    "enabled": "Enabled",
    "updated_at": "Changed",
}
ACTIONS = {
    "enable": "update-job",
    "disable": "update-job",
    "duplicate": "create-job",
    "delete": "delete-job",
}
# Parameters that choose how rows are shown, not which ones.
SHOWING = ("_sort", "_sort_desc", "_next", "_size", "_facet", "_facet_size", "_col", "_nocol")

Pairs = list[tuple[str, str]]


class Link(NamedTuple):
    label: str
    href: str
    name: str = ""


def parse(query_string: str) -> Pairs:
    return parse_qsl(query_string, keep_blank_values=True)


def is_short(pairs: Pairs) -> bool:
    """True if the address names no columns to show."""
    return not any(name in ("_col", "_nocol") for name, _ in pairs)


def columns(path: str, pairs: Pairs, sort_desc: str | None) -> list[Link]:
    """The usual columns, with the address that sorts by each."""
    others = [pair for pair in pairs if pair[0] not in ("_sort", "_sort_desc", "_next")]
    return [
        Link(
            label,
            with_query(path, [*others, ("_sort" if sort_desc == name else "_sort_desc", name)]),
            name,
        )
        for name, label in COLUMNS.items()
    ]


def chips(path: str, pairs: Pairs) -> list[Link]:
    """The search and the filters, each with the address without it."""
    return [
        Link(
            described(name, value),
            with_query(path, without_page(pairs[:place] + pairs[place + 1 :])),
        )
        for place, (name, value) in enumerate(pairs)
        if is_filter(name) and (value or not name.startswith("_"))
    ]


def is_filter(name: str) -> bool:
    return not name.startswith("_") or name == "_search" or name.startswith("_search_")


def described(name: str, value: str) -> str:
    if name == "_search":
        return f"“{value}”"
    column, _, operator = name.rpartition("__") if "__" in name else (name, "", "exact")
    column = COLUMNS.get(column, column.removeprefix("_search_")).lower()
    return f"{column}: {value}" if operator == "exact" else f"{column} {operator} {value}"


def without_page(pairs: Pairs) -> Pairs:
    return [pair for pair in pairs if pair[0] != "_next"]


def with_query(path: str, pairs: Pairs) -> str:
    return f"{path}?{urlencode(pairs)}" if pairs else path


def bulk_filter(pairs: Pairs) -> str:
    """The rows that the page lists, as the filter of a bulk request in JSON; empty if it has none.

    Such a filter compares columns with values, and searches; a page can filter by more.
    """
    found: dict[str, Any] = {}
    for name, value in pairs:
        column = "q" if name == "_search" else name.removesuffix("__exact")
        if name in SHOWING:
            continue
        if column in found or column not in ("q", *CAMPAIGNS.columns):
            return ""
        if column in BOOLEAN_KEYS:
            if value not in ("0", "1"):
                return ""
            found[column] = int(value)
        elif value or column != "q":
            found[column] = value
    return json.dumps(found) if found else ""
