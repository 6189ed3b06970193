"""Each use of Datasette's internals: an upgrade that changes one fails here."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import datasette.app
import datasette.database
import datasette.handle_exception
import datasette.utils.actions_sql
import datasette.views.table
import pytest
from datasette import NotFound, Request, Response
from datasette.app import Datasette
from datasette.database import Database
from datasette.permissions import SkipPermissions
from datasette.resources import TableResource
from jinja2 import ChoiceLoader, DictLoader

from dailies import datasette_compat as compat

ADDED = {
    "query": ("d", "q", "select :b", "T", "D", ("b",)),
    "metadata": [("title", "I"), ("d", "title", "D"), ("d", "t", "title", "T")],
    "column": ("d", "t", "c", "description", "C"),
}


class Hiding(Database):
    """A database that does not list its table `hidden` nor its columns called `hidden`."""

    async def table_names(self) -> list[str]:
        return [name for name in await super().table_names() if name != "hidden"]

    async def table_columns(self, table: str) -> list[str]:
        return [name for name in await super().table_columns(table) if name != "hidden"]


@pytest.fixture
async def instance(monkeypatch: pytest.MonkeyPatch) -> Iterator[Datasette]:
    monkeypatch.setattr(datasette.app, "row_sql_params_pks", compat.row_sql)
    monkeypatch.setattr(datasette.app, "populate_schema_tables", compat.populate_catalog)
    monkeypatch.setattr(Datasette, "resolve_database", compat.resolve_database)
    served = Datasette(memory=True)
    environment = served.get_jinja_environment()
    pages = DictLoader({"error_page.html": "{{ content }}"})  # of plugins/navigation.py
    environment.loader = ChoiceLoader([environment.loader, pages])
    # First: other tests may have registered our plugins, which then detach other databases.
    await served.invoke_startup()
    database = served.add_database(Hiding(served, memory_name=f"compat{id(served)}"), name="d")
    await database.execute_write_script("""
        create table t (id integer primary key, c text, hidden text);
        insert into t values (1, 'a', 'b');
        create table hidden (id integer primary key);
        """)
    yield served
    served.close()


async def test_queries_are_stored_as_add_query_stores_them(instance: Datasette) -> None:
    await instance.invoke_startup()
    query = compat.StoredQuery(*ADDED["query"])
    await compat.replace_queries(instance, "here", [query])
    stored = await instance.get_query("d", "q")
    await instance.add_query(
        "d", "q", query.sql, title="T", description="D", parameters=["b"],
        is_trusted=True, source="here",
    )  # fmt: skip
    assert stored == await instance.get_query("d", "q")
    await compat.replace_queries(instance, "here", [])
    assert await instance.get_query("d", "q") is None


async def test_metadata_is_stored_as_its_setters_store_it(instance: Datasette) -> None:
    await instance.invoke_startup()
    await compat.store_metadata(instance, [*ADDED["metadata"], ADDED["column"]])
    await compat.store_metadata(instance, [*ADDED["metadata"], ADDED["column"]])
    assert (await instance.get_instance_metadata())["title"] == "I"
    assert await instance.get_database_metadata("d") == {"title": "D"}
    assert await instance.get_resource_metadata("d", "t") == {"title": "T"}
    assert await instance.get_column_metadata("d", "t", "c") == {"description": "C"}


def test_connections_are_closed_with_their_database(instance: Datasette) -> None:
    connection = compat.keep_open(instance.databases["d"], sqlite3.connect(":memory:"))
    instance.databases["d"].close()
    with pytest.raises(sqlite3.ProgrammingError):
        connection.execute("select 1")


def test_a_connection_is_closed_before_its_database(instance: Datasette) -> None:
    database = instance.databases["d"]
    connection = compat.keep_open(database, sqlite3.connect(":memory:"))
    compat.close_now(database, connection)
    with pytest.raises(sqlite3.ProgrammingError):
        connection.execute("select 1")
    database.close()
    compat.close_now(database, connection)


def test_skipped_permission_checks_are_noticed() -> None:
    assert not compat.permission_checks_skipped()
    with SkipPermissions():
        assert compat.permission_checks_skipped()


async def test_core_actions_are_those_that_are_registered(instance: Datasette) -> None:
    assert {"view-table", "insert-row", "execute-sql"} <= set(compat.core_actions())
    await instance.invoke_startup()
    assert set(compat.core_actions()) <= instance.actions.keys()


async def test_a_session_is_signed_in_until_it_expires(instance: Datasette) -> None:
    for cookie in ("", "x", "x.y", instance.sign("x", "actor"), instance.sign({"e": 1}, "actor")):
        assert compat.read_session(instance, cookie) is None
    for seconds, actor in ((60, {"id": "a"}), (-60, None)):
        found = compat.read_session(
            instance, compat.signed_session(instance, {"id": "a"}, "s", seconds)
        )
        assert found == (actor and (actor, "s"))
        cookies = {"ds_actor": compat.signed_session(instance, {"id": "a"}, "s", seconds)}
        response = await instance.client.get("/-/actor.json", cookies=cookies)
        assert response.json()["actor"] == actor


async def test_pages_behind_routes_of_ours_are_found(instance: Datasette) -> None:
    await instance.invoke_startup()
    request = Request.fake("/-/versions.json")
    response = await compat.core_page(instance, request, None, ())
    assert '"datasette"' in response.body
    with pytest.raises(NotFound):
        await compat.core_page(instance, Request.fake("/-/-/-/nothing.x"), None, ())
    assert all(isinstance(pattern, re.Pattern) for pattern, _ in instance._routes())


async def test_the_actor_is_the_one_that_the_router_finds(instance: Datasette) -> None:
    await instance.invoke_startup()
    cookie = f"ds_actor={instance.client.actor_cookie({'id': 'a'})}"
    for headers, actor in (({"cookie": cookie}, {"id": "a"}), ({}, None)):
        found = await instance.client.get("/-/actor.json", headers=headers)
        assert found.json()["actor"] == actor
        pairs = [[name.encode(), value.encode()] for name, value in headers.items()]
        request = Request({"type": "http", "method": "GET", "path": "/", "headers": pairs}, None)
        assert await compat.actor_of(instance, request) == actor
    assert await compat.actor_of(instance, Request({"actor": {"id": "b"}}, None)) == {"id": "b"}


async def test_writing_requests_from_other_sites_are_refused(instance: Datasette) -> None:
    await instance.invoke_startup()
    statuses = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await Response("", 200).asgi_send(send)

    async def send(message: dict[str, Any]) -> None:
        statuses.append(message.get("status"))

    protected = compat.same_origin_only(instance, application)
    for site in (b"same-origin", b"cross-site"):
        scope = {"type": "http", "method": "POST", "headers": [(b"sec-fetch-site", site)]}
        await protected(scope, None, send)
    assert statuses[::2] == [200, 403]


async def test_an_exception_gets_the_response_that_the_router_gives(
    instance: Datasette, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasette.handle_exception, "rich", None)
    request = Request.fake("/d.json")
    response = await compat.exception_response(instance, request, NotFound("Nothing here"))
    assert (response.status, json.loads(response.body)["error"]) == (404, "Nothing here")


def test_connections_are_prepared_as_datasettes_own(instance: Datasette) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        compat.prepare_connection(instance, connection, "d")
        assert connection.execute("select escape_fts('a')").fetchone()[0] == '"a"'


@pytest.mark.parametrize("suffix", ["", ".json"])
async def test_errors_are_in_the_format_asked_for(
    instance: Datasette, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasette.handle_exception, "rich", None)
    error = compat.error_response(instance, Request.fake(f"/d{suffix}"), "Odd", 400)
    response: Response = await error()
    assert response.status == 400
    assert response.content_type.startswith("application/json" if suffix else "text/html")
    assert "Odd" in response.body


def test_errors_with_a_default_status_are_known() -> None:
    error = datasette.handle_exception.DatasetteError
    assert compat.is_unexplained(error("Invalid _through"))
    assert not compat.is_unexplained(error("Not allowed", status=403))
    assert not compat.is_unexplained(ValueError())


async def test_a_database_that_was_closed(instance: Datasette) -> None:
    database = instance.get_database("d")
    database.close()
    with pytest.raises(RuntimeError) as raised:
        await database.execute("select 1")
    assert compat.is_closed(raised.value)


async def test_errors_are_logged_once_and_mistakes_never(
    instance: Datasette, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(datasette.handle_exception, "rich", object())
    monkeypatch.setattr(datasette.handle_exception, "traceback", datasette.handle_exception)
    compat.log_errors(lambda error: isinstance(error, ValueError))
    assert datasette.handle_exception.rich is None
    for error in (ValueError("mistake"), KeyError("fault")):
        try:
            raise error
        except (ValueError, KeyError):
            await datasette.handle_exception.handle_exception(instance, Request.fake("/"), error)()
    assert [record.getMessage() for record in caplog.records] == ["unexpected error"]
    assert caplog.records[0].exc_info[1].args == ("fault",)


async def test_time_limits_surround_queries(
    instance: Datasette, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = []

    @contextmanager
    def time_limit(connection: sqlite3.Connection, milliseconds: float) -> Iterator[None]:
        limits.append(milliseconds)
        yield

    monkeypatch.setattr(datasette.database, "sqlite_timelimit", None)
    compat.limit_queries_with(time_limit)
    await instance.databases["d"].execute("select 1", custom_time_limit=7)
    assert limits == [7]


async def test_pages_of_tables_are_shortened(
    instance: Datasette, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasette.views.table, "table_view_data", compat.table_data)
    await instance.databases["d"].execute_write("insert into t (c) values ('b'), ('c'), ('d')")
    execute = Hiding.execute

    async def too_much(self: Hiding, sql: str, *args: Any, **options: Any) -> Any:
        if compat.in_table_page.get() and sql.endswith("limit 4"):
            raise OverflowError
        return await execute(self, sql, *args, **options)

    monkeypatch.setattr(Hiding, "execute", too_much)
    compat.shorten_table_pages(lambda error: 2 if isinstance(error, OverflowError) else None, 1)
    answer = (await instance.client.get("/d/t.json?_size=3&_shape=array")).json()
    assert [row["id"] for row in answer] == [1, 2]
    page = await instance.client.get("/d/t?_size=3")
    assert page.text.count('class="col-id') == 2  # one row below the heading
    assert "_next=1" in page.text


async def test_a_changed_request_tells_the_given_one_that_it_is_private() -> None:
    given = Request.fake("/d/t?a=1&_next=2&b=%26")
    changed = compat.with_parameters(compat.with_parameters(given, _next=None), _size="3")
    assert (changed.query_string, given.query_string) == ("a=1&b=%26&_size=3", "a=1&_next=2&b=%26")
    changed._datasette_private_response = True
    assert given._datasette_private_response
    assert changed._datasette_private_response


async def test_page_tokens_are_limited(
    instance: Datasette, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasette.views.table, "tilde_encode", None)
    compat.limit_page_tokens(3)
    await instance.databases["d"].execute_write("insert into t (c) values ('long'), ('longer')")
    answer = await instance.client.get("/d/t.json?_sort=c&_size=2")
    assert (answer.status_code, answer.json()["error"]) == (
        400,
        "This list cannot be sorted by a value of more than 3 characters",
    )


async def test_pages_of_rows_have_the_listed_columns(instance: Datasette) -> None:
    parts = {"database": "d", "table": "t", "pks": "1"}
    request = Request.fake("/d/t/1", url_vars=parts)
    assert "hidden" in (await instance.resolve_row(request)).row.keys()  # noqa: SIM118
    compat.select_listed_columns_of_rows()
    assert dict((await instance.resolve_row(request)).row) == {"id": 1, "c": "a"}


async def test_lists_have_the_listed_tables(instance: Datasette) -> None:
    compat.catalog_listed_tables()
    await instance.refresh_schemas(force=True)
    sql = "select table_name from catalog_tables where database_name = 'd'"
    rows = (await instance.get_internal_database().execute(sql)).rows
    assert [name for (name,) in rows] == ["t"]


async def test_json_has_a_replacement_for_what_it_cannot_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Response, "json", Response.json)
    monkeypatch.setattr(compat.CustomJSONEncoder, "encode", compat.CustomJSONEncoder.encode)
    compat.encode_with(str)
    assert Response.json({"a": 1}, status=201).body == '{"a": 1}'
    assert Response.json({"a": float("inf")}).body == "\"{'a': inf}\""
    assert compat.CustomJSONEncoder().encode([1]) == "[1]"
    assert compat.CustomJSONEncoder().encode([float("nan")]) == '"[nan]"'


def test_helpers_of_core_do_what_we_use_them_for() -> None:
    assert compat.escape_fts("a b-c") == '"a" "b-c"'
    assert compat.urlsafe_components("a,b~2Cc") == ["a", "b,c"]
    request = Request.fake("/d/t?a=1")
    assert compat.path_with_added_args(request, {"b": "2"}) == "/d/t?a=1&b=2"
    headers: dict[str, str] = {}
    compat.add_cors_headers(headers)
    assert headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("sort", ["_sort", "_sort_desc"])
async def test_equal_rows_are_on_one_page_each(
    instance: Datasette, monkeypatch: pytest.MonkeyPatch, sort: str
) -> None:
    monkeypatch.setattr(datasette.views.table, "_sort_order", compat.sort_order)
    monkeypatch.setattr(datasette.views.table, "_next_value_and_url", compat.next_page)
    compat.sort_equal_rows()
    database = instance.databases["d"]
    await database.execute_write_script("""
        create table keyed (name text primary key, c text);
        insert into keyed values ('d', 'x'), ('a', 'x'), ('e', null), ('c', 'x'), ('b', null);
        """)
    await instance.invoke_startup()
    found: list[str] = []
    token = ""
    while token is not None:
        page = await instance.client.get(f"/d/keyed.json?_size=2&{sort}=c&_next={token}")
        found += [row["name"] for row in page.json()["rows"]]
        token = page.json()["next"]
    assert found == (["b", "e", "a", "c", "d"] if sort == "_sort" else ["a", "c", "d", "b", "e"])


async def test_answers_about_permissions_can_be_kept(
    instance: Datasette, monkeypatch: pytest.MonkeyPatch
) -> None:
    actions_sql = datasette.utils.actions_sql
    monkeypatch.setattr(actions_sql, "check_permissions_for_actions", compat.check_permissions)
    kept: dict[Any, Any] = {}

    async def answer(_: Datasette, actor: Any, question: tuple[str, ...], ask: Any) -> Any:
        if (str(actor), question) not in kept:
            kept[str(actor), question] = await ask()
        return kept[str(actor), question]

    compat.answer_permissions_with(answer)
    for _ in range(2):
        for resource in (None, TableResource("d", "t"), TableResource("d", "T2")):
            for actor in (None, {"id": "root"}):
                action = "view-table" if resource else "view-instance"
                assert await instance.allowed(action=action, resource=resource, actor=actor)
    assert len(kept) == 6
    assert all(answers == {question[-1]: True} for (_, question), answers in kept.items())


async def test_databases_are_checked_before_they_are_resolved(instance: Datasette) -> None:
    asked = []

    def check(_: Datasette, name: str) -> None:
        asked.append(name)
        if name == "gone":
            raise PermissionError("it is broken")

    compat.check_databases_with(check)
    assert (await instance.client.get("/d/t.json")).status_code == 200
    for answer in (
        await instance.client.get("/gone/t.json"),
        await instance.client.post("/gone/t/-/insert", json={"row": {}}),
    ):
        assert answer.status_code == 500
    assert asked == ["d", "gone", "gone"]
