"""Rows as JSON text that is valid whatever they hold."""

from __future__ import annotations

import base64
import json
import math
import re
import sqlite3
from collections.abc import Mapping
from typing import Any

ESCAPE = re.compile(
    r"""(?P<sound>\\u[dD][89abAB]..\\u[dD][c-fC-F].. # both halves of a character
      | \\[^u]
      | \\u(?![dD][89a-fA-F])....
    ) | \\u....""",
    re.VERBOSE,
)
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
REPLACEMENT = "\\ufffd"


def json_row(row: Mapping[str, Any]) -> str:
    """A row as valid JSON text, whatever old rows hold; binary values as Datasette writes them."""
    try:
        text = json.dumps(row, ensure_ascii=False, allow_nan=False, default=encoded)
    except ValueError:
        text = json.dumps(finite(row), ensure_ascii=False, default=encoded)
    try:
        text.encode()
    except UnicodeEncodeError:
        return without_lone_surrogates(json.dumps(finite(row), default=encoded))
    return text


def encoded(value: bytes) -> dict[str, Any]:
    return {"$base64": True, "encoded": base64.b64encode(value).decode()}


def finite(value: Any) -> Any:
    """`value` with null in place of every infinity and every NaN."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple | sqlite3.Row):
        return [finite(item) for item in value]
    return value


def without_lone_surrogates(text: str) -> str:
    """JSON text in which each escaped surrogate that lacks its other half became U+FFFD.

    SQLite takes such escapes for valid, and stores them when other programs write them.
    """
    return ESCAPE.sub(lambda found: found["sound"] or REPLACEMENT, text)
