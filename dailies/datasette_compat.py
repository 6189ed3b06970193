"""What Dailies uses of Datasette 1.0a41 beyond its documented interface, behind plain functions.

Nothing else imports or patches Datasette's internals: tests/project/test_datasette_internals.py.
Each is tested in tests/dailies/test_datasette_compat.py, which fails when an upgrade changes one.
"""

from __future__ import annotations

import csv
import json
import logging
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Container, Iterable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

import datasette.app
import datasette.database
import datasette.handle_exception
import datasette.utils.actions_sql
import datasette.utils.internal_db
import datasette.views.base
import datasette.views.table
from datasette import NotFound, Request, Response
from datasette.app import Datasette
from datasette.csrf import CrossOriginProtectionMiddleware
from datasette.database import Database, DatasetteClosedError, QueryInterrupted
from datasette.default_actions import register_actions
from datasette.facets import ColumnFacet
from datasette.filters import FilterArguments, Filters
from datasette.permissions import _skip_permission_checks
from datasette.plugins import pm
from datasette.tokens import TokenInvalid
from datasette.utils import (
    CustomJSONEncoder,
    InvalidSql,
    add_cors_headers,
    await_me_maybe,
    baseconv,
    escape_fts,
    escape_sqlite,
    make_slot_function,
    path_with_added_args,
    path_with_removed_args,
    path_with_replaced_args,
    tilde_decode,
    tilde_encode,
    to_css_class,
    urlsafe_components,
)
from datasette.utils.asgi import BadRequest
from datasette.views.base import DatasetteError
from itsdangerous import BadSignature

__all__ = [
    "BadRequest",
    "ColumnFacet",
    "CustomJSONEncoder",
    "FilterArguments",
    "Filters",
    "InvalidSql",
    "QueryInterrupted",
    "add_cors_headers",
    "escape_fts",
    "escape_sqlite",
    "make_slot_function",
    "path_with_added_args",
    "path_with_removed_args",
    "to_css_class",
    "urlsafe_components",
]

Actor = dict[str, Any]

INSERT_QUERY = """
insert or replace into queries
  (database_name, name, sql, title, description, parameters, is_trusted, source)
values
  (:database, :name, :sql, :title, :description, :parameters, 1, :source)
"""
INSERT_METADATA = (
    "insert or replace into metadata_instance values (?, ?)",
    "insert or replace into metadata_databases values (?, ?, ?)",
    "insert or replace into metadata_resources values (?, ?, ?, ?)",
    "insert or replace into metadata_columns values (?, ?, ?, ?, ?)",
)
# As Datasette has them: importing this module twice must not wrap them twice.
resolve_database = Datasette.resolve_database
populate_catalog = datasette.utils.internal_db.populate_schema_tables
row_sql = datasette.utils.row_sql_params_pks
TOO_LONG = "This list cannot be sorted by a value of more than {:,} characters"
check_permissions = datasette.utils.actions_sql.check_permissions_for_actions
sort_order = datasette.views.table._sort_order
table_data = datasette.views.table.table_view_data
next_page = datasette.views.table._next_value_and_url


@dataclass
class SortedPage:
    """A page of a table that is sorted by a column, and by the number of the row within a value.

    `positions` are the values and numbers of its rows, and of the one after them.
    """

    table: str
    after: str | None  # a token
    column: str = ""
    descending: bool = False
    positions: list[tuple[Any, int]] = field(default_factory=list)

    @property
    def order(self) -> str:
        """SQL: what the rows are sorted by."""
        direction = " desc" if self.descending else ""
        return f"{escape_sqlite(self.column)}{direction}, rowid{direction}"


in_table_page: ContextVar[bool] = ContextVar("in_table_page", default=False)
sorted_page: ContextVar[SortedPage | None] = ContextVar("sorted_page", default=None)


class StoredQuery(NamedTuple):
    """One trusted query; `parameters` in the order of its form's fields."""

    database: str
    name: str
    sql: str
    title: str
    description: str
    parameters: tuple[str, ...]


async def replace_queries(instance: Datasette, source: str, queries: list[StoredQuery]) -> None:
    """Store trusted queries in one write, in place of all that `source` stored before.

    `Datasette.add_query` takes one write for each, and there are many at every start.
    """
    rows = [
        query._asdict() | {"source": source, "parameters": json.dumps(query.parameters)}
        for query in queries
    ]

    def write(connection: sqlite3.Connection) -> None:
        connection.execute("delete from queries where source = ?", [source])
        connection.executemany(INSERT_QUERY, rows)

    await instance.get_internal_database().execute_write_fn(write)


