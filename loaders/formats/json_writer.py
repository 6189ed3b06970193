"""Writes JSON and NDJSON. Values are in the JSON form of `json_form`."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
_INDENTED = json.JSONEncoder(ensure_ascii=False, allow_nan=False, indent=2)


def json_text(value: Any) -> str:
    return _ENCODER.encode(value)


def json_list(records: Iterable[dict[str, Any]], list_key: str) -> Iterator[str]:
    """The text of `{list_key: [records]}`, record by record."""
    yield f"{{\n  {json_text(list_key)}: ["
    separator = "\n    "
    for record in records:
        yield separator + _INDENTED.encode(record).replace("\n", "\n    ")
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
