"""Table pages sorted by a column: every row once, in one order, whatever is filtered."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from datasette.app import Datasette
from in_process import READING, serving

from dailies.storage import sorted_pages
from loaders import campaigns, open_database

JOBS = "/campaigns/jobs"


@pytest.fixture(scope="module")
def datasette(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Datasette]:
    """Forty jobs in no order, many of them with equal values, or none."""
    folder = tmp_path_factory.mktemp("sorted")
    chance = random.Random(7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAILIES_DATA_DIR", str(folder))
        patch.setattr(sorted_pages, "MAX_READ", 8)
        with open_database("campaigns") as db:
            for number in chance.sample(range(40), 40):
                job = {
                    "id": f"j{number}",
                    "job_name": f"name {number % 3}",
                    "product": chance.choice(["a", "b,~é", None]),
                    "enabled": number % 4 > 0,
                    "created_at": f"2026-01-0{1 + number % 2}T00:00:00.000Z",
                }
                campaigns.add_job(db, job)
        with serving(**READING) as served:
            yield served


async def pages(datasette: Datasette, query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    path: str | None = f"{JOBS}.json?_size=7&{query}"
    while path:
        answer = await datasette.client.get(path.removeprefix("http://localhost"))
        assert answer.status_code == 200, answer.text
        found += answer.json()["rows"]
        path = answer.json()["next_url"]
    return found


@pytest.mark.parametrize("filtered", ["", "&enabled=1", "&job_name=name+1", "&_search=name+2"])
@pytest.mark.parametrize("column", ["created_at", "product", "enabled", "hook", "id"])
@pytest.mark.parametrize("direction", ["", "_desc"])
async def test_pages_hold_every_row_once_in_order(
    datasette: Datasette, column: str, direction: str, filtered: str
) -> None:
    where = {"&enabled=1": "enabled", "&job_name=name+1": "job_name = 'name 1'"}
    condition = where.get(filtered, "job_name = 'name 2'" if filtered else "1")
    order = direction.replace("_", " ")
    sql = f"select id from jobs where {condition} order by {column}{order}, rowid{order}"
    found = await pages(datasette, f"_sort{direction}={column}{filtered}")
    expected = [row["id"] for row in (await datasette.databases["campaigns"].execute(sql)).rows]
    assert [row["id"] for row in found] == expected
    assert len(expected) >= 13


async def test_streamed_csv_holds_every_row_once(datasette: Datasette) -> None:
    answer = await datasette.client.get(f"{JOBS}.csv?_stream=on&_size=7&_col=id&_sort=product")
    lines = answer.text.split()
    assert sorted(lines[1:]) == sorted(f"j{number}" for number in range(40))


async def test_pages_go_on_where_their_last_row_was(data_dir: Path) -> None:
    """Rows deleted or added meanwhile neither repeat nor hide others."""
    with open_database("campaigns") as db:
        for number in range(4):
            campaigns.add_job(db, {"id": f"j{number}", "job_name": "n"})
        with serving() as datasette:
            first = (await datasette.client.get(f"{JOBS}.json?_size=2&_sort=job_name")).json()
            campaigns.delete_job(db, "j1")
            campaigns.add_job(db, {"id": "a", "job_name": "n"})
            rest = await pages(datasette, f"_sort=job_name&_next={first['next']}")
    assert [row["id"] for row in first["rows"]] == ["j0", "j1"]
    assert [row["id"] for row in rest] == ["j2", "j3", "a"]


@pytest.mark.parametrize("token", ["x", "x,y", "x,1,2x", f"x,{'9' * 30}", "x,"])
async def test_a_wrong_token_is_refused(datasette: Datasette, token: str) -> None:
    answer = await datasette.client.get(f"{JOBS}.json?_sort=job_name&_next={token}")
    message = f'_next: "{token}" does not continue this list'
    assert (answer.status_code, answer.json()["error"]) == (400, message)