def check_databases_with(check: Callable[[Datasette, str], None]) -> None:
    """Call `check` with the name of the database before any page or API resolves it.

    Datasette's write API answers 404 by itself, where an exception hook could tell more.
    """

    async def resolve(self: Datasette, request: Request) -> Database:
        check(self, tilde_decode(request.url_vars["database"]))
        return await resolve_database(self, request)

    Datasette.resolve_database = resolve


async def store_metadata(instance: Datasette, rows: Iterable[tuple[str, ...]]) -> None:
    """Store metadata in one write; `Datasette.set_column_metadata` and its like take hundreds.

    A row is (key, value), after the names of the database, table and column that it describes.
    """
    by_length: dict[int, list[tuple[str, ...]]] = {}
    for row in rows:
        by_length.setdefault(len(row), []).append(row)

    def write(connection: sqlite3.Connection) -> None:
        for length, described in by_length.items():
            connection.executemany(INSERT_METADATA[length - 2], described)

    await instance.get_internal_database().execute_write_fn(write)


def keep_open(database: Database, connection: sqlite3.Connection) -> sqlite3.Connection:
    """Register a connection that our `connect()` made, to be closed with its database."""
    database._all_connections.append(connection)
    return connection


def close_now(database: Database, connection: sqlite3.Connection) -> None:
    """Close a connection that `keep_open` has registered."""
    with suppress(ValueError):  # the database has been closed meanwhile
        database._all_connections.remove(connection)
    connection.close()


def prepare_connection(instance: Datasette, connection: sqlite3.Connection, name: str) -> None:
    """Do with a connection of ours what Datasette does with its own, plugins included."""
    instance._prepare_connection(connection, name)


async def actor_of(instance: Datasette, request: Request) -> Any:
    """The actor of a request; TokenInvalid for a token that is not valid, as in Datasette's router.

    Every plugin is awaited, so that no coroutine is left behind.
    """
    actor = request.scope.get("actor")
    invalid: TokenInvalid | None = None
    for result in pm.hook.actor_from_request(datasette=instance, request=request):
        try:
            found = await await_me_maybe(result)
        except TokenInvalid as error:
            invalid = invalid or error
        else:
            actor = actor or found
    if invalid:
        raise invalid
    return actor


def same_origin_only(instance: Datasette, application: Any) -> Any:
    """The ASGI application, protected against writing requests from other sites."""
    return CrossOriginProtectionMiddleware(application, instance)


async def exception_response(instance: Datasette, request: Request, error: Exception) -> Any:
    """The response of the first plugin that has one for this exception, or Datasette's own."""
    for result in pm.hook.handle_exception(datasette=instance, request=request, exception=error):
        response = await await_me_maybe(result)
        if response is not None:
            return response
    raise error


def permission_checks_skipped() -> bool:
    """True within a request of `datasette.client` that was sent with skip_permission_checks."""
    return bool(_skip_permission_checks.get())


def answer_permissions_with(answer: Callable[..., Any]) -> None:
    """Have `answer(instance, actor, question, ask)` surround each check of an actor's permissions.

    A question is several actions on one resource; `ask` finds out which of them are allowed.
    """

    async def check(*, datasette: Datasette, actor: Any, actions: list[str], **at: Any) -> Any:
        async def ask() -> Any:
            return await check_permissions(datasette=datasette, actor=actor, actions=actions, **at)

        question = (*map(repr, at.values()), *actions)
        return dict(await answer(datasette, actor, question, ask))

    datasette.utils.actions_sql.check_permissions_for_actions = check


def core_actions() -> tuple[str, ...]:
    """The names of Datasette's own permissions."""
    return tuple(action.name for action in register_actions())


def signed_session(instance: Datasette, actor: Actor, session: str, seconds: int) -> str:
    """The content of Datasette's cookie for an actor who is signed in for so many seconds.

    `Datasette.set_actor_cookie` would set it without Secure and Max-Age. Datasette ignores what we
    add: the id of the session.
    """
    expires_at = baseconv.base62.encode(int(time.time()) + seconds)
    return str(instance.sign({"a": actor, "e": expires_at, "s": session}, "actor"))


def read_session(instance: Datasette, cookie: str) -> tuple[Actor, str | None] | None:
    """Actor and session of the cookie; None where Datasette takes it for anonymous."""
    try:
        content = instance.unsign(cookie, "actor")
        expires_at = content.get("e")
        if expires_at and time.time() > baseconv.base62.decode(expires_at):
            return None
        return content["a"], content.get("s")
    except (BadSignature, LookupError, TypeError, ValueError, AttributeError):
        return None


