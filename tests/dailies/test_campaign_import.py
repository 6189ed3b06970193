"""Import of campaigns in the browser: upload, preview, import, report; who may, and limits."""

from __future__ import annotations

import json
from html import unescape
from typing import Any

import pytest
from datasette.app import Datasette
from html_form import Form
from in_process import READER, ROOT, WORKER

from dailies.web import campaign_import
from loaders import campaigns, open_database
from loaders.campaigns import batches

PATH = "/campaigns/-/import-jobs"
FILE = """
jobs:
- {id: a, job_name: Same, product: Tea}
- {id: b, job_name: Changed, product: Tea, hook: new}
- {id: c, job_name: New, language: no}
- {id: d, product: nameless}
- {id: c, job_name: Another}
- just text
"""


@pytest.fixture
def datasette(empty_site: Datasette) -> Datasette:
    return empty_site


async def upload(
    datasette: Datasette,
    content: str | bytes,
    name: str = "jobs.yaml",
    actor: Any = WORKER,
    **form: str,
) -> Any:
    files = {"file": (name, content if isinstance(content, bytes) else content.encode())}
    answer = await datasette.client.post(PATH, files=files, data=form, actor=actor)
    if answer.status_code != 303:
        return answer
    await finished(datasette)
    return await datasette.client.get(answer.headers["location"], actor=actor)


async def confirm(datasette: Datasette, page: Any, actor: Any = WORKER, **form: str) -> Any:
    answer = await datasette.client.post(
        Form(page.text).action, data={"update": "", **form}, actor=actor
    )
    assert answer.status_code == 303
    await finished(datasette)
    return await datasette.client.get(answer.headers["location"], actor=actor)


async def finished(datasette: Datasette) -> None:
    for one in campaign_import.uploads_of(datasette).kept.values():
        assert one.task is not None
        await one.task


def add(*jobs: dict[str, Any]) -> None:
    db = open_database("campaigns")
    for job in jobs:
        campaigns.add_job(db, job)
    db.close()


async def stored(datasette: Datasette) -> dict[str, dict[str, Any]]:
    rows = (await datasette.client.get("/api/campaigns")).json()["rows"]
    times = ("id", "created_at", "updated_at")
    return {
        row["id"]: {key: value for key, value in row.items() if key not in times} for row in rows
    }


BEFORE = (
    {"id": "a", "job_name": "Same", "product": "Tea"},
    {"id": "b", "job_name": "Changed", "product": "Tea", "hook": "old"},
)


async def test_the_preview_changes_nothing_and_the_import_does_what_it_said(
    datasette: Datasette,
) -> None:
    add(*BEFORE)
    before = await stored(datasette)
    page = await upload(datasette, FILE)
    assert page.status_code == 200
    text = unescape(page.text)
    for count in (
        "1</strong> new",
        "1</strong> changed",
        "1</strong> the same",
        "3</strong> broken",
    ):
        assert f"<strong>{count}" in text
    for shown in (
        '<del>"old"</del>',
        '<ins>"new"</ins>',
        "given twice with different content",
        "needs a name",
        "job 6",
    ):
        assert shown in text
    assert campaign_import.tempfile.gettempdir() not in text
    assert await stored(datasette) == before

    report = await confirm(datasette, page, update="1")
    assert "1 campaign added, 1 updated, 1 left as they are, 3 broken" in report.text
    after = await stored(datasette)
    assert after == {
        **before,
        "b": {**before["b"], "hook": "new"},
        "c": {"job_name": "New", "language": "no"},
    }
    [version, _] = (await datasette.client.get("/api/campaigns/b/history")).json()["rows"]
    assert version["actor"] == "worker"
    again = await datasette.client.post(
        str(page.url.raw_path, "ascii"), data={"update": "1"}, actor=WORKER
    )
    assert again.status_code == 303
    assert await stored(datasette) == after


async def test_changed_campaigns_can_be_left(datasette: Datasette) -> None:
    add(*BEFORE)
    before = await stored(datasette)
    report = await confirm(datasette, await upload(datasette, FILE))
    assert "1 campaign added, 0 updated, 2 left as they are" in report.text
    assert await stored(datasette) == {**before, "c": {"job_name": "New", "language": "no"}}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.json", json.dumps({"jobs": [{"id": "x", "job_name": "X"}]})),
        ("x.ndjson", '{"id": "x", "job_name": "X"}\n'),
        ("x.csv", "id,job_name\nx,X\n"),
        ("x.txt", "- id: x\n  job_name: X\n"),
    ],
)
async def test_formats(datasette: Datasette, name: str, content: str) -> None:
    await confirm(datasette, await upload(datasette, content, name))
    assert await stored(datasette) == {"x": {"job_name": "X"}}


