"""Only what the contract lists can be read: by nobody else, by no route of the running server."""

from __future__ import annotations

import hashlib
import itertools
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from datasette.app import Datasette
from datasette.resources import DatabaseResource, TableResource
from in_process import READER, READING, ROOT, WORKER, asking, metadata, paths, serving

from dailies.auth.derived import closable, find_derived
from dailies.canned_queries import all_queries
from dailies.storage.databases import JOIN_BY_NAME
from dailies.storage.restricted import reference
from loaders import open_database
from loaders.registry import DATABASES, database_path

# Where a query fails in Datasette's midst, it forgets to await the queries beside it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

SENTINEL = "FAKE-SECRET-DO-NOT-SERVE"
DEFAULT = "FAKE-DEFAULT"  # in definitions, which root may read
STRANGER = "STRANGERS-FILE"
SERVED = ("jobs", "job_history", "deleted_jobs", "set_aside")
INTERNAL = (
    "jobs_fts", "jobs_fts_data", "jobs_trigrams", "jobs_trigrams_data", "jobs_in_trigrams",
    "write_context", "sqlite_stat1", "sqlite_master",
)  # fmt: skip
UNSERVED = ("youtube_credentials", "v_credentials", "credentials_fts", "pinned", "api_key")

PLANT = f"""
create table youtube_credentials (id integer primary key, credentials_json text, note text);
insert into youtube_credentials (credentials_json, note)
values ('{SENTINEL}', 'ünïcode'), ('{SENTINEL}-2', null);
create index idx_credentials on youtube_credentials (credentials_json);
create view v_credentials as select credentials_json from youtube_credentials;
create virtual table credentials_fts using fts5(credentials_json);
insert into credentials_fts (credentials_json) values ('{SENTINEL}');
create table pinned (
  job_id text references jobs (id) on delete cascade,
  why text default '{DEFAULT}'
);
insert into pinned (job_id, why) values ('spring', '{SENTINEL}');
alter table jobs add column api_key text default '{DEFAULT}';
update jobs set api_key = '{SENTINEL}';
create index idx_jobs_api_key on jobs (api_key);
create trigger pinned_au after update on jobs begin
  insert into youtube_credentials (note) values (new.api_key);
end;
insert into set_aside (table_name, row_key, reason, content)
values ('jobs', 'spring', 'was no JSON', '{STRANGER}');
analyze;
"""

JOBS = (
    {"id": "spring", "job_name": "Spring launch", "product": "Serum", "persona": "Nurse"},
    {"id": "summer", "job_name": "Summer sale", "product": "Serum", "persona": "Surfer"},
)

ATTACKS = (
    "select * from youtube_credentials",
    "select count(*) from youtube_credentials",
    "select exists (select 1 from youtube_credentials)",
    "select * from v_credentials",
    "select * from credentials_fts",
    "select credentials_json from credentials_fts where credentials_fts match 'FAKE'",
    "select * from credentials_fts_content",
    "select * from credentials_fts_data",
    "select api_key from jobs",
    "select * from jobs",
    "select jobs.* from jobs join jobs as other on other.api_key = jobs.api_key",
    "select id from jobs where api_key like 'FAKE%'",
    "select id from jobs order by api_key",
    "select json_group_array(api_key) from jobs",
    "select * from jobs_fts_data",
    "select * from [jobs_fts_docsize]",
    'select * from "main"."jobs_fts_idx"',
    "select * from jobs_trigrams_data",
    "select * from jobs_in_trigrams",
    "select * from sqlite_stat1",
    "select * from write_context",
    "select * from jobs_before",
    "select * from job_replaced",
    "select * from main.sqlite_master",
    'select sql from "sqlite_schema"',
    "select name from [sqlite_master]",
    "select * from sqlite_temp_master",
    "select * from pragma_table_list",
    "select * from pragma_table_info('youtube_credentials')",
    "select * from pragma_table_xinfo('jobs')",
    "select * from pragma_index_list('jobs')",
    "select * from pragma_index_info('idx_jobs_api_key')",
    "select * from pragma_foreign_key_list('pinned')",
    "select * from pragma_database_list",
    "select * from dbstat",
    "select * from sqlite_dbpage",
    "with x as (select * from youtube_credentials) select * from x",
    "with youtube_credentials as (select 1) select count(*) from main.youtube_credentials",
    "with recursive r(n) as (select 1 union all select n + 1 from r where n < 3) select n from r",
    "select (select credentials_json from youtube_credentials)",
    "select 1 union all select credentials_json from YOUTUBE_CREDENTIALS",
    "select load_extension('/tmp/x')",
    "explain select * from youtube_credentials",
    "explain query plan select * from youtube_credentials",
    "select * from campaigns.youtube_credentials",
    "select * from campaigns.sqlite_master",
    "select api_key from campaigns.jobs",
    "select * from campaigns.jobs",
    "select count(*) from campaigns.youtube_credentials",
    "select * from campaigns.jobs_fts_data",
    "select * from pragma_table_info('youtube_credentials', 'campaigns')",
)