async def core_page(
    instance: Datasette, request: Request, send: Any, routes: Container[re.Pattern[str]]
) -> Any:
    """Datasette's response at an address for which `routes` of ours stand before its own."""
    for pattern, view in routes_of(instance):
        match = pattern.match(request.path)
        if match and pattern not in routes:
            request.scope = {**request.scope, "url_route": {"kwargs": match.groupdict()}}
            return await view(request, send)
    raise NotFound("Page not found")


def routes_of(instance: Datasette) -> list[tuple[re.Pattern[str], Any]]:
    """All routes, of which Datasette makes a new list at each call, which takes 30 ms."""
    if not hasattr(instance, "dailies_routes"):
        instance.dailies_routes = instance._routes()
    routes: list[tuple[re.Pattern[str], Any]] = instance.dailies_routes
    return routes


def error_response(instance: Datasette, request: Request, message: str, status: int) -> Any:
    """Datasette's error in the format that the request asks for; to be awaited when called."""
    error = DatasetteError(message, status=status)
    return datasette.handle_exception.handle_exception(instance, request, error)


def is_closed(error: Exception) -> bool:
    """True if a request was about to use a database that has been closed meanwhile."""
    return isinstance(error, DatasetteClosedError)


def is_unexplained(error: Exception) -> bool:
    """True for an error page of Datasette's that says 500 by default, for bad parameters."""
    return isinstance(error, DatasetteError) and error.status == 500


def log_errors(is_mistake: Callable[[BaseException], bool]) -> None:
    """Have Datasette log its own errors as one record each, and none for mistakes of a client.

    With rich installed it would log all local variables, tokens from headers among them.
    """

    def log() -> None:
        error = sys.exc_info()[1]
        if error is not None and not is_mistake(error):
            logging.getLogger("dailies.errors").error("unexpected error", exc_info=error)

    datasette.handle_exception.rich = None
    datasette.handle_exception.traceback = SimpleNamespace(print_exc=log)


def limit_queries_with(time_limit: Callable[[sqlite3.Connection, float], Any]) -> None:
    """Have `time_limit(connection, milliseconds)` surround each query, as a context manager."""
    datasette.database.sqlite_timelimit = time_limit


def shorten_table_pages(rows_that_fit: Callable[[Exception], int | None], most_html: int) -> None:
    """Read a page again with fewer rows if its query raised an error that says how many fit.

    HTML has at most `most_html` rows. `in_table_page` is true within the queries of such a page.
    """

    async def shortened(instance: Datasette, request: Request, *others: Any, **options: Any) -> Any:
        size = request.args.get("_size") or ""
        if options.get("context_for_html_hack") and (size == "max" or is_above(size, most_html)):
            request = with_parameters(request, _size=str(most_html))
        token = in_table_page.set(True)
        try:
            return await continued(instance, request, *others, **options)
        except Exception as error:
            rows = rows_that_fit(error)
            if rows is None:
                raise
        finally:
            in_table_page.reset(token)
        return await continued(
            instance, with_parameters(request, _size=str(rows)), *others, **options
        )

    datasette.views.table.table_view_data = shortened


def limit_page_tokens(most: int) -> None:
    """Refuse to continue a list after a value that is too long for an address."""

    def encode(text: str) -> Any:
        if len(text) > most:
            raise BadRequest(TOO_LONG.format(most))
        return tilde_encode(text)

    datasette.views.table.tilde_encode = encode


def is_above(number: str, most: int) -> bool:
    return len(number) <= 10 and number.isdecimal() and int(number) > most


async def continued(instance: Datasette, request: Request, resolved: Any, **options: Any) -> Any:
    """Datasette's data of a page; `sorted_page` is set within if the database reads it in order."""
    after = options.pop("_next", None) or request.args.get("_next")
    sorts = getattr(resolved.db, "sorts_by_row", None)
    page = None
    if sorts and sorts(resolved.table) and await is_sorted(instance, request, resolved):
        page = SortedPage(resolved.table, after)
        request, after = with_parameters(request, _next=None), None
    token = sorted_page.set(page)
    try:
        return await table_data(instance, request, resolved, **options, _next=after)
    finally:
        sorted_page.reset(token)


