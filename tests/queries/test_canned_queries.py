"""The queries of canned_queries/: how they are loaded, and what those of campaigns answer."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from canned import bare_scans, plan
from datasette.app import Datasette
from datasette.utils import StartupError
from empty_databases import create_databases
from in_process import READING, ROOT, own_queries, serving

from dailies.canned_queries import read_queries
from dailies.home import HOME
from loaders import campaigns, open_database
from loaders.campaigns.normal_form import SEARCHED
from loaders.registry import DATABASES, database_path

COLUMNS = {
    "job_statistics": [
        "total_jobs",
        "enabled_jobs",
        "disabled_jobs",
        "unique_products",
        "unique_personas",
        "unique_languages",
    ],
    "jobs_by_product": ["product", "jobs", "enabled_jobs"],
    "jobs_by_persona": ["persona", "jobs", "enabled_jobs"],
    "jobs_by_language": ["language", "jobs", "enabled_jobs"],
    "search_jobs": [
        *("id", "job_name", "product", "persona", "setting", "emotion", "hook"),
        *("language", "brand_name", "enabled", "created_at"),
    ],
    "recent_jobs": [
        *("id", "job_name", "product", "persona", "language", "enabled"),
        *("created_at", "updated_at"),
    ],
    "jobs_created_by_day": ["day", "jobs"],
    "job_changes": ["job_id", "version", "operation", "actor", "changed_at", "data"],
}


def days_ago(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="seconds")


def sample_jobs() -> list[dict[str, Any]]:
    words = ["Glow serum", "C++ course", "50% off mug", "Déjà vu lamp"]
    return [
        {
            "id": f"job-{number:03}",
            "job_name": f"Launch {number}",
            "product": words[number % 4] if number % 7 else None,
            "persona": f"Persona {number % 3}",
            "language": "German" if number % 5 == 0 else "English",
            "hook": f"Hook number {number} for a {words[number % 4]}",
            "enabled": number % 6 != 0,
            "created_at": days_ago(number),
        }
        for number in range(60)
    ]


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    """Sixty jobs, one created on each of the last sixty days, for the tests that only read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAILIES_DATA_DIR", str(tmp_path_factory.mktemp("jobs")))
        db = open_database("campaigns")
        campaigns.bulk_add_jobs(db, sample_jobs())
        stored = [dict(row) for row in db["jobs"].rows]
        db.close()
        yield stored


@pytest.fixture(scope="module")
def datasette(jobs: list[dict[str, Any]]) -> Iterator[Datasette]:
    with serving(**READING) as served:
        yield served


@pytest.fixture
def own_datasette(jobs: list[dict[str, Any]], data_dir: Path) -> Iterator[Datasette]:
    """An instance over the same jobs in a database of the test's own."""
    db = open_database("campaigns")
    campaigns.bulk_add_jobs(db, sample_jobs())
    db.close()
    with serving() as served:
        yield served


async def ask(datasette: Datasette, name: str, **parameters: Any) -> dict[str, Any]:
    response = await datasette.client.get(f"/campaigns/{name}.json?{urlencode(parameters)}")
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def rows(datasette: Datasette, name: str, **parameters: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await ask(datasette, name, **parameters))["rows"]
    return found


def counted(jobs: list[dict[str, Any]], column: str) -> list[dict[str, Any]]:
    """What `jobs_by_...` must say: the most first, then by value, none before any."""
    totals = Counter(job[column] for job in jobs)
    enabled = Counter(job[column] for job in jobs if job["enabled"] == 1)
    order = sorted(totals, key=lambda value: (-totals[value], value is not None, value or ""))
    return [
        {column: value, "jobs": totals[value], "enabled_jobs": enabled[value]} for value in order
    ]


async def test_campaigns_has_the_queries_promised(datasette: Datasette) -> None:
    listed = await datasette.client.get("/campaigns/-/queries.json?_size=max")
    found = {query["name"]: query for query in listed.json()["queries"]}
    assert set(found) == set(COLUMNS)
    for query in found.values():
        assert query["title"]
        assert query["description"]
        assert query["is_trusted"]
        assert not query["is_write"]


@pytest.mark.parametrize("name", COLUMNS)
async def test_each_query_works_with_nothing_filled_in(datasette: Datasette, name: str) -> None:
    for suffix in (".json?_shape=arrays&_extra=columns", ".csv", ""):
        response = await datasette.client.get(f"/campaigns/{name}{suffix}")
        assert response.status_code == 200, suffix
    table = (await datasette.client.get(f"/campaigns/{name}.csv")).text.splitlines()[0]
    assert table.split(",") == COLUMNS[name]