def plant() -> Path:
    """A campaigns file with an old system's secrets in it."""
    db = open_database("campaigns")
    for job in JOBS:
        db.conn.execute("insert into jobs (id, data) values (?, ?)", [job["id"], json.dumps(job)])
    db.conn.executescript(PLANT)
    db.close()
    return database_path("campaigns")


@pytest.fixture
def planted(data_dir: Path) -> Path:
    return plant()


@pytest.fixture
def datasette(planted: Path) -> Iterator[Datasette]:
    """An instance of the test's own, to write to."""
    with serving() as served:
        yield served


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Datasette]:
    """One instance for all tests that only read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAILIES_DATA_DIR", str(tmp_path_factory.mktemp("shared")))
        plant()
        with serving(**READING) as served:
            yield served


def route_values() -> dict[str, list[str]]:
    return {
        "database": ["campaigns", "_memory"],
        "table": [*SERVED, *UNSERVED, *INTERNAL, "recent_jobs"],
        "query": ["recent_jobs", "search_jobs"],
        "pks": ["spring", "1"],
        "format": ["", ".json", ".csv", ".md", ".blob"],
        "key": ["spring"],
    }


QUESTIONS = (
    "_facet=api_key",
    "_sort=api_key",
    "_sort_desc=api_key",
    "_col=api_key",
    "_nocol=id",
    "api_key__contains=FAKE",
    "api_key=" + SENTINEL,
    "_search=FAKE",
    "_search_api_key=FAKE",
    "_where=api_key+is+not+null",
    "_through={%22table%22:%22pinned%22,%22column%22:%22why%22,%22value%22:%22x%22}",
    "_extra=columns,all_columns,foreign_keys,expandable_columns,database_color,query,metadata",
    "_extra=count,count_sql,facet_results,suggested_facets,column_details,debug,request",
    "_labels=on&_size=max&_shape=array",
    "_fts_table=credentials_fts&_fts_pk=rowid&_search=FAKE",
    "_blob_column=api_key",
    "q=FAKE",
    "_initial=" + SENTINEL[:4],
    "sql=select+*+from+youtube_credentials",
    "database=campaigns&table=youtube_credentials",
    "action=view-table&parent=campaigns&child=youtube_credentials",
)


def revealed(response: Any) -> str:
    """Everything of an answer in which a secret could stand."""
    return response.text + "\n".join(f"{name}: {value}" for name, value in response.headers.items())


EITHER = pytest.mark.parametrize("actor", [None, ROOT], ids=["anonymous", "root"])


@pytest.mark.slow
@EITHER
async def test_no_route_reveals_what_is_not_served(
    shared: Datasette, actor: dict[str, str] | None, capfd: pytest.CaptureFixture[str]
) -> None:
    async with asking(shared, actor) as client:
        for path in paths(shared, route_values()):
            response = await client.get(path)
            assert SENTINEL not in revealed(response), path
            assert response.status_code < 500, path
            if actor != ROOT:
                hidden = [*(name for name in UNSERVED if name not in path), DEFAULT]
                assert [name for name in hidden if name in revealed(response)] == [], path
            assert actor == ROOT or STRANGER not in revealed(response), path
    assert SENTINEL not in "".join(capfd.readouterr())


@pytest.mark.slow
@EITHER
async def test_no_question_to_a_page_reveals_it(
    shared: Datasette, actor: dict[str, str] | None
) -> None:
    values = {"database": ["campaigns"], "table": ["jobs", "pinned"], "pks": ["spring"]}
    # Root may read whatever anybody may.
    values |= {"format": ["", ".json", ".csv"] if actor else [".json"]}
    async with asking(shared, actor) as client:
        asked = [path for path in paths(shared, route_values() | values) if is_asked(path)]
        for path, question in itertools.product(asked, QUESTIONS):
            response = await client.get(f"{path}?{question}")
            assert response.status_code < 500, (path, question)
            text = revealed(response)
            assert SENTINEL + "-2" not in text, (path, question)
            assert SENTINEL in question or SENTINEL not in text, (path, question)


def is_asked(path: str) -> bool:
    """Not the many pages that take no questions."""
    return path.startswith("/campaigns/") or path in ("/-/jump.json", "/-/check", "/-/allowed")


@pytest.mark.parametrize("database", ["campaigns", pytest.param("_memory", marks=pytest.mark.slow)])
async def test_sql_of_root_is_refused_what_is_not_served(
    shared: Datasette, database: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async with asking(shared, ROOT) as client:
        for sql, suffix in itertools.product(ATTACKS, ("", ".json", ".csv")):
            response = await client.get(f"/{database}/-/query{suffix}?sql={quote(sql)}")
            assert response.status_code in {200, 400}
            assert SENTINEL not in revealed(response), sql
    assert SENTINEL not in "".join(capfd.readouterr())


async def test_sql_reads_null_in_a_hidden_column_and_no_hidden_table(shared: Datasette) -> None:
    column = await ask(shared, "select id, api_key from jobs order by id")
    assert column["rows"] == [
        {"id": "spring", "api_key": None},
        {"id": "summer", "api_key": None},
    ]
    for sql, message in (
        ("select * from youtube_credentials", "access to youtube_credentials.id is prohibited"),
        ("select count(*) from youtube_credentials", "not authorized"),
        ("select 1 from credentials_fts", "vtable constructor failed: credentials_fts"),
        ("select tbl from sqlite_stat1", "access to sqlite_stat1.tbl is prohibited"),
        ("select lease from job_states", "no such table: job_states"),
        ("select body from idempotency_keys", "access to idempotency_keys.body is prohibited"),
    ):
        answer = await ask(shared, sql)
        assert (answer["status"], answer["error"]) == (400, message)


async def test_sql_is_run_as_it_was_sent(shared: Datasette) -> None:
    answer = await ask(
        shared, """select 'sqlite_master' as x, count(*) as "sqlite_master" from jobs"""
    )
    assert answer["rows"] == [{"x": "sqlite_master", "sqlite_master": 2}]
    names = await ask(shared, "select name from sqlite_master where name like 'v%credentials'")
    assert [row["name"] for row in names["rows"]] == ["v_credentials"]


async def test_triggers_of_the_user_may_read_and_write_what_is_not_served(
    datasette: Datasette, planted: Path
) -> None:
    response = await datasette.client.post(
        "/campaigns/jobs/spring/-/update", json={"update": {"hook": "new"}}, actor=ROOT
    )
    assert response.status_code == 200
    with closing(sqlite3.connect(planted)) as connection:
        rows = connection.execute("select note from youtube_credentials where id > 2").fetchall()
    assert set(rows) == {(SENTINEL,)}


async def test_hidden_columns_are_not_written(datasette: Datasette, planted: Path) -> None:
    for path, body, message in (
        (
            "/campaigns/jobs/-/insert",
            {"row": {"id": "n", "?": "x"}},
            "Row 0 has invalid columns: ?",
        ),
        (
            "/campaigns/jobs/-/upsert",
            {"row": {"id": "n", "?": "x"}},
            "Row 0 has invalid columns: ?",
        ),
        ("/campaigns/jobs/spring/-/update", {"update": {"?": "x"}}, 'unknown column "?"'),
    ):
        for name in ("api_key", "API_KEY", "nothing"):
            sent = json.dumps(body).replace("?", name)
            response = await datasette.client.post(path, content=sent, actor=WORKER)
            expected = message.replace("?", name)
            assert (response.status_code, response.json()["error"]) == (400, expected)
    with closing(sqlite3.connect(planted)) as connection:
        rows = connection.execute("select id, api_key from jobs order by id").fetchall()
    assert rows == [("spring", SENTINEL), ("summer", SENTINEL)]


NAMING = (
    "{}__notnull=1",
    "{}__nonsense=1",
    "{}=x",
    "_sort={}",
    "_sort_desc={}",
    "_facet={}",
    "_facet_array={}",
    "_facet_date={}",
    "_facet_kept={}",
    '_facet={{"column":"{}"}}',
    "_col={}",
    "_nocol={}",
    "_search_{}=x",
    '_through={{"table":"job_history","column":"{}","value":"1"}}',
)


@pytest.mark.parametrize("question", NAMING)
async def test_a_hidden_column_is_refused_like_an_unknown_one(
    shared: Datasette, question: str
) -> None:
    answers = {}
    async with asking(shared, None) as client:
        for name in ("api_key", "nothing"):
            for path in ("jobs.json", "jobs.csv", "jobs"):
                answer = await client.get(f"/campaigns/{path}?{question.format(name)}")
                text = answer.text.replace(name, "?")
                answers.setdefault(path, set()).add((answer.status_code, text))
        api = await client.get(f"/api/campaigns?{question.format('api_key')}")
    assert [len(found) for found in answers.values()] == [1, 1, 1]
    assert {status for found in answers.values() for status, _ in found} == {400}
    assert api.status_code == 400
    if "__" in question or "facet" in question:
        answer = await shared.client.get(f"/campaigns/jobs.json?{question.format('nothing')}")
        assert answer.json()["error"] == 'unknown column "nothing"'


@pytest.mark.parametrize(
    "through",
    [
        *("x", "1", "[]", "{}", "[" * 5_000),
        '{"table":1,"column":"a","value":1}',
        '{"table":"jobs","column":"id","value":{}}',
        '{"table":"jobs","column":"id"}',
    ],
)
async def test_a_malformed_through_is_400(shared: Datasette, through: str) -> None:
    answer = await shared.client.get("/campaigns/jobs.json", params={"_through": through})
    message = '_through must be a JSON object with "table", "column" and "value"'
    assert (answer.status_code, answer.json()["error"]) == (400, message)


@pytest.mark.parametrize("table", ["pinned", "nothing", "job_history", "jobs"])
async def test_through_a_table_without_such_a_key_is_400(shared: Datasette, table: str) -> None:
    through = json.dumps({"table": table, "column": "id", "value": "1"})
    answer = await shared.client.get("/campaigns/jobs.json", params={"_through": through})
    message = "Invalid _through - could not find corresponding foreign key"
    assert (answer.status_code, answer.json()["error"]) == (400, message)


async def test_columns_are_found_in_any_case(shared: Datasette) -> None:
    for question in ("ID=spring", "rowid__notnull=1&id=spring", "job_name__startswith=Spring"):
        answer = await shared.client.get(f"/campaigns/jobs.json?{question}")
        assert [row["id"] for row in answer.json()["rows"]] == ["spring"]


GUESS = f"(select '{SENTINEL}' as api_key)"


@pytest.mark.parametrize("database", ["campaigns", "_memory"])
@pytest.mark.parametrize(
    "sql",
    [
        f"select count(*) from campaigns.jobs join {GUESS} using (api_key)",
        f"select count(*) from campaigns.jobs NATURAL/**/join {GUESS}",
        f"""select "it's" from jobs natural join {GUESS} where 'x'""",
        f"select $a('), 1 from jobs natural join {GUESS} where 1 or $b(')",
        f"/* ' */ select count(*) from jobs -- '\n natural join {GUESS}",
    ],
)
async def test_no_join_compares_a_hidden_column(shared: Datasette, database: str, sql: str) -> None:
    answer = await ask(shared, sql, database)
    assert (answer["status"], answer["error"]) == (400, JOIN_BY_NAME)


JSON_BOMB = """
with recursive r(n) as (select 1 union all select n + 1 from r where n < 9000)
select length(json_group_array(hex(zeroblob(100000)))) from r
"""


@pytest.mark.parametrize(
    ("sql", "status", "message"),
    [
        ("select zeroblob(900000000)", 400, "string or blob too big"),
        ("select length(randomblob(900000000))", 400, "string or blob too big"),
        ("select length(hex(zeroblob(60000000)))", 400, "string or blob too big"),
        (
            "select length(replace(hex(zeroblob(50000)), '0', hex(zeroblob(50000))))",
            *(400, "string or blob too big"),
        ),
        (JSON_BOMB, 503, "The server has no memory for this now: try again, or ask for less"),
    ],
)
async def test_sql_takes_no_more_memory_than_it_may(
    shared: Datasette, sql: str, status: int, message: str
) -> None:
    for database in ("campaigns", "_memory"):
        answer = await ask(shared, sql, database)
        assert (answer["status"], answer["error"]) == (status, message)


async def test_words_of_joins_are_no_joins(shared: Datasette) -> None:
    sql = """select 'using' as "natural" /* using */ from jobs limit 1 -- natural"""
    assert (await ask(shared, sql))["rows"] == [{"natural": "using"}]


async def test_a_post_to_a_query_runs_nothing(shared: Datasette) -> None:
    answer = await shared.client.post("/campaigns/recent_jobs?_json=1", json={"limit": 1})
    assert answer.json()["error"] == "Queries only read: send a GET request"
    assert answer.status_code == 400


async def test_what_metadata_lists_is_served(planted: Path) -> None:
    config = metadata()
    tables = config["databases"]["campaigns"]["tables"]
    tables["jobs"]["columns"]["api_key"] = "The key"
    tables["pinned"] = {"columns": {"job_id": "The job"}}
    tables["credentials_fts"] = {}
    with serving(config=config) as datasette:
        for path, expected in (
            ("jobs.json?_shape=objects", {"api_key": SENTINEL}),
            ("jobs/spring.json", {"api_key": SENTINEL}),
            ("pinned.json", {"job_id": "spring"}),
            ("credentials_fts.json", {"credentials_json": SENTINEL}),
        ):
            [*_, row] = (await datasette.client.get(f"/campaigns/{path}")).json()["rows"]
            assert expected.items() <= row.items(), path
            assert "why" not in row
        hidden = await datasette.client.get("/campaigns/youtube_credentials.json", actor=ROOT)
        assert hidden.status_code == 404
        updated = await datasette.client.post(
            "/campaigns/jobs/spring/-/update", json={"update": {"api_key": "x"}}, actor=ROOT
        )
        assert updated.status_code == 200


async def test_definitions_with_hidden_columns_are_for_root(shared: Datasette) -> None:
    for path in ("/-/schema", "/campaigns/-/schema", "/campaigns/jobs/-/schema.json"):
        assert (await shared.client.get(path)).status_code == 403
        assert "api_key" in (await shared.client.get(path, actor=ROOT)).text


async def test_definitions_of_what_is_served_are_public(data_dir: Path) -> None:
    open_database("campaigns").close()
    with serving() as datasette:
        assert "jobs" in (await datasette.client.get("/campaigns/jobs/-/schema.json")).text


async def test_common_table_expressions_work(shared: Datasette) -> None:
    answer = await ask(shared, "with x as (select 1) select count(*) as n from x")
    assert answer["rows"] == [{"n": 1}]


async def test_only_root_asks_in_sql(shared: Datasette) -> None:
    for actor in (None, READER, WORKER):
        response = await shared.client.get("/campaigns/-/query.json?sql=select+1", actor=actor)
        assert response.status_code == 403
        assert response.json()["error"] == "execute-sql"
        where = await shared.client.get("/campaigns/jobs.json?_where=1=1", actor=actor)
        assert where.status_code == 403
        assert where.json()["error"] == "_where= is not allowed"


async def ask(datasette: Datasette, sql: str, database: str = "campaigns") -> dict[str, Any]:
    response = await datasette.client.get(f"/{database}/-/query.json?sql={quote(sql)}", actor=ROOT)
    answer: dict[str, Any] = response.json()
    return answer


async def test_served_tables_work_beside_unserved_ones(shared: Datasette) -> None:
    listed = (await shared.client.get("/campaigns.json")).json()
    assert [table["name"] for table in listed["tables"]] == ["job_history", "jobs"]
    assert [view["name"] for view in listed["views"]] == ["deleted_jobs", "job_versions"]
    found = await shared.client.get("/campaigns/jobs.json?_search=spring&_shape=objects")
    assert [row["id"] for row in found.json()["rows"]] == ["spring"]
    row = (await shared.client.get("/campaigns/jobs/spring.json")).json()["rows"][0]
    assert row["job_name"] == "Spring launch"
    assert "api_key" not in row
    across = await ask(shared, "select count(*) as n from campaigns.jobs", "_memory")
    assert across["rows"] == [{"n": 2}]


async def test_rows_are_written_beside_unserved_columns(
    datasette: Datasette, planted: Path
) -> None:
    inserted = await datasette.client.post(
        "/campaigns/jobs/-/insert",
        json={"row": {"id": "autumn", "job_name": "Autumn"}, "return": True},
        actor=ROOT,
    )
    assert inserted.status_code == 201
    assert inserted.json()["rows"][0]["job_name"] == "Autumn"
    assert "api_key" not in inserted.text
    upserted = await datasette.client.post(
        "/campaigns/jobs/-/upsert",
        json={"rows": [{"id": "autumn", "job_name": "Fall"}], "return": True},
        actor=WORKER,
    )
    assert upserted.json()["rows"][0]["job_name"] == "Fall"
    assert "api_key" not in upserted.text
    updated = await datasette.client.post(
        "/campaigns/jobs/spring/-/update",
        json={"update": {"product": "Cream"}, "return": True},
        actor=ROOT,
    )
    assert updated.status_code == 200
    assert updated.json()["rows"][0]["product"] == "Cream"
    assert SENTINEL not in updated.text
    deleted = await datasette.client.post("/campaigns/jobs/spring/-/delete", json={}, actor=ROOT)
    assert deleted.status_code == 200
    with closing(sqlite3.connect(planted)) as connection, connection:
        rows = connection.execute("select id, api_key from jobs order by id").fetchall()
        assert rows == [("autumn", DEFAULT), ("summer", SENTINEL)]
        assert connection.execute("select count(*) from pinned").fetchone() == (0,)
    connection.close()


@pytest.mark.parametrize("table", ["youtube_credentials", "pinned", "write_context", "set_aside"])
async def test_other_tables_take_no_rows(shared: Datasette, table: str) -> None:
    for action, body in (("insert", {"row": {"id": 9}}), ("upsert", {"row": {"id": 9}})):
        response = await shared.client.post(f"/campaigns/{table}/-/{action}", json=body, actor=ROOT)
        assert response.status_code == (403 if table == "set_aside" else 404)
        assert response.json()["ok"] is False


async def test_even_a_root_of_the_command_line_changes_no_schema(datasette: Datasette) -> None:
    await datasette.invoke_startup()
    datasette.root_enabled = True
    database, table = DatabaseResource("campaigns"), TableResource("campaigns", "jobs")
    refused = {
        "execute-write-sql": database,
        "create-table": database,
        "create-view": database,
        "store-query": database,
        "view-database-download": database,
        "alter-table": table,
        "drop-table": table,
        "set-column-type": table,
    }
    for action, resource in refused.items():
        assert not await datasette.allowed(action=action, resource=resource, actor=ROOT), action


async def test_pages_about_the_server_are_for_root(shared: Datasette) -> None:
    await shared.invoke_startup()
    for page in ("config", "settings", "permissions", "rules", "allowed", "threads", "messages"):
        for actor in (None, READER, WORKER):
            response = await shared.client.get(f"/-/{page}", actor=actor)
            assert response.status_code == 403, page
            assert "permissions-debug" in response.text
        assert (await shared.client.get(f"/-/{page}", actor=ROOT)).status_code == 200, page
    databases = (await shared.client.get("/-/databases.json")).json()["databases"]
    assert [database["name"] for database in databases] == ["campaigns", "_memory"]
    assert {database["path"] for database in databases} == {None}


async def test_nothing_downloads_a_file(shared: Datasette) -> None:
    for actor in (None, ROOT):
        response = await shared.client.get("/campaigns.db", actor=actor)
        assert response.status_code == 403
        assert "view-database-download" in response.text


def writing_paths(datasette: Datasette) -> list[str]:
    values = route_values() | {
        "database": ["campaigns"],
        "table": ["jobs"],
        "query": ["recent_jobs"],
        "pks": ["spring"],
        "format": [".json"],
    }
    return paths(datasette, values)


WRITING = tuple(
    f"/-/{action}"
    for action in (
        "alter",
        "create",
        "delete",
        "drop",
        "edit",
        "execute-write",
        "insert",
        "queries/store",
        "set-column-type",
        "update",
        "upsert",
    )
)


def content(path: Path) -> str:
    """A fingerprint of every table's rows."""
    with closing(sqlite3.connect(path)) as connection, connection:
        dump = "\n".join(connection.iterdump())
    connection.close()
    return hashlib.sha256(dump.encode()).hexdigest()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("actor", [None, READER], ids=["anonymous", "reader"])