async def is_sorted(instance: Datasette, request: Request, resolved: Any) -> bool:
    settings = await instance.table_config(resolved.db.name, resolved.table)
    given = (request.args.get("_sort"), request.args.get("_sort_desc"))
    return any((*given, settings.get("sort"), settings.get("sort_desc")))


def sort_equal_rows() -> None:
    """Have the first page of a table sort equal rows as the pages after it do.

    Otherwise rows would be repeated or missing on the second page. They are sorted by row number
    in a `sorted_page`, else by key.
    """

    async def sorted_by_row_or_key(table: Any, columns: Any, request: Request, key: str) -> Any:
        sort, descending, order = await sort_order(table, columns, request, key)
        if page := sorted_page.get():
            page.column, page.descending = descending or sort, bool(descending)
            order = page.order
        elif key and order != key and not request.args.get("_next"):
            order = f"{order}, {key}"
        return sort, descending, order

    async def after_position(instance: Datasette, *others: Any) -> Any:
        page = sorted_page.get()
        request, size = others[1], others[9]
        if page is None:
            return await next_page(instance, *others)
        if not 0 < size < len(page.positions):
            return None, None
        value, row = page.positions[size - 1]
        shown = "$null" if value is None else datasette.views.table.tilde_encode(str(value))
        sort = "_sort_desc" if page.descending else "_sort"
        added = {"_next": f"{shown},{row}", sort: page.column}
        path = instance.urls.path(path_with_replaced_args(request, added))
        return added["_next"], instance.absolute_url(request, path)

    datasette.views.table._sort_order = sorted_by_row_or_key
    datasette.views.table._next_value_and_url = after_position


def with_parameters(request: Request, **changes: str | None) -> Request:
    """The same request with other parameters, or without those that are None."""
    pairs = parse_qsl(request.query_string, keep_blank_values=True)
    kept = [(name, value) for name, value in pairs if name not in changes]
    added = [(name, value) for name, value in changes.items() if value is not None]
    query = urlencode([*kept, *added]).encode()
    return Request({**request.scope, "query_string": query}, request.receive)


def write_csv_cells_as(shown: Callable[[Any], Any]) -> None:
    """Have every CSV response hold `shown(value)` in place of each value, headings included."""

    def writer(file: Any) -> Any:
        rows = csv.writer(file)
        return SimpleNamespace(writerow=lambda row: rows.writerow([shown(cell) for cell in row]))

    datasette.views.base.csv = SimpleNamespace(writer=writer)


def select_listed_columns_of_rows() -> None:
    """Have the pages of rows select the columns that `table_columns` lists, instead of all."""

    async def listed(database: Database, table: str, keys: list[str]) -> Any:
        sql, parameters, pks = await row_sql(database, table, keys)
        columns = map(escape_sqlite, await database.table_columns(table))
        return sql.replace("*", ", ".join(columns), 1), parameters, pks

    datasette.app.row_sql_params_pks = listed


class Listed:
    """A database whose schema has only what its `table_names` and `view_names` list."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def execute(self, sql: str) -> Any:
        results = await self._database.execute(sql)
        names = {*await self._database.table_names(), *await self._database.view_names()}
        results.rows = [row for row in results.rows if row["name"] in names]
        return results


def catalog_listed_tables() -> None:
    """Have Datasette's catalog, and with it every list of tables, hold what is listed alone."""

    async def populate(internal: Database, database: Database, version: int) -> None:
        await populate_catalog(internal, Listed(database), version)

    datasette.app.populate_schema_tables = populate


def encode_with(replace: Callable[[Any], Any]) -> None:
    """Have every JSON response hold `replace(value)` where a value is no valid JSON, as NaN."""

    def dumps(value: Any, default: Callable[[Any], Any] | None = None) -> str:
        try:
            return json.dumps(value, default=default, allow_nan=False)
        except ValueError:
            return json.dumps(replace(value), default=default, allow_nan=False)

    def encode(self: CustomJSONEncoder, value: Any) -> str:
        self.allow_nan = False
        try:
            return json.JSONEncoder.encode(self, value)
        except ValueError:
            return json.JSONEncoder.encode(self, replace(value))

    def respond(
        cls: type[Response],
        body: Any,
        status: int = 200,
        headers: dict[str, str] | None = None,
        default: Callable[[Any], Any] | None = None,
    ) -> Response:
        kind = "application/json; charset=utf-8"
        return cls(dumps(body, default), status=status, headers=headers, content_type=kind)

    CustomJSONEncoder.encode = encode
    Response.json = classmethod(respond)
