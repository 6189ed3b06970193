"""Writes JSON and NDJSON. Values are in the JSON form of `json_form`."""

import json
from collections.abc import Iterable, Iterator
from typing import Any


def json_text(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)


def json_list(records: Iterable[dict[str, Any]], list_key: str) -> Iterator[str]:
    """The text of `{list_key: [records]}`, record by record."""
    yield f"{{\n  {json_text(list_key)}: ["
    separator = "\n    "
    for record in records:
        yield separator + json_text(record, indent=2).replace("\n", "\n    ")
        separator = ",\n    "
    yield "]\n}\n" if separator == "\n    " else "\n  ]\n}\n"


def json_lines(records: Iterable[dict[str, Any]]) -> Iterator[str]:
    """One line for each record; without records one empty line, since an empty file was cut off."""
    line = "\n"
    for record in records:
        line = f"{json_text(record)}\n"
        yield line
    if line == "\n":
        yield line