async def test_who_may_only_read_changes_nothing(
    shared: Datasette, actor: dict[str, str] | None, method: str
) -> None:
    before = content(database_path("campaigns"))
    async with asking(shared, actor) as client:
        for path in writing_paths(shared):
            response = await client.request(method, path, json={})
            assert response.status_code < 500, path
            if method == "POST" and path.endswith(WRITING):
                assert response.status_code == 403, path
    assert content(database_path("campaigns")) == before


async def test_reading_every_page_as_root_changes_nothing(shared: Datasette) -> None:
    before = content(database_path("campaigns"))
    async with asking(shared, ROOT) as client:
        for path in writing_paths(shared):
            await client.get(path)
    assert content(database_path("campaigns")) == before


async def test_a_column_that_appears_while_serving_is_not_read(
    datasette: Datasette, planted: Path
) -> None:
    await datasette.client.get("/campaigns/jobs.json")
    with closing(sqlite3.connect(planted)) as connection, connection:
        connection.execute(f"alter table job_history add column pin text default '{SENTINEL}'")
        connection.execute("create table later (secret text)")
        connection.execute("insert into later values (?)", [SENTINEL])
    connection.close()
    for path in ("job_history.json", "job_history/1.json", "job_history.csv", "later.json"):
        response = await datasette.client.get(f"/campaigns/{path}", actor=ROOT)
        assert SENTINEL not in response.text
    assert (await ask(datasette, "select * from later"))["status"] == 400
    assert (await ask(datasette, "with later as (select 1) select count(*) from later"))[
        "status"
    ] == 400


