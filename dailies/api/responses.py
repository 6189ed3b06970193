"""JSON responses: rows as JSON text, and entity tags."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from datasette import Response

from dailies.errors import RequestError, error_text
from loaders.rows import Record

ESCAPE = re.compile(
    r"""(?P<sound>\\u[dD][89abAB]..\\u[dD][c-fC-F].. # both halves of a character
      | \\[^u]
      | \\u(?![dD][89a-fA-F])....
    ) | \\u....""",
    re.VERBOSE,
)
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
REPLACEMENT = "\\ufffd"


class JSONResponse(NamedTuple):
    """A status of HTTP, the text of the body, and headers; writes return it from their thread."""

    status: int
    text: str = ""
    headers: Mapping[str, str] = {}

    def to_datasette(self) -> Response:
        if self.status in (204, 304):
            return Response(b"", self.status, dict(self.headers))
        body = self.text.encode()
        headers = {"Content-Length": str(len(body)), "Cache-Control": "no-cache", **self.headers}
        return Response(body, self.status, headers, "application/json; charset=utf-8")


def entity_tag(record: Record) -> str:
    """A strong entity tag, which changes whenever the record does."""
    digest = hashlib.sha256(json.dumps(record).encode())
    return f'"{digest.hexdigest()[:16]}"'


def one_row(
    record: Record, status: int = 200, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    return JSONResponse(
        status, rows_text([record.text]), {"ETag": entity_tag(record), **(headers or {})}
    )


def error_response(error: RequestError) -> JSONResponse:
    return JSONResponse(error.status, error_text(error.messages, error.status), error.headers)


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


def rows_text(texts: Iterable[str], others: Mapping[str, Any] | None = None) -> str:
    """A body with these rows, each of them JSON text, and the keys and values of `others`."""
    rest = "".join(
        f", {json.dumps(name)}: {json.dumps(value)}" for name, value in (others or {}).items()
    )
    text = f'{{"ok": true, "rows": [{", ".join(texts)}]{rest}}}'
    return without_lone_surrogates(text) if SURROGATE.search(text) else text


def without_lone_surrogates(text: str) -> str:
    """JSON text in which each escaped surrogate that lacks its other half became U+FFFD.

    SQLite takes such escapes for valid, and stores them when other programs write them.
    """
    return ESCAPE.sub(lambda found: found["sound"] or REPLACEMENT, text)