async def test_each_query_works_on_an_empty_database(data_dir: Path) -> None:
    create_databases(["campaigns"])
    with serving() as empty:
        found = {name: await rows(empty, name) for name in COLUMNS}
    none = [dict.fromkeys(COLUMNS["job_statistics"], 0)]
    assert found == {name: [] for name in COLUMNS} | {"job_statistics": none}


@pytest.mark.parametrize("name", COLUMNS)
async def test_odd_parameters_are_answered(datasette: Datasette, name: str) -> None:
    for value in ("x", "-1", "0", "1.5", "9" * 20, "\0", "'", "Infinity", " ", "é", "null"):
        await ask(datasette, name, q="launch", limit=value, days=value, id=value)


@pytest.mark.parametrize("name", COLUMNS)
def test_no_query_reads_a_whole_table(jobs: list[dict[str, Any]], name: str) -> None:
    small = ("SCAN (subquery", "SCAN job_counts")
    steps = [step for step in plan("campaigns", name) if not step.startswith(small)]
    # A search with many hits reads the newest jobs until it has enough.
    allowed = ["size", "whole_words", "best", "newest", "jobs"] if name == "search_jobs" else []
    assert bare_scans(steps, "jobs_fts", "found", *allowed) == []


async def test_statistics(datasette: Datasette, jobs: list[dict[str, Any]]) -> None:
    enabled = sum(job["enabled"] == 1 for job in jobs)
    assert await rows(datasette, "job_statistics") == [
        {
            "total_jobs": 60,
            "enabled_jobs": enabled,
            "disabled_jobs": 60 - enabled,
            "unique_products": 4,
            "unique_personas": 3,
            "unique_languages": 2,
        }
    ]
    for column in ("product", "persona", "language"):
        assert await rows(datasette, f"jobs_by_{column}") == counted(jobs, column)


async def test_statistics_follow_every_write(own_datasette: Datasette) -> None:
    datasette = own_datasette
    await datasette.invoke_startup()
    with closing(sqlite3.connect(database_path("campaigns"), isolation_level=None)) as connection:
        connection.execute("delete from jobs where product = 'Glow serum'")
        connection.execute("update jobs set persona = 'Persona 0', enabled = 0 where rowid < 10")
        connection.execute("update jobs set product = null where product = 'C++ course'")
        connection.execute("insert or replace into jobs (id, job_name) values ('new', 'New')")
        connection.row_factory = sqlite3.Row
        jobs = [dict(row) for row in connection.execute("select * from jobs")]
    for column in ("product", "persona", "language"):
        assert await rows(datasette, f"jobs_by_{column}") == counted(jobs, column)
    statistics = (await rows(datasette, "job_statistics"))[0]
    assert statistics["total_jobs"] == len(jobs)
    assert statistics["unique_products"] == len({job["product"] for job in jobs} - {None})


async def test_recent_jobs(datasette: Datasette, jobs: list[dict[str, Any]]) -> None:
    newest = sorted(jobs, key=lambda job: job["created_at"], reverse=True)
    found = await rows(datasette, "recent_jobs")
    assert [job["id"] for job in found] == [job["id"] for job in newest[:20]]
    found = await rows(datasette, "recent_jobs", limit=7)
    assert [job["id"] for job in found] == [job["id"] for job in newest[:7]]


async def test_recent_jobs_compares_instants_and_not_their_spelling(data_dir: Path) -> None:
    db = open_database("campaigns")
    for job_id, created_at in (
        ("b", "2025-06-01T12:00:00+02:00"),
        ("a", "2025-06-01T10:00:00.000Z"),
        ("earlier", "2025-06-01 09:59:59"),
        ("later", "2025-06-01T10:00:00.001Z"),
        ("latest", "2025-06-01T23:30:00-08:00"),
        ("never", "yesterday"),
    ):
        db["jobs"].insert({"id": job_id, "job_name": "x", "created_at": created_at})
    db.close()
    with serving() as datasette:
        found = await rows(datasette, "recent_jobs")
        days = await rows(datasette, "jobs_created_by_day", days=3650)
    assert [job["id"] for job in found] == ["latest", "later", "a", "b", "earlier"]
    assert days == [{"day": "2025-06-02", "jobs": 1}, {"day": "2025-06-01", "jobs": 4}]