async def test_a_file_named_otherwise_is_served_under_its_database_name(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMPAIGNS_DB_PATH", str(tmp_path / "odd #name?100%.sqlite"))
    open_database("campaigns").close()
    with serving() as datasette:
        answer = await datasette.client.get("/campaigns/jobs.json")
        assert (answer.status_code, answer.json()["rows"]) == (200, [])
        across = await ask(datasette, "select count(*) as n from campaigns.jobs", "_memory")
        assert across["rows"] == [{"n": 0}]


async def test_a_file_given_on_the_command_line_is_served_only_if_it_is_ours(
    planted: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    copy.write_bytes(planted.read_bytes())
    with serving(files=[str(planted), str(copy)]) as datasette:
        await datasette.invoke_startup()
        assert list(datasette.databases) == ["campaigns", "_memory"]
        assert SENTINEL not in (await datasette.client.get("/campaigns/jobs.json")).text


async def test_no_database_is_invented(data_dir: Path) -> None:
    with serving() as datasette:
        await datasette.invoke_startup()
        assert list(datasette.databases) == ["_memory"]
        assert not database_path("campaigns").exists()


async def test_every_connection_is_set_up(shared: Datasette) -> None:
    await shared.invoke_startup()
    database = shared.get_database("campaigns")
    wanted = {"foreign_keys": 1, "synchronous": 2, "busy_timeout": 5000, "secure_delete": 1}

    def settings(connection: sqlite3.Connection) -> dict[str, int]:
        cursor = sqlite3.Cursor(connection)
        return {name: cursor.execute(f"pragma {name}").fetchone()[0] for name in wanted} | {
            "wal": cursor.execute("pragma journal_mode").fetchone()[0] == "wal"
        }

    assert await database.execute_write_fn(settings, transaction=False) == wanted | {"wal": True}
    reading = database.connect()
    reading.set_authorizer(None)
    assert settings(reading) == wanted | {"wal": True}


async def test_bytes_that_are_no_text_are_shown(datasette: Datasette, planted: Path) -> None:
    with closing(sqlite3.connect(planted)) as connection, connection:
        connection.execute(
            "insert into set_aside (table_name, reason) values (?, cast(x'ff41' as text))", ["jobs"]
        )
    connection.close()
    for path in ("set_aside.json", "set_aside", "set_aside.csv", "set_aside/2.json"):
        response = await datasette.client.get(f"/campaigns/{path}", actor=ROOT)
        assert response.status_code == 200
        assert "A" in response.text


@pytest.mark.slow
async def test_a_private_instance_names_nothing(planted: Path) -> None:
    private = metadata() | {"allow": {"id": "root"}}
    values = {"format": ["", ".json"], "pks": ["spring"], "table": ["jobs", "recent_jobs"]}
    names = ("job_history", "Spring launch", "jobs_by_product", "deleted_jobs")
    with serving(config=private, **READING) as datasette:
        for actor in (None, READER):
            async with asking(datasette, actor) as client:
                for path in paths(datasette, route_values() | values):
                    text = revealed(await client.get(path))
                    assert [name for name in names if name in text] == [], path


@pytest.mark.parametrize("column", ["]", '"', "'", "`", "a\n", "\0", "id]--", "api_key", "é"])
async def test_odd_names_in_questions_are_answered(shared: Datasette, column: str) -> None:
    name = quote(column)
    questions = [f"{name}{operator}=x" for operator in ("", "__contains", "__in", "__date", "__gt")]
    questions += [f"{key}={name}" for key in ("_sort", "_sort_desc", "_facet", "_col", "_nocol")]
    async with asking(shared, None) as client:
        for question, suffix in itertools.product(questions, (".json", "", ".csv")):
            response = await client.get(f"/campaigns/jobs{suffix}?{question}")
            assert response.status_code < 500, question
            assert SENTINEL not in response.text


def test_the_registry_names_each_database() -> None:
    assert "campaigns" in DATABASES


def config_closing(**tables: Any) -> dict[str, Any]:
    config = metadata()
    for table, allow in tables.items():
        config["databases"]["campaigns"]["tables"][table]["allow"] = allow
    return config


BENEATH = ("recent_jobs", "search_jobs", "jobs_by_product", "job_statistics")


async def test_a_closed_table_closes_what_is_made_from_it(planted: Path) -> None:
    with serving(config=config_closing(jobs={"id": "worker"}), **READING) as datasette:
        for actor, status in ((None, 403), (READER, 403), (WORKER, 200)):
            async with asking(datasette, actor) as client:
                for name in ("jobs", *BENEATH, "job_versions"):
                    response = await client.get(f"/campaigns/{name}.json")
                    assert response.status_code == status, (actor, name)
                    assert status == 200 or "Spring" not in response.text
                queries = (await client.get("/campaigns/-/queries.json?_size=max")).text
                assert ("recent_jobs" in queries) == (status == 200)
                views = (await client.get("/campaigns.json")).text
                assert ("job_versions" in views) == (status == 200)
                assert (await client.get("/campaigns/job_changes.json")).status_code == status


async def test_a_closed_history_closes_what_is_made_from_it(planted: Path) -> None:
    with serving(config=config_closing(job_history=False), **READING) as datasette:
        async with asking(datasette, ROOT) as client:
            for name in ("job_history", "job_versions", "deleted_jobs", "job_changes"):
                assert (await client.get(f"/campaigns/{name}.json")).status_code == 403, name
            for name in ("jobs", *BENEATH):
                assert (await client.get(f"/campaigns/{name}.json")).status_code == 200, name


async def test_nothing_that_all_may_ask_reads_what_only_root_may(shared: Datasette) -> None:
    """As shipped, no query and no view stands over a table that is closed to anybody."""
    await shared.invoke_startup()
    assert closable[shared] == []
    queries = [query for query in all_queries() if query.database == "campaigns"]
    found = [one for one in await find_derived(shared, queries) if one.database == "campaigns"]
    tables = {*reference("campaigns").views, *DATABASES["campaigns"].parts, "set_aside"}
    assert {one.name for one in found} == {query.name for query in queries} | tables
    assert [one.name for one in found if not one.sources] == []
    assert ("campaigns", "set_aside") not in {table for one in found for table in one.sources}
