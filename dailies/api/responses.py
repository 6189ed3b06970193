"""JSON responses and entity tags."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from datasette import Response

from dailies.errors import RequestError, error_text
from loaders.formats.json_row import SURROGATE, without_lone_surrogates
from loaders.rows import Record


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
    digest = hashlib.sha256(f"{record.key}\0{record.text}".encode(errors="surrogatepass"))
    return f'"{digest.hexdigest()[:16]}"'


def one_row(
    record: Record, status: int = 200, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    return JSONResponse(
        status, rows_text([record.text]), {"ETag": entity_tag(record), **(headers or {})}
    )


def error_response(error: RequestError) -> JSONResponse:
    return JSONResponse(error.status, error_text(error.messages, error.status), error.headers)


def rows_text(texts: Iterable[str], others: Mapping[str, Any] | None = None) -> str:
    """A body with these rows, each of them JSON text, and the keys and values of `others`."""
    rest = "".join(
        f", {json.dumps(name)}: {json.dumps(value)}" for name, value in (others or {}).items()
    )
    text = f'{{"ok": true, "rows": [{", ".join(texts)}]{rest}}}'
    return without_lone_surrogates(text) if SURROGATE.search(text) else text
