"""The list of campaigns: who sees which actions, its filters for bulk requests, and exports."""

from __future__ import annotations

import json
from html import unescape
from typing import Any

import pytest
import yaml
from datasette.app import Datasette
from in_process import READER, ROOT, WORKER

from dailies.web import campaign_table, job_export
from loaders import campaigns, open_database

JOBS = [
    {"id": f"{number}/ü", "job_name": f"Täst {number}", "product": "Tea", "n": None, "x": [1.5]}
    for number in range(5)
]
LIST = "/campaigns/jobs"
EXPORT = "/campaigns/-/export-jobs"


@pytest.fixture
def datasette(empty_site: Datasette) -> Datasette:
    db = open_database("campaigns")
    for job in [*JOBS, {"id": "other", "job_name": "<b>Other</b>", "hook": "a\nb"}]:
        campaigns.add_job(db, job)
    db.close()
    return empty_site


async def page(datasette: Datasette, path: str = LIST, actor: Any = WORKER) -> str:
    answer = await datasette.client.get(path, actor=actor)
    assert answer.status_code == 200, answer.text
    return unescape(answer.text)


@pytest.mark.parametrize(
    ("actor", "actions"),
    [
        (None, []),
        (READER, []),
        ({"id": "worker", "_r": {"a": ["view-table", "update-job"]}}, ["enable", "disable"]),
        (WORKER, ["enable", "disable", "duplicate", "delete"]),
        (ROOT, ["enable", "disable", "duplicate", "delete"]),
    ],
)
async def test_actions_are_those_that_the_actor_may_use(
    datasette: Datasette, actor: Any, actions: list[str]
) -> None:
    text = await page(datasette, actor=actor)
    found = [one.partition('"')[0] for one in text.split('data-action="')[1:]]
    assert found == actions
    assert ("data-pick" in text) == bool(actions)
    assert ('role="switch"' in text) == ("disable" in actions)
    assert (f"{LIST}.csv?" in text, "export-jobs.yaml" in text) == (True, True)


async def test_columns(datasette: Datasette) -> None:
    usual = await page(datasette)
    every = await page(datasette, f"{LIST}?_nocol=data")
    few = await page(datasette, f"{LIST}?_col=emotion")
    assert ("<b>Other</b></a>" in usual, "col-emotion" in usual) == (True, False)
    assert ("col-emotion" in every, 'class="listing"' in every) == (True, False)
    assert ("col-emotion" in few, "col-hook" in few) == (True, False)


async def test_filters_are_chips(datasette: Datasette) -> None:
    text = await page(datasette, f"{LIST}?product=Tea&_search=t%C3%A4st&_sort=id")
    assert 'aria-label="Remove product: Tea"' in text
    assert 'href="/campaigns/jobs?product=Tea&_sort=id" aria-label="Remove “täst”"' in text
    assert 'data-filter="{"product": "Tea", "q": "t\\u00e4st"}"' in text


@pytest.mark.parametrize(
    ("query", "filter"),
    [
        ("", ""),
        ("_sort=id&_next=x&_size=3&_facet=hook&_col=hook", ""),
        ("product=a&enabled__exact=1", '{"product": "a", "enabled": 1}'),
        ("product=", '{"product": ""}'),
        ("enabled=maybe", ""),
        ("product=a&product=b", ""),
        ("product__contains=a", ""),
        ("product=a&_where=1", ""),
        ("product=a&_search_hook=b", ""),
        ("rowid=1", ""),
        ("_search=", ""),
    ],
)
def test_filters_of_bulk_requests(query: str, filter: str) -> None:
    assert campaign_table.bulk_filter(campaign_table.parse(query)) == filter


@pytest.mark.parametrize("step", [1, 2, 2_000])
async def test_exports(datasette: Datasette, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    monkeypatch.setattr(job_export, "STEP_ROWS", step)
    stored = {
        row["id"]: row for row in (await datasette.client.get("/api/campaigns")).json()["rows"]
    }
    for query, keys in (
        ("", [*(job["id"] for job in JOBS), "other"]),
        ("?product__contains=e&q=t%C3%A4st", [job["id"] for job in JOBS]),
        ("?product=nothing", []),
    ):
        texts = [
            await page(datasette, f"{EXPORT}.{kind}{query}", None) for kind in ("json", "yaml")
        ]
        for jobs in (json.loads(texts[0]), yaml.safe_load(texts[1])["jobs"]):
            assert [job["id"] for job in jobs] == keys
            assert all(job.items() <= stored[job["id"]].items() for job in jobs)


async def test_few_exports_run_at_once(
    datasette: Datasette, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_export, "MAX_EXPORTS", 0)
    answer = await datasette.client.get(f"{EXPORT}.json")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["error"] == "Other exports are running: try again"


async def test_exports_of_wrong_filters(datasette: Datasette) -> None:
    unknown = await datasette.client.get(f"{EXPORT}.json?colour=1")
    posted = await datasette.client.post(f"{EXPORT}.json", actor=WORKER)
    assert (unknown.status_code, "colour" in unknown.text) == (400, True)
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")