async def test_jobs_created_by_day(datasette: Datasette, jobs: list[dict[str, Any]]) -> None:
    today = datetime.now(UTC).date()
    for days, parameters in ((30, {}), (7, {"days": 7}), (60, {"days": 9999})):
        expected = [str(today - timedelta(days=day)) for day in range(days)]
        found = await rows(datasette, "jobs_created_by_day", **parameters)
        assert found == [{"day": day, "jobs": 1} for day in expected]


async def test_search(datasette: Datasette, jobs: list[dict[str, Any]]) -> None:
    def holding(*words: str) -> set[str]:
        return {
            job["id"]
            for job in jobs
            if all(word in f"{job['job_name']} {job['product']} {job['hook']}" for word in words)
        }

    found = await rows(datasette, "search_jobs", q="serum", limit=100)
    assert {job["id"] for job in found} == holding("serum") != set()
    assert len(await rows(datasette, "search_jobs", q="launch")) == 20
    assert len(await rows(datasette, "search_jobs", q="launch", limit=100)) == 60
    both = await rows(datasette, "search_jobs", q="number lamp", limit=100)
    assert {job["id"] for job in both} == holding("number", "lamp") != set()
    accents = await rows(datasette, "search_jobs", q="deja VU", limit=100)
    assert {job["id"] for job in accents} == holding("Déjà") != set()
    assert await rows(datasette, "search_jobs", q="nowhere") == []


async def test_a_search_with_many_hits_has_the_newest(datasette: Datasette) -> None:
    sql = (await datasette.get_query("campaigns", "search_jobs")).sql
    assert sql.count("10001") == 2
    few = sql.replace("10001", "3").replace("10000", "2")
    database = datasette.databases["campaigns"]
    newest = [
        row["id"] for row in await database.execute("select id from jobs order by rowid desc")
    ]
    for q in ("serum", "launch", "aunch", "number lamp", "deja VU", "l"):
        found = {row["id"] for row in await rows(datasette, "search_jobs", q=q, limit=100)}
        assert len(found) > 2
        many = await database.execute(few, {"q": q, "limit": "5"})
        assert [row["id"] for row in many] == [one for one in newest if one in found][:5]


ODD_SEARCHES = (
    *("", " ", "a OR", "NOT", "*", '""', "(", "x NEAR y", "-x", "hook: x", "\0", "z\0b", "^x"),
    *("{x y}: c", "🔥", "é" * 1000, ";", "--", "x*", 'x"y"', "x'y", "AND", '"', "'", "%"),
)


async def test_any_text_can_be_searched_for(
    datasette: Datasette, jobs: list[dict[str, Any]]
) -> None:
    texts = [
        "\n".join(str(job[column]) for column in SEARCHED if job[column]).lower() for job in jobs
    ]
    for q in ODD_SEARCHES:
        terms = q.replace("\0", " ").lower().split()
        holding = [text for text in texts if terms and all(term in text for term in terms)]
        assert len(await rows(datasette, "search_jobs", q=q, limit=100)) == len(holding), q
        table = await datasette.client.get(
            f"/campaigns/jobs.json?{urlencode({'_search': q, '_size': 'max'})}"
        )
        assert len(table.json()["rows"]) == (len(holding) if terms else 0), q
    for q in ("50% off", "C++", '10"', "hook:", "launch -"):
        assert await rows(datasette, "search_jobs", q=q) != [], q


async def test_search_answers_the_same_each_time(datasette: Datasette) -> None:
    first = await rows(datasette, "search_jobs", q="launch hook", limit=50)
    assert await rows(datasette, "search_jobs", q="launch hook", limit=50) == first


async def test_changes_of_a_job(own_datasette: Datasette) -> None:
    datasette = own_datasette
    db = open_database("campaigns")
    campaigns.update_job(db, "job-003", {"product": "Soap"}, actor="worker")
    campaigns.delete_job(db, "job-003", actor="root")
    db.close()
    found = await rows(datasette, "job_changes", id="job-003")
    assert [(row["version"], row["operation"], row["actor"]) for row in found] == [
        (3, "delete", "root"),
        (2, "update", "worker"),
        (1, "insert", None),
    ]
    assert json.loads(found[0]["data"])["product"] == "Soap"
    latest = await rows(datasette, "job_changes")
    assert [row["job_id"] for row in latest[:3]] == ["job-003", "job-003", "job-059"]
    assert len(latest) == 62
    assert await rows(datasette, "job_changes", id="nobody") == []


