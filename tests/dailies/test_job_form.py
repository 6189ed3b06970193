from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from datasette.app import Datasette
from datasette.utils import tilde_encode
from html_form import Form
from hypothesis import given
from hypothesis import strategies as st
from in_process import READER, ROOT, WORKER, serving

from dailies.errors import RequestError
from dailies.web import job_form
from loaders import campaigns, open_database
from loaders.registry import database_path

NEW = "/campaigns/-/new-job"
EDIT = "/campaigns/-/edit-job"
DELETE = "/campaigns/-/delete-job"

JOB = {
    "overlays": [{"text": "No jitters\r\n✨", "size": 1.0}],
    "id": "spring 1/ü",
    "job_name": "Matcha",
    "setting": "Living room\r\n(evening light)",
    "product": ["Tea", "Whisk"],
    "persona": None,
    "emotion": "",
    "hook": "<script>alert(1)</script>",
    "campaignType": "avatar",
    "enabled": True,
    "created_at": "2025-01-01",
    "big": 2**70,
}


@pytest.fixture
def datasette(empty_site: Datasette) -> Datasette:
    return empty_site


@pytest.fixture
def job(datasette: Datasette) -> str:
    """The address of the form for a stored job."""
    db = open_database("campaigns")
    db.conn.execute("insert into jobs (id, data) values (?, ?)", [JOB["id"], json.dumps(JOB)])
    db.close()
    return f"{EDIT}?{urlencode({'key': JOB['id']})}"


def stored(job_id: str) -> dict[str, Any]:
    db = open_database("campaigns")
    found = campaigns.get_job(db, job_id)
    db.close()
    assert found is not None
    return dict(found)


async def submit(
    datasette: Datasette, path: str, fields: dict[str, str], actor: Any = WORKER, **headers: str
) -> Any:
    return await datasette.client.post(path, data=fields, actor=actor, headers=headers)


async def open_form(datasette: Datasette, path: str, actor: Any = WORKER) -> Form:
    page = await datasette.client.get(path, actor=actor)
    assert page.status_code == 200
    return Form(page.text)


async def test_creating(datasette: Datasette) -> None:
    form = await open_form(datasette, NEW)
    assert form.fields["enabled"] == "1"
    form.fields |= {"job_name": "Sleep", "hook": "A\r\nB", "others": '{"x": [1.0], "n": null}'}
    answer = await submit(datasette, form.action, form.fields)
    assert answer.status_code == 303
    row = await datasette.client.get(answer.headers["location"], actor=WORKER)
    assert (row.status_code, "Created" in row.text) == (200, False)
    [found] = (await datasette.client.get("/api/campaigns")).json()["rows"]
    times = {"id", "created_at", "updated_at"}
    assert {key: value for key, value in found.items() if key not in times} == {
        "x": [1.0],
        "n": None,
        "enabled": True,
        "job_name": "Sleep",
        "hook": "A\nB",
    }
    [version] = (await datasette.client.get(f"/api/campaigns/{found['id']}/history")).json()["rows"]
    assert version["actor"] == "worker"


async def test_an_untouched_form_changes_nothing(datasette: Datasette, job: str) -> None:
    form = await open_form(datasette, job)
    assert form.fields["setting"] == "Living room\r\n(evening light)"
    assert "product" not in form.fields
    assert json.loads(form.fields["others"])["product"] == ["Tea", "Whisk"]
    answer = await submit(datasette, form.action, form.fields)
    assert answer.status_code == 303
    after = stored(JOB["id"])
    assert after.pop("updated_at") > "2026"
    assert after == JOB
    assert list(after) == list(JOB)


async def test_editing_keeps_values_that_are_not_shown(datasette: Datasette, job: str) -> None:
    form = await open_form(datasette, job)
    others = json.loads(form.fields["others"])
    del others["overlays"]
    others["new"] = True
    del form.fields["enabled"]
    form.fields |= {"hook": "New", "setting": "", "campaign_type": "random"}
    form.fields["others"] = json.dumps(others)
    answer = await submit(datasette, form.action, form.fields)
    assert answer.status_code == 303
    after = stored(JOB["id"])
    del after["updated_at"]
    expected = {key: value for key, value in JOB.items() if key != "overlays"}
    changes = {"hook": "New", "setting": None, "campaignType": "random", "enabled": False}
    assert after == {**expected, **changes, "new": True}


