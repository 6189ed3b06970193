"""A question that Datasette cannot make sense of is the asker's mistake, not the server's."""

from __future__ import annotations

import sqlite3
from typing import Any

from datasette import Request, hookimpl
from datasette.app import Datasette
from datasette.database import QueryInterrupted
from datasette.handle_exception import handle_exception as answer_error
from datasette.views.base import DatasetteError

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


@hookimpl
def handle_exception(datasette: Datasette, request: Request, exception: Exception) -> Any:
    if not isinstance(exception, MISTAKES):
        return None
    message = str(exception) or "This request makes no sense here"
    return answer_error(datasette, request, DatasetteError(message, status=400))
