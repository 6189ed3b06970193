"""Errors that Datasette reports as the server's are the client's; JSON is always valid.

Errors of the jobs API and of Datasette's API for rows: plugins/api_errors.py.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from datasette import Request, hookimpl
from datasette.app import Datasette
from datasette.database import QueryInterrupted

from dailies import datasette_compat
from dailies.errors import RequestError
from dailies.storage.bounds import TooManyBytes
from loaders.formats.json_row import finite

# What Datasette 1.0a41 raises, and answers by 500, for odd formats, numbers, JSON and page tokens.
MISTAKES = (
    AssertionError,
    LookupError,
    OverflowError,
    QueryInterrupted,
    RecursionError,
    TypeError,
    ValueError,
    TooManyBytes,
    sqlite3.Error,
)
EXPECTED = (*MISTAKES, RequestError)

# Rows of earlier systems hold infinities. Datasette replaces them in rows, but neither in facets
# nor in what its write API returns.
datasette_compat.encode_with(finite)
datasette_compat.log_errors(lambda error: isinstance(error, EXPECTED))


@hookimpl
def handle_exception(datasette: Datasette, request: Request, exception: Exception) -> Any:
    if isinstance(exception, RequestError):
        return refused(datasette, request, exception)
    if not isinstance(exception, MISTAKES) and not datasette_compat.is_unexplained(exception):
        return None
    message = str(exception) or "This request makes no sense here"
    return datasette_compat.error_response(datasette, request, message, 400)


def refused(datasette: Datasette, request: Request, error: RequestError) -> Any:
    respond = datasette_compat.error_response(datasette, request, str(error), error.status)

    async def response() -> Any:
        made = await respond()
        made.headers.update(error.headers)
        return made

    return response