async def test_a_concurrent_change_is_not_overwritten(datasette: Datasette, job: str) -> None:
    form = await open_form(datasette, job)
    db = open_database("campaigns")
    campaigns.update_job(db, JOB["id"], {"emotion": "calm"})
    db.close()
    form.fields["hook"] = "Mine"
    answer = await submit(datasette, form.action, form.fields)
    assert answer.status_code == 412
    again = Form(answer.text)
    assert again.messages == ["The job has changed since you read it"]
    assert again.fields == form.fields
    assert (stored(JOB["id"])["emotion"], stored(JOB["id"])["hook"]) == ("calm", JOB["hook"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"job_name": ""}, "a job needs a name"),
        ({"others": "{"}, "The body is not JSON: Expecting property name"),
        ({"others": '{\r\n"a": 1,\r\n"b" 2}'}, 'line 3 column 5 (char 14). Line 3 is: "b" 2}'),
        ({"others": "[]"}, "must be a JSON object, not a list"),
        ({"others": '{"id": "2"}'}, '"id" has a field of its own'),
        ({"others": '{"hook": "2"}'}, '"hook" has a field of its own'),
        ({"others": '{"a": NaN}'}, "The body is not JSON: NaN is not a JSON number"),
    ],
)
async def test_errors_are_shown_at_their_field(
    datasette: Datasette, job: str, fields: dict[str, str], message: str
) -> None:
    for path in (NEW, job):
        form = await open_form(datasette, path)
        form.fields |= {"job_name": "Sleep", **fields}
        answer = await submit(datasette, form.action, form.fields)
        assert answer.status_code == 400
        again = Form(answer.text)
        assert [one for one in again.messages if message in one], again.messages
        assert again.fields == form.fields
        name = next(iter(fields))
        assert f'id="{name}-error"' in answer.text
    rows = (await datasette.client.get("/api/campaigns")).json()["rows"]
    assert [row["id"] for row in rows] == [JOB["id"]]


async def test_deleting_asks_for_confirmation(datasette: Datasette, job: str) -> None:
    path = job.replace(EDIT, DELETE)
    form = await open_form(datasette, path)
    assert stored(JOB["id"])
    db = open_database("campaigns")
    campaigns.update_job(db, JOB["id"], {"emotion": "calm"})
    db.close()
    refused = await submit(datasette, form.action, form.fields)
    assert refused.status_code == 412
    form = Form(refused.text)
    assert form.messages == ["The job has changed since you read it"]
    answer = await submit(datasette, form.action, form.fields)
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        f"/campaigns/-/restore-job?{urlencode({'key': JOB['id']})}",
    )
    gone = await datasette.client.get(path, actor=WORKER)
    assert gone.status_code == 404
    assert "There is no job" in gone.text


@pytest.mark.parametrize("actor", [None, READER, {"id": "worker", "_r": {"a": ["view-table"]}}])
async def test_others_see_neither_links_nor_forms(
    datasette: Datasette, job: str, actor: Any
) -> None:
    for page, action in ((NEW, "create"), (job, "update"), (job.replace(EDIT, DELETE), "delete")):
        for method in ("GET", "POST"):
            answer = await datasette.client.request(method, page, actor=actor)
            assert answer.status_code == 403
            assert f"Permission denied: need {action}-job" in answer.text
    for page in ("/campaigns/jobs", f"/campaigns/jobs/{tilde_encode(JOB['id'])}"):
        answer = await datasette.client.get(page, actor=actor)
        assert answer.status_code == 200
        assert not [name for name in (NEW, EDIT, DELETE) if name in answer.text]


