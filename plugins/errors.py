"""Errors that Datasette reports as the server's are the client's; JSON is always valid.

Errors of the jobs API and of Datasette's API for rows: plugins/api_errors.py.
"""

from __future__ import annotations

import itertools
import sqlite3
from typing import Any

from datasette import NotFound, Request, Response, hookimpl
from datasette.app import Datasette
from datasette.database import QueryInterrupted
from datasette.utils import tilde_decode

from dailies import datasette_compat
from dailies.canned_queries import all_queries, needed_by
from dailies.errors import RequestError, is_file_error, request_error
from dailies.storage.availability import require_available
from dailies.web.page import READING
from loaders.errors import FileChanged
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
    sqlite3.Error,
)
EXPECTED = (*MISTAKES, RequestError)

# Rows of earlier systems hold infinities. Datasette replaces them in rows, but neither in facets
# nor in what its write API returns.
datasette_compat.encode_with(finite)
datasette_compat.log_errors(lambda error: isinstance(error, EXPECTED))
datasette_compat.check_databases_with(require_available)


@hookimpl
def handle_exception(datasette: Datasette, request: Request, exception: Exception) -> Any:
    if isinstance(exception, NotFound):
        return unavailable_query(datasette, request)
    if isinstance(exception, RequestError):
        return error_page(datasette, request, exception)
    if datasette_compat.is_closed(exception):
        exception = FileChanged("The file of this database is being opened again")
    if isinstance(exception, FileChanged | MemoryError) or is_file_error(exception):
        return error_page(datasette, request, request_error(exception))
    if not isinstance(exception, MISTAKES) and not datasette_compat.is_unexplained(exception):
        return None
    message = str(exception) or "This request makes no sense here"
    return datasette_compat.error_response(datasette, request, message, 400)


def unavailable_query(datasette: Datasette, request: Request) -> Any:
    """503 instead of 404 for a query across databases of which one is not available."""
    path = tuple(tilde_decode(request.url_vars.get(part) or "") for part in ("database", "table"))
    if path[0] == "_memory":
        found = (one for one in all_queries() if (one.database, one.name) == path)
        try:
            require_available(datasette, *itertools.chain(*map(needed_by, found)))
        except RequestError as error:
            return error_page(datasette, request, error)
    return None


def error_page(datasette: Datasette, request: Request, error: RequestError) -> Any:
    async def respond() -> Response:
        if not await datasette.allowed(action="view-instance", actor=request.actor):
            return Response.error("Permission denied: need view-instance", 403)
        message = "; ".join(error.messages)
        if request.method in READING:
            make = datasette_compat.error_response(datasette, request, message, error.status)
            response = await make()
        else:
            response = Response.error(error.messages, error.status)
        response.headers.update(error.headers)
        return response

    return respond
