"""Refuses columns that are not served in table pages and in Datasette's API for rows."""

from __future__ import annotations

import json
import re
from typing import Any

from datasette import Request, Response, hookimpl
from datasette.app import Datasette

from dailies.datasette_compat import core_page
from dailies.storage.databases import ServedDatabase
from dailies.web.table_parameters import check_parameters, unknown_columns
from loaders.messages import quoted

ROW_WRITES = (
    re.compile(r"/(?P<database>[^/]+)/(?P<table>[^/]+)/-/(?:insert|upsert)\Z"),
    re.compile(r"/(?P<database>[^/]+)/(?P<table>[^/]+)/(?P<pks>[^/]+)/-/update\Z"),
)


@hookimpl(tryfirst=True)
def filters_from_request(request: Request, database: str, table: str, datasette: Datasette) -> Any:
    served = datasette.databases[database]
    if not isinstance(served, ServedDatabase):
        return None
    return check_parameters(served, table, request.query_string)


@hookimpl
def register_routes() -> list[tuple[Any, Any]]:
    return [(pattern, write_rows) for pattern in ROW_WRITES]


async def write_rows(request: Request, send: Any, datasette: Datasette) -> Any:
    """Datasette's response, without a trace of columns that are not served."""
    body = bytearray()
    receive = request.receive

    async def record() -> Any:
        message = await receive()
        body.extend(message.get("body", b""))
        return message

    request.receive = record
    response = await core_page(datasette, request, send, ROW_WRITES)
    if not isinstance(response, Response) or response.status not in (200, 201, 400):
        return response
    resolved = await datasette.resolve_table(request)
    if response.status == 400:
        return await named_columns(resolved.db, resolved.table, bytes(body), response)
    return await without_hidden_columns(resolved.db, resolved.table, response)


async def named_columns(
    database: ServedDatabase, table: str, body: bytes, response: Response
) -> Response:
    """The error of an update; if it is about columns, the one message for all unknown ones."""
    try:
        update = json.loads(body)["update"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return response
    names = update if isinstance(update, dict) else ()
    unknown = await unknown_columns(database, table, names, rowid=True)
    if not unknown:
        return response
    return Response.error([f"unknown column {quoted(name)}" for name in unknown], 400)


async def without_hidden_columns(
    database: ServedDatabase, table: str, response: Response
) -> Response:
    """The rows that a write returns, which Datasette reads with `select *`."""
    if table not in await database.tables_with_hidden_columns():
        return response
    document = json.loads(response.body)
    if "rows" not in document:
        return response
    columns = {*await database.table_columns(table), "rowid"}
    document["rows"] = [
        {name: value for name, value in row.items() if name in columns} for row in document["rows"]
    ]
    return Response.json(document, status=response.status)
