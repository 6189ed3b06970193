"""What a client gets: rows as JSON text, their entity tags, errors in Datasette's shape."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")
REPLACEMENT = "\\ufffd"


class Stored(NamedTuple):
    """A row as it is now: its key, its JSON text, its entity tag (with the quotes)."""

    key: str
    text: str
    etag: str


class Version(NamedTuple):
    """A row as it was: the number of that version, and its JSON text."""

    number: int
    text: str


class Answer(NamedTuple):
    """What a write has to say: a status of HTTP, the text of the body, and headers."""

    status: int
    text: str = ""
    headers: Mapping[str, str] = {}


def entity_tag(*content: str | int | None) -> str:
    """A strong tag that changes whenever `content` does."""
    digest = hashlib.sha256(json.dumps(content).encode())
    return f'"{digest.hexdigest()[:16]}"'


def json_row(row: Mapping[str, Any]) -> str:
    """A row as JSON text, whatever old rows hold; what JSON does not know is written as Datasette
    writes it.
    """
    try:
        text = json.dumps(row, ensure_ascii=False, allow_nan=False, default=encoded)
    except ValueError:
        text = json.dumps(finite(row), ensure_ascii=False, default=encoded)
    try:
        text.encode()
    except UnicodeEncodeError:
        return without_half_characters(json.dumps(finite(row), default=encoded))
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
    """The body of an answer with these rows, each of them JSON text, and `others` beside them."""
    beside = "".join(
        f", {json.dumps(name)}: {json.dumps(value)}" for name, value in (others or {}).items()
    )
    text = f'{{"ok": true, "rows": [{", ".join(texts)}]{beside}}}'
    return without_half_characters(text) if HALF_CHARACTER.search(text) else text


def without_half_characters(text: str) -> str:
    """JSON text in which each escaped surrogate that lacks its other half became U+FFFD.

    SQLite takes such escapes for valid, and stores them for whoever writes past our own routes.
    """
    parts: list[str] = []
    end = 0
    high = None  # index in `parts` of a first half that waits for its second
    for found in ESCAPE.finditer(text):
        code = int(found[1], 16) if found[1] else 0
        adjoining = high is not None and found.start() == end
        parts += [text[end : found.start()], found[0]]
        end = found.end()
        if 0xDC00 <= code <= 0xDFFF and adjoining:
            high = None
            continue
        if high is not None:
            parts[high] = REPLACEMENT
        high = None
        if 0xD800 <= code <= 0xDBFF:
            high = len(parts) - 1
        elif 0xDC00 <= code <= 0xDFFF:
            parts[-1] = REPLACEMENT
    if high is not None:
        parts[high] = REPLACEMENT
    return "".join(parts) + text[end:]


def error_text(messages: Iterable[str], status: int) -> str:
    """The body of an error, whatever the messages quote."""
    shown = [message.encode(errors="replace").decode() for message in messages]
    document = {"ok": False, "error": "; ".join(shown), "errors": shown, "status": status}
    return json.dumps(document, ensure_ascii=False)