async def test_pasted_text(datasette: Datasette) -> None:
    page = await upload(datasette, "", "", text="id,job_name\nx,X\n", format="csv")
    assert "pasted text" in page.text
    await confirm(datasette, page)
    assert await stored(datasette) == {"x": {"job_name": "X"}}


async def test_many_batches(datasette: Datasette) -> None:
    """Also of a dry run, whose rows are gone when the next batch comes."""
    jobs = [{"id": str(number % 200), "job_name": f"Job {number}"} for number in range(210)]
    page = await upload(datasette, json.dumps(jobs), "jobs.json")
    assert "<strong>200</strong> new" in page.text
    assert "<strong>10</strong> broken" in page.text
    await confirm(datasette, page)
    assert len((await datasette.client.get("/api/campaigns?_size=1000")).json()["rows"]) == 200


@pytest.mark.parametrize(
    ("content", "name", "status", "message"),
    [
        ("", "", 400, "Choose a file or paste text"),
        ("", "x.bin", 200, "x.bin is empty"),
        ("\0", "x.bin", 200, "x.bin is a binary file, not one of yaml"),
        ("{", "x.json", 200, "1</strong> broken"),
        ("id\n" * 102, "x.csv", 200, "more than 100 jobs: use `dailies import`"),
        (b"x" * 20_000_001, "x.csv", 400, "A file may have 20,000,000 bytes"),
        (b"x" * 21_000_000, "x.csv", 413, "The file is larger than 20,000,000 bytes"),
    ],
)
async def test_what_cannot_be_imported(
    datasette: Datasette,
    monkeypatch: pytest.MonkeyPatch,
    content: str | bytes,
    name: str,
    status: int,
    message: str,
) -> None:
    monkeypatch.setattr(batches, "MAX_JOBS", 100)
    page = await upload(datasette, content, name)
    assert page.status_code == status
    assert message in unescape(page.text)
    assert await stored(datasette) == {}


async def test_wrong_bodies(datasette: Datasette) -> None:
    plain = await datasette.client.post(PATH, content="x", actor=WORKER)
    kind = await upload(datasette, "x", format="xml")
    put = await datasette.client.put(PATH, actor=WORKER)
    assert (plain.status_code, "Content-Type" in plain.text) == (400, True)
    assert (kind.status_code, "format: must be one of yaml" in kind.text) == (400, True)
    assert (put.status_code, put.headers["allow"]) == (405, "GET, HEAD, POST")


@pytest.mark.parametrize(
    ("actor", "missing"),
    [
        (None, "create-job"),
        (READER, "create-job"),
        ({"id": "worker", "_r": {"a": ["view-table", "create-job"]}}, "update-job"),
    ],
)
async def test_others_may_not(datasette: Datasette, actor: Any, missing: str) -> None:
    page = await upload(datasette, FILE)
    for path in (PATH, str(page.url.raw_path, "ascii")):
        for method in ("GET", "POST"):
            answer = await datasette.client.request(method, path, actor=actor)
            assert answer.status_code == 403
            assert missing in answer.text
    table = await datasette.client.get("/campaigns/jobs", actor=actor)
    assert (table.status_code, PATH in table.text) == (200, False)
    assert await stored(datasette) == {}


async def test_an_upload_belongs_to_who_made_it(datasette: Datasette) -> None:
    page = await upload(datasette, FILE)
    path = str(page.url.raw_path, "ascii")
    for answer in (
        await datasette.client.get(path, actor=ROOT),
        await datasette.client.post(path, data={"update": "1"}, actor=ROOT),
        await datasette.client.get(f"{PATH}?upload=made-up", actor=WORKER),
    ):
        assert answer.status_code == 404
        assert "upload it again" in answer.text
    for _ in range(campaign_import.MAX_UPLOADS):
        await upload(datasette, "id,job_name\n", "x.csv")
    assert (await datasette.client.get(path, actor=WORKER)).status_code == 404


async def test_other_sites_cannot_import(datasette: Datasette) -> None:
    page = await upload(datasette, FILE)
    answer = await datasette.client.post(
        Form(page.text).action,
        data={"update": "1"},
        actor=WORKER,
        headers={"Sec-Fetch-Site": "cross-site"},
    )
    assert answer.status_code == 403
    assert await stored(datasette) == {}