async def test_statistics_cost_the_same_however_many_jobs_there_are(data_dir: Path) -> None:
    """Steps of SQLite's virtual machine, which do not depend on how busy the machine is."""
    db = open_database("campaigns")
    costs = []
    for count in (100, 2000):
        db["jobs"].insert_all(
            {"id": f"{count}-{number}", "job_name": "x", "product": f"P{number % 9}"}
            for number in range(count)
        )
        costs.append(max(steps_of(db.conn, f"jobs_by_{name}") for name in ("product", "persona")))
    db.close()
    assert costs[1] <= costs[0] * 1.5


def steps_of(connection: sqlite3.Connection, name: str) -> int:
    sql = next(query.sql for query in read_queries(HOME / "canned_queries") if query.name == name)
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection.set_progress_handler(count, 1)
    connection.execute(sql).fetchall()
    connection.set_progress_handler(None, 1)
    return steps


# Loading


def write_query(folder: Path, text: str, database: str = "campaigns") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{database}.yml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "campaigns.yml: is no YAML: "),
        ("- a", "campaigns.yml: must map names to queries"),
        ("lost: select 1", 'campaigns.yml: query "lost": has no title, description and sql'),
        ("lost: {sql: select 1, title: T}", 'campaigns.yml: query "lost": has no description'),
        ("lost: {title: T, description: D}", 'campaigns.yml: query "lost": has no sql'),
        ("lost: {title: T, description: D, sql: 1}", 'campaigns.yml: query "lost": has no sql'),
        (
            "lost: {title: T, description: D, sql: select 1, write: true}",
            'campaigns.yml: query "lost": does not know "write"',
        ),
        (
            "lost: {title: T, description: D, sql: select 1, params: q}",
            'campaigns.yml: query "lost": params must be a list of names',
        ),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    write_query(tmp_path, text)
    with pytest.raises(ValueError, match=r"^campaigns\.yml: ") as refusal:
        list(read_queries(tmp_path))
    assert str(refusal.value).startswith(message)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("select * from nowhere", 'campaigns.yml: query "lost": no such table: nowhere'),
        ("selec 1", 'campaigns.yml: query "lost": near "selec": syntax error'),
        ("delete from jobs", 'campaigns.yml: query "lost": not authorized'),
    ],
)
async def test_sql_that_cannot_run_stops_the_server_from_starting(
    own_datasette: Datasette,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sql: str,
    message: str,
) -> None:
    folder = own_queries(tmp_path, monkeypatch)
    write_query(folder, f"lost: {{title: T, description: D, sql: {sql!r}}}")
    with pytest.raises(StartupError) as refusal:
        await own_datasette.invoke_startup()
    assert str(refusal.value) == message


async def test_a_query_gone_from_its_file_is_gone_from_a_lasting_catalogue(
    jobs: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    internal = str(tmp_path / "internal.db")
    folder = own_queries(tmp_path, monkeypatch)
    write_query(folder, "first: {title: T, description: D, sql: select 1 as n}")
    with serving(internal=internal) as first:
        assert (await first.client.get("/campaigns/first.json")).json()["rows"] == [{"n": 1}]
    write_query(folder, "second: {title: T, description: D, sql: select 2 as n}")
    with serving(internal=internal) as second:
        assert (await second.client.get("/campaigns/first.json")).status_code == 404
        assert (await second.client.get("/campaigns/second.json")).json()["rows"] == [{"n": 2}]
        assert (await second.client.get("/campaigns/recent_jobs.json")).status_code == 200


async def test_a_query_of_ones_own_replaces_ours(
    jobs: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own_queries(tmp_path, monkeypatch)
    write_query(folder, "recent_jobs: {title: T, description: D, sql: select 1 as n}")
    with serving() as datasette:
        found = await datasette.client.get("/campaigns/recent_jobs.json")
    assert found.json()["rows"] == [{"n": 1}]


async def test_queries_of_a_database_that_is_not_there_are_left_out(data_dir: Path) -> None:
    with serving() as datasette:
        await datasette.invoke_startup()
        assert (await datasette.client.get("/campaigns/recent_jobs.json")).status_code == 404
        assert (await datasette.client.get("/-/queries.json")).json()["queries"] == []


async def test_tables_that_only_queries_read_have_no_page(datasette: Datasette) -> None:
    assert await rows(datasette, "jobs_by_product")
    assert (await datasette.client.get("/campaigns/job_counts", actor=ROOT)).status_code == 404


def test_each_file_belongs_to_a_database() -> None:
    files = {path.stem for path in (HOME / "canned_queries").glob("*.yml")}
    assert files - {"_memory", "charts"} <= set(DATABASES)
