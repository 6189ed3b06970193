"""Facets from kept counts are those that Datasette counts from the rows."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from datasette.app import Datasette
from in_process import READING, serving

from loaders import campaigns, open_database
from loaders.registry import database_path

KEPT = ("product", "persona", "language", "enabled")
LIST = "/campaigns/jobs.json?_extra=count,facet_results,facets_timed_out&_size=3&"


@pytest.fixture(scope="module")
def datasette(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Datasette]:
    folder = tmp_path_factory.mktemp("facets")
    chance = random.Random(3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAILIES_DATA_DIR", str(folder))
        with open_database("campaigns") as db:
            for number in range(60):
                job = {name: chance.choice(["a", "b'", "ü", None]) for name in KEPT[:3]}
                job |= {"id": f"j{number}", "job_name": "n", "enabled": number % 3 > 0}
                campaigns.add_job(db, job)
        with serving(**READING) as served:
            yield served


async def facets(datasette: Datasette, query: str) -> dict[str, Any]:
    answer = (await datasette.client.get(LIST + query)).json()
    assert answer["facet_results"]["timed_out"] == [], answer
    found = {}
    for facet in answer["facet_results"]["results"].values():
        results = [(one["value"], one["count"], one["selected"]) for one in facet["results"]]
        found[facet["type"], facet["name"]] = sorted(results, key=str)
    return found


@pytest.mark.parametrize(
    "query",
    [
        "",
        "language=a",
        "product=b%27&enabled=1",
        "enabled=0",
        "enabled__not=1",
        "persona__in=a,ü",
        "persona__isnull=1",
        "language__exact=ü&_next=x,9",
        "hook__isnull=1",
        "id__startswith=j1",
        "_search=n",
        "enabled__arraycontains=1",
    ],
)
async def test_kept_facets_equal_counted_ones(datasette: Datasette, query: str) -> None:
    found = await facets(datasette, f"{query}&{'&'.join(f'_facet={name}' for name in KEPT)}")
    assert {name for _, name in found} == set(KEPT)
    for name in KEPT:
        assert found["kept", name] == found["column", name]


async def test_facets_link_to_the_rows_that_they_count(datasette: Datasette) -> None:
    answer = (await datasette.client.get(f"{LIST}language=a&persona__exact=ü")).json()
    total = answer["count"]
    for facet in answer["facet_results"]["results"].values():
        for one in facet["results"]:
            linked = await datasette.client.get(one["toggle_url"].removeprefix("http://localhost"))
            count = linked.json()["count"]
            assert count > total if one["selected"] else count == one["count"]


async def test_long_lists_are_not_counted(
    datasette: Datasette, monkeypatch: pytest.MonkeyPatch
) -> None:
    await datasette.invoke_startup()
    monkeypatch.setattr(datasette.databases["campaigns"], "count_limit", 59)
    answer = (await datasette.client.get(f"{LIST}id__startswith=j")).json()
    assert answer["count"] == 60
    assert answer["facet_results"] == {"results": {}, "timed_out": list(KEPT)}


async def test_unusual_values_are_counted_from_the_rows(datasette: Datasette) -> None:
    # The last test, since it changes the jobs.
    await datasette.invoke_startup()
    with closing(sqlite3.connect(database_path("campaigns"), isolation_level=None)) as connection:
        connection.execute("update write_context set paused = 1")
        connection.execute("drop trigger jobs_au_rules")
        connection.execute("update jobs set enabled = null where id = 'j1'")
        connection.execute("update jobs set enabled = 'maybe' where id = 'j2'")
    found = await facets(datasette, "_facet=enabled")
    assert found["kept", "enabled"] == found["column", "enabled"]
    assert ("maybe", 1, False) in found["kept", "enabled"]