@pytest.mark.parametrize("actor", [ROOT, WORKER])
async def test_links_for_actors_with_permission(datasette: Datasette, actor: Any) -> None:
    db = open_database("campaigns")
    campaigns.add_job(db, {"id": "1", "job_name": "x"})
    db.close()
    table = (await datasette.client.get("/campaigns/jobs", actor=actor)).text
    row = (await datasette.client.get("/campaigns/jobs/1", actor=actor)).text
    assert f'href="{NEW}"' in table
    assert f'href="{EDIT}?key=1"' in row
    assert f'href="{DELETE}?key=1"' in row


async def test_other_sites_cannot_submit(datasette: Datasette, job: str) -> None:
    form = await open_form(datasette, job)
    form.fields["hook"] = "Theirs"
    answer = await submit(datasette, job, form.fields, **{"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert stored(JOB["id"])["hook"] == JOB["hook"]


async def test_invalid_bodies_and_methods(datasette: Datasette, job: str) -> None:
    text = await datasette.client.post(job, content="x", actor=WORKER)
    many = await submit(datasette, job, {str(number): "" for number in range(101)})
    put = await datasette.client.put(job, actor=WORKER)
    assert (text.status_code, "The Content-Type must be" in text.text) == (415, True)
    assert (many.status_code, "The form has more than 100 fields" in many.text) == (400, True)
    assert (put.status_code, put.headers["allow"]) == (405, "GET, HEAD, POST")


async def test_missing_jobs(datasette: Datasette) -> None:
    for page in (EDIT, DELETE):
        for query in ("?key=nobody", "?key=%00", "?key=%FF"):
            answer = await datasette.client.get(f"{page}{query}", actor=WORKER)
            assert answer.status_code == 404
            assert "There is no job" in answer.text


async def test_texts_are_escaped(datasette: Datasette, job: str) -> None:
    for page in (job, job.replace(EDIT, DELETE), f"{NEW}?x={quote('<script>alert(1)</script>')}"):
        text = (await datasette.client.get(page, actor=WORKER)).text
        assert "<script>alert(1)" not in text


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.none() | st.booleans() | st.integers() | TEXTS | st.lists(TEXTS)
NAMES = st.sampled_from(["job_name", "hook", "campaign_type", "campaignType", "enabled", "id", "x"])
DOCUMENTS = st.dictionaries(NAMES | TEXTS.filter(lambda key: not key.startswith("!!")), VALUES)


@given(DOCUMENTS)
def test_any_untouched_form_keeps_the_job(document: dict[str, Any]) -> None:
    submitted = {
        name: text.replace("\n", "\r\n") for name, text in job_form.shown(document).items()
    }
    after = job_form.changed(document, submitted)
    expected = document or {"enabled": True}
    assert (after, list(after)) == (expected, list(expected))


@given(DOCUMENTS, st.dictionaries(st.sampled_from([f.name for f in job_form.FIELDS]), TEXTS))
def test_only_touched_fields_change(document: dict[str, Any], touched: dict[str, str]) -> None:
    shown = job_form.shown(document)
    touched = {name: text for name, text in touched.items() if name in shown}
    after = job_form.changed(document, {**shown, **touched})
    keys = {field.key_in(document) for field in job_form.FIELDS if field.name in touched}
    assert {key: value for key, value in after.items() if key not in {*keys, "enabled"}} == {
        key: value for key, value in document.items() if key not in {*keys, "enabled"}
    }


@given(st.text())
def test_any_text_as_other_settings_is_accepted_or_refused(text: str) -> None:
    try:
        after = job_form.changed({"job_name": "x"}, {"job_name": "x", "others": text})
    except RequestError:
        return
    assert after["job_name"] == "x"


async def test_a_moved_file_has_the_same_forms(
    data_dir: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMPAIGNS_DB_PATH", str(tmp_path / "elsewhere.db"))
    open_database("campaigns").close()
    with serving() as datasette:
        answer = await submit(datasette, NEW, {"job_name": "x"})
        assert answer.status_code == 303
    assert database_path("campaigns") == tmp_path / "elsewhere.db"
