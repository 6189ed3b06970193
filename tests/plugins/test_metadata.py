"""metadata.yml: what pages say about themselves, and who may do what."""

from __future__ import annotations

from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from datasette.app import Datasette
from datasette.resources import DatabaseResource, QueryResource, TableResource
from in_process import READER, ROOT, WORKER, metadata, serving

from dailies.storage.restricted import reference
from loaders import campaigns, open_database
from loaders.registry import DATABASES

TABLES = [(name, table) for name, spec in DATABASES.items() for table in spec.tables]
KNOWN_KEYS = {
    "title",
    "description",
    "columns",
    "label_column",
    "sort",
    "sort_desc",
    "facet_size",
    "facets",
    "fts_table",
    "fts_pk",
    "permissions",
    "allow",
    "column_types",
}


@pytest.fixture
def datasette(data_dir: Path) -> Iterator[Datasette]:
    db = open_database("campaigns")
    for number in range(3):
        job = {"id": f"j{number}", "job_name": f"Job {number}", "product": "Serum"}
        campaigns.add_job(db, job | {"created_at": f"2025-06-0{number + 1}T00:00:00.000Z"})
    campaigns.delete_job(db, "j2")
    db.close()
    with serving() as served:
        yield served


def described(name: str, table: str) -> dict[str, Any]:
    settings: dict[str, Any] = metadata()["databases"][name]["tables"][table]
    return settings


@pytest.mark.parametrize(("name", "table"), TABLES)
def test_each_table_and_column_is_described(name: str, table: str) -> None:
    settings = described(name, table)
    assert settings["title"]
    assert settings["description"]
    assert settings.keys() <= KNOWN_KEYS
    columns = {column.lower() for column in settings["columns"]}
    assert columns == reference(name).columns[table]
    assert all(len(text) > 3 for text in settings["columns"].values())


@pytest.mark.parametrize(("name", "table"), TABLES)
def test_settings_name_columns_that_exist(name: str, table: str) -> None:
    settings = described(name, table)
    named = [settings.get(key) for key in ("label_column", "sort", "sort_desc")]
    for facet in settings.get("facets", []):
        named += [facet] if isinstance(facet, str) else facet.values()
    named += settings.get("column_types", {})
    assert {column.lower() for column in named if column} <= reference(name).columns[table]
    assert not ("sort" in settings and "sort_desc" in settings)


def test_nothing_is_described_that_is_not_served() -> None:
    found = {
        (name, table)
        for name, settings in metadata()["databases"].items()
        for table in settings.get("tables", {})
        if name in DATABASES
    }
    assert found == set(TABLES)


async def test_pages_explain_themselves(datasette: Datasette) -> None:
    home = unescape((await datasette.client.get("/")).text)
    assert "Dailies</title>" in home
    assert metadata()["description"] in home
    database = unescape((await datasette.client.get("/campaigns")).text)
    assert metadata()["databases"]["campaigns"]["description"] in database
    for table in ("jobs", "job_history", "deleted_jobs"):
        page = unescape((await datasette.client.get(f"/campaigns/{table}")).text)
        settings = described("campaigns", table)
        assert settings["title"] in page
        assert settings["description"] in page
        for text in settings["columns"].values():
            assert text in page, text


async def test_the_jobs_page_searches_sorts_and_facets(datasette: Datasette) -> None:
    page = (await datasette.client.get("/campaigns/jobs")).text
    assert '<input id="_search" type="search" name="_search"' in page
    answer = await datasette.client.get("/campaigns/jobs.json?_extra=facet_results")
    assert [row["id"] for row in answer.json()["rows"]] == ["j1", "j0"]
    facets = answer.json()["facet_results"]["results"]
    assert list(facets) == ["product", "persona", "language", "enabled"]


