"""Filters of lists mean what Datasette's table pages mean by them, with typed values."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from datasette.app import Datasette
from in_process import asking, serving
from jobs_client import assert_error

from dailies.api.filters import OPERATORS
from dailies.api.resources import BUILDS
from loaders import open_database, presentation_jobs, yt_builder
from loaders.registry import database_path

NAMES = ("Tea 10%", "tea", None, "", "Coffee", "Ünder_x", "10", "9")
TIMES = (
    "2026-01-01T00:00:00.000Z", "2026-01-01T01:00:00+01:00", "2026-01-01 02:00:00",
    "2025-12-31T23:59:59.999Z", "2026-02-01", "soon", "1767225600", "2026-01-02T00:30:00+01:00",
)  # fmt: skip
NO_LIST = "product__in: must be values with commas or a JSON array of them"
OTHERS = "q, _sort, _size, _next"
VALUES = ("tea", "T", "1", "10", "%e%", "*e*", "9,Coffee , ten", '["tea", 9]', "")


@pytest.fixture(scope="module")
def datasette(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Datasette]:
    folder = tmp_path_factory.mktemp("filters")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAILIES_DATA_DIR", str(folder))
        for name in ("campaigns", "yt-builder", "presentation_jobs"):
            open_database(name).close()
        with closing(sqlite3.connect(database_path("campaigns"))) as connection, connection:
            connection.executemany(
                "insert into jobs (id, job_name, product, created_at, updated_at)"
                " values (?, 'n', ?, ?, ?)",
                [(str(n), NAMES[n], TIMES[n], TIMES[n]) for n in range(len(NAMES))],
            )
        fill_queues(folder)
        with serving() as served:
            yield served


def fill_queues(folder: Path) -> None:
    with open_database("yt-builder") as db:
        for number, error in enumerate(NAMES, 1):
            yt_builder.create_job(db, number, f"run-{number}", str(folder), {"tags": [error]})
            db.execute("update jobs set error = ?, priority = ?", (error, number))
        db.conn.executemany(
            "update jobs set created_at = ? where job_id = ?",
            [(time, number) for number, time in enumerate(TIMES, 1)],
        )
        db.conn.commit()
    with open_database("presentation_jobs") as db:
        for files in (["a", "b"], ["b"], []):
            presentation_jobs.create(db, {"job_id": f"p{len(files)}", "created_files": files})


async def keys(datasette: Datasette, path: str, **filters: Any) -> list[str]:
    answer = await datasette.client.get(f"{path}?{urlencode(filters)}")
    assert answer.status_code == 200, answer.text
    return sorted(str(row.get("id") or row["job_id"]) for row in answer.json()["rows"])


@pytest.mark.parametrize("operator", OPERATORS)
async def test_filters_are_those_of_table_pages(datasette: Datasette, operator: str) -> None:
    arrays = operator.startswith("array")
    for column in ("product", "job_name") if not arrays else ("data",):
        for value in VALUES if operator != "date" else ("2026-01-01",):
            filters = {f"{column}__{operator}": value}
            expected = await keys(datasette, "/campaigns/jobs.json", **filters)
            assert await keys(datasette, "/api/campaigns", **filters) == expected, filters
    for value in ("2", "10", "-1"):
        if operator in ("in", "notin", "date"):
            continue
        filters = {f"priority__{operator}": value}
        expected = await keys(datasette, "/yt-builder/jobs.json", **filters) if not arrays else []
        if not arrays:
            assert await keys(datasette, "/api/builds", **filters) == expected, filters


@pytest.mark.parametrize(
    ("path", "key"), [("/api/campaigns", 0), ("/api/builds", 1)], ids=["campaigns", "builds"]
)
@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"created_at": "2026-01-01T01:00:00+01:00"}, [0, 1, 6]),
        ({"created_at__gt": "2026-01-01"}, [2, 4, 7]),
        ({"created_at__gte": "2026-01-01T00Z", "created_at__lt": "2026-01-02"}, [0, 1, 2, 6, 7]),
        ({"created_at__lte": "2025-12-31T23:59:59.999Z"}, [3]),
        ({"created_at__not": "2026-01-01"}, [2, 3, 4, 7]),
        ({"created_at__in": "2026-02-01,2026-01-01T02:00:00Z"}, [2, 4]),
        ({"created_at__notin": '["2026-02-01"]', "created_at__date": "2026-01-01"},
         [0, 1, 2, 6, 7]),
        ({"created_at__contains": "soon"}, [5]),
        ({"created_at__isnull": "1"}, []),
    ],
)  # fmt: skip
async def test_times_are_compared_as_instants(
    datasette: Datasette, path: str, key: int, filters: dict[str, str], expected: list[int]
) -> None:
    assert await keys(datasette, path, **filters) == [str(number + key) for number in expected]


async def test_times_without_an_index_are_instants_too(datasette: Datasette) -> None:
    found = await keys(datasette, "/api/campaigns", updated_at__gt="2026-01-01")
    assert found == ["2", "4", "7"]


async def test_members_of_arrays(datasette: Datasette) -> None:
    path = "/api/presentations"
    assert await keys(datasette, path, created_files__arraycontains="b") == ["p1", "p2"]
    assert await keys(datasette, path, created_files__arraynotcontains="b") == ["p0"]


async def test_booleans_have_names(datasette: Datasette) -> None:
    assert await keys(datasette, "/api/campaigns", enabled__in="true, 0", id__in="0,1") == [
        "0",
        "1",
    ]
    assert await keys(datasette, "/api/campaigns", enabled__not="true") == []


@pytest.mark.parametrize(
    ("path", "query", "message"),
    [
        ("campaigns", "created_at__gt=soon",
         'created_at__gt: must be a time such as 2026-11-20T07:15:00Z, not "soon"'),
        ("campaigns", "created_at__in=2026-01-01,x",
         'created_at__in: must be a time such as 2026-11-20T07:15:00Z, not "x"'),
        ("campaigns", "created_at__date=x",
         'created_at__date: must be a date such as 2026-11-20, not "x"'),
        ("campaigns", "enabled__not=yes", 'enabled__not: must be true, false, 1 or 0, not "yes"'),
        ("campaigns", "product__in=[1", NO_LIST),
        ("campaigns", "product__in=[{}]", NO_LIST),
        ("campaigns", "product__in=" + "," * 1000, "product__in: at most 1,000 values"),
        ("campaigns", "product__like=" + "%25" * 63, "product__like: at most 62 characters"),
        ("builds", "priority__gte=many", 'priority__gte: must be a number, not "many"'),
        ("builds", "priority__in=1,x", 'priority__in: must be a number, not "x"'),
        ("builds", "priority__above=1",
         f'unknown parameter "priority__above": operators are {", ".join(OPERATORS)}'),
        ("builds", "lease__notnull=1",
         f'unknown parameter "lease__notnull": use one of {", ".join(BUILDS.columns)}, {OTHERS}'),
    ],
)  # fmt: skip
async def test_wrong_filters_are_named(
    datasette: Datasette, path: str, query: str, message: str
) -> None:
    assert_error(await datasette.client.get(f"/api/{path}?{query}"), 400, message)


@pytest.mark.parametrize("sort", ["-created_at", "product", "-id"])
async def test_pages_keep_their_filters(datasette: Datasette, sort: str) -> None:
    path = f"/api/campaigns?product__notnull=1&id__gt=0&q=n&_sort={sort}"
    async with asking(datasette, None) as client:
        whole = (await client.get(path)).json()["rows"]
        assert len(whole) == 6
        found, next_url = [], f"{path}&_size=2"
        while next_url:
            page = (await client.get(next_url)).json()
            found += page["rows"]
            next_url = page["next_url"]
    assert found == whole
