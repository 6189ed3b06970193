"""Errors that Datasette reports as the server's are the client's; JSON is always valid.

Errors of the jobs API and of Datasette's API for rows: plugins/api_errors.py.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from datasette import NotFound, Request, Response, hookimpl
from datasette.app import Datasette
from datasette.database import QueryInterrupted
from datasette.utils import tilde_decode

from dailies import datasette_compat
from dailies.canned_queries import FOLDER, needed_by, read_queries
from dailies.errors import RequestError, is_file_error, request_error
from dailies.storage.availability import require_available
from dailies.storage.bounds import TooManyBytes
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
    if isinstance(exception, NotFound):
        return unavailable_response(datasette, request)
    if isinstance(exception, RequestError):
        return error_page(datasette, request, exception)
    if isinstance(exception, FileChanged) or is_file_error(exception):
        return error_page(datasette, request, request_error(exception))
    if not isinstance(exception, MISTAKES) and not datasette_compat.is_unexplained(exception):
        return None
    message = str(exception) or "This request makes no sense here"
    return datasette_compat.error_response(datasette, request, message, 400)


def unavailable_response(datasette: Datasette, request: Request) -> Any:
    """503 instead of 404 where a database, or one that a query reads, is not available."""
    try:
        require_available(datasette, *databases_of(request))
    except RequestError as error:
        return error_page(datasette, request, error)
    return None


def databases_of(request: Request) -> tuple[str, ...]:
    """The databases that a path needs: the one that it names, or those of a query across them."""
    variables = request.url_vars
    database = tilde_decode(variables.get("database") or request.path.split("/")[1])
    if database != "_memory":
        return (database,)
    name = tilde_decode(variables.get("table") or "")
    found = (one for one in read_queries(FOLDER) if (one.database, one.name) == (database, name))
    return next(map(needed_by, found), ())


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