@pytest.mark.parametrize("filtered", ["", "enabled__gte=0&"])
async def test_kept_facets_are_those_that_counting_gives(
    datasette: Datasette, filtered: str
) -> None:
    path = f"/campaigns/jobs.json?{filtered}_extra=facet_results"
    facets = (await datasette.client.get(path)).json()["facet_results"]["results"]
    for name, facet in facets.items():
        sql = f"""
            select {name} as value, count(*) as count
            from jobs
            where {name} is not null
            group by value
            order by count desc, value
            """
        counted = await datasette.databases["campaigns"].execute(sql)
        found = [(one["value"], one["count"]) for one in facet["results"]]
        assert found == [tuple(row) for row in counted.rows], name
        for one in facet["results"]:
            path = one["toggle_url"].removeprefix("http://localhost")
            rows = (await datasette.client.get(path)).json()["rows"]
            assert len(rows) == one["count"]


async def test_json_and_csv_of_every_table_and_view(datasette: Datasette) -> None:
    for table in ("jobs", "job_history", "deleted_jobs"):
        answer = await datasette.client.get(f"/campaigns/{table}.json?_shape=array")
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "*"
        csv = await datasette.client.get(f"/campaigns/{table}.csv?_stream=1")
        assert csv.status_code == 200
        assert len(csv.text.splitlines()) == len(answer.json()) + 1
    deleted = await datasette.client.get("/campaigns/deleted_jobs.json?_shape=array")
    assert [row["id"] for row in deleted.json()] == ["j2"]


WRITING = {"create-job", "update-job", "delete-job", "insert-row", "update-row", "delete-row"}


async def test_who_may_do_what(datasette: Datasette) -> None:
    await datasette.invoke_startup()
    allowed = {
        (str(actor and actor["id"]), action)
        for actor in (None, READER, WORKER, ROOT)
        for action, resource in resources(datasette).items()
        if await datasette.allowed(action=action, resource=resource, actor=actor)
    }
    reading = {"view-instance", "view-database", "view-table", "view-query"}
    expected = {(who, action) for who in ("None", "reader", "worker", "root") for action in reading}
    writing = WRITING & datasette.actions.keys()
    expected |= {(who, action) for who in ("worker", "root") for action in writing}
    expected |= {("root", "execute-sql"), ("root", "permissions-debug"), ("root", "debug-menu")}
    assert allowed == expected


def resources(datasette: Datasette) -> dict[str, Any]:
    """Each action there is, with a resource of campaigns that it is about."""
    of_class = {
        DatabaseResource: DatabaseResource("campaigns"),
        TableResource: TableResource("campaigns", "jobs"),
        QueryResource: QueryResource("campaigns", "recent_jobs"),
        None: None,
    }
    return {name: of_class[action.resource_class] for name, action in datasette.actions.items()}


async def test_histories_and_what_was_set_aside_take_no_writes(datasette: Datasette) -> None:
    await datasette.invoke_startup()
    for table in ("job_history", "set_aside", "deleted_jobs"):
        for action in WRITING & datasette.actions.keys():
            resource = TableResource("campaigns", table)
            assert not await datasette.allowed(action=action, resource=resource, actor=ROOT)


async def test_what_was_set_aside_is_for_root(datasette: Datasette) -> None:
    for name, spec in DATABASES.items():
        if "set_aside" in spec.tables:
            assert described(name, "set_aside")["allow"] == {"id": "root"}
    for actor in (None, READER, WORKER):
        answer = await datasette.client.get("/campaigns/set_aside.json", actor=actor)
        assert answer.status_code == 403
        listed = await datasette.client.get("/campaigns.json", actor=actor)
        assert "set_aside" not in listed.text
    assert (await datasette.client.get("/campaigns/set_aside.json", actor=ROOT)).status_code == 200


@pytest.mark.parametrize("actor_id", ["Root", "root ", "rooted", "workers", "", "*", "worker2"])
async def test_names_are_compared_whole(datasette: Datasette, actor_id: str) -> None:
    await datasette.invoke_startup()
    jobs = TableResource("campaigns", "jobs")
    for action in WRITING & datasette.actions.keys():
        assert not await datasette.allowed(action=action, resource=jobs, actor={"id": actor_id})


async def test_without_metadata_nobody_writes(data_dir: Path) -> None:
    open_database("campaigns").close()
    with serving(config={}) as datasette:
        await datasette.invoke_startup()
        jobs = TableResource("campaigns", "jobs")
        for actor in (None, READER, WORKER, ROOT):
            for action in WRITING & datasette.actions.keys():
                assert not await datasette.allowed(action=action, resource=jobs, actor=actor)
