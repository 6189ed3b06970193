"""The row actions: permissions, confirmation pages and effects."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from datasette.app import Datasette
from html_form import Form
from in_process import READER, READING, ROOT, WORKER, metadata, serving

from dailies.web.row_actions import ROW_ACTIONS, RowAction
from loaders import campaigns, image_library, open_database, presentation_jobs, trends, yt_builder

KEYS = {
    "campaigns": "a/ü",
    "yt-builder": "1",
    "presentation_jobs": "p",
    "trends": "1",
    "image_library": "1",
}
FIELDS = {"use-image": {"video_id": "v1", "scene_number": "3"}, "restore-job": {"version": "1"}}
ROW_PAGES = {
    "campaigns": "/campaigns/jobs/a~2F~C3~BC",
    "yt-builder": "/yt-builder/jobs/1",
    "presentation_jobs": "/presentation_jobs/presentation_jobs/p",
    "trends": "/trends/trending_topics/1",
    "image_library": "/image_library/image_library/1",
}


def named(action: RowAction) -> str:
    return f"{action.database}/{action.name}"


each_action = pytest.mark.parametrize("action", ROW_ACTIONS, ids=named)


@pytest.fixture(scope="module")
def rows_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder with one row for each action; read-only tests use it as it is."""
    folder = tmp_path_factory.mktemp("rows")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAILIES_DATA_DIR", str(folder))
        add_rows()
        yield folder


def add_rows() -> None:
    with closing(open_database("campaigns")) as db:
        campaigns.add_job(db, {"id": KEYS["campaigns"], "job_name": "Autumn", "hook": "First"})
        campaigns.update_job(db, KEYS["campaigns"], {"hook": "Second"})
    with closing(open_database("yt-builder")) as db:
        yt_builder.add_job(db, {"status": "failed", "error": "no voice"})
    with closing(open_database("presentation_jobs")) as db:
        presentation_jobs.create(db, {"job_id": "p", "status": "failed"})
    with closing(open_database("trends")) as db:
        trends.add_topic(db, "Matcha", "reddit")
    with closing(open_database("image_library")) as db:
        image_library.add_image(db, "nutsy", "a.png", format="png", emotion="happy")
    open_database("metrics").close()


@pytest.fixture(scope="module")
def datasette(rows_folder: Path) -> Iterator[Datasette]:
    """For tests that change nothing."""
    with serving(**READING) as served:
        yield served


@pytest.fixture
def own_datasette(rows_folder: Path, data_dir: Path) -> Iterator[Datasette]:
    shutil.copytree(rows_folder, data_dir, dirs_exist_ok=True)
    with serving() as served:
        yield served


def page_of(action: RowAction, **others: str) -> str:
    arguments = urlencode({"key": KEYS[action.database], **others})
    return f"/{action.database}/-/{action.name}?{arguments}"


def rows(database: str, sql: str) -> list[Any]:
    with closing(open_database(database)) as db:
        return db.execute(sql).fetchall()


async def do(datasette: Datasette, path: str, fields: dict[str, str] | None = None) -> Any:
    return await datasette.client.post(path, data=fields or {"x": ""}, actor=WORKER)


def prepare(action: RowAction) -> None:
    """Bring the row into a state in which the action is offered."""
    if action.name == "cancel-job":
        with closing(open_database("yt-builder")) as db:
            yt_builder.update_job_status(db, 1, "queued")


@each_action
async def test_a_page_asks_for_confirmation(datasette: Datasette, action: RowAction) -> None:
    before = [row for name in KEYS for row in rows(name, "select * from write_context")]
    events = rows("campaigns", "select count(*) from job_history")
    page = await datasette.client.get(page_of(action), actor=WORKER)
    assert page.status_code == 200
    form = Form(page.text)
    assert set(form.fields) == {field.name for field in action.fields}
    assert form.action == page_of(action)
    assert rows("campaigns", "select count(*) from job_history") == events
    assert before == [row for name in KEYS for row in rows(name, "select * from write_context")]


@each_action
@pytest.mark.parametrize("actor", [None, READER], ids=["anonymous", "reader"])
async def test_without_permission(datasette: Datasette, action: RowAction, actor: Any) -> None:
    for method in ("GET", "POST"):
        answer = await datasette.client.request(method, page_of(action), actor=actor)
        assert answer.status_code == 403
        assert f"Permission denied: need {action.permissions[0]}" in answer.text
    page = await datasette.client.get(ROW_PAGES[action.database], actor=actor)
    assert page.status_code == 200
    assert f"/-/{action.name}" not in page.text


async def test_actors_who_may_not_see_the_table(rows_folder: Path) -> None:
    config = metadata()
    for action in ROW_ACTIONS:
        table = config["databases"][action.database]["tables"][action.table]
        table.setdefault("permissions", {})["view-table"] = {"id": "root"}
    with serving(config=config, **READING) as served:
        for action in ROW_ACTIONS:
            answer = await served.client.get(page_of(action), actor=WORKER)
            assert answer.status_code == 403, action.name


@each_action
async def test_rows_link_to_possible_actions(own_datasette: Datasette, action: RowAction) -> None:
    page = await own_datasette.client.get(ROW_PAGES[action.database], actor=ROOT)
    offered = f"/-/{action.name}?" in page.text
    # A campaign's history links to the page that restores a version.
    assert offered == (action.name != "cancel-job")
    prepare(action)
    page = await own_datasette.client.get(ROW_PAGES[action.database], actor=ROOT)
    assert f"/-/{action.name}?" in page.text


@each_action
async def test_cross_site_requests_are_refused(datasette: Datasette, action: RowAction) -> None:
    answer = await datasette.client.post(
        page_of(action), data={"x": ""}, actor=WORKER, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert answer.status_code == 403


@each_action
async def test_other_methods(datasette: Datasette, action: RowAction) -> None:
    answer = await datasette.client.request("PUT", page_of(action), actor=WORKER)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")
    assert answer.json()["errors"] == ["PUT is not allowed here"]


@each_action
async def test_without_a_row(datasette: Datasette, action: RowAction) -> None:
    answer = await datasette.client.get(f"/{action.database}/-/{action.name}", actor=WORKER)
    assert answer.status_code == 404
    missing = f"/{action.database}/-/{action.name}?key=999"
    answer = await do(datasette, missing, FIELDS.get(action.name))
    assert answer.status_code == 404
    assert any(text in answer.text for text in ("message-error", "There is no job", "not exist"))


async def test_duplicating(own_datasette: Datasette) -> None:
    answer = await do(own_datasette, "/campaigns/-/duplicate-job?key=a%2F%C3%BC")
    assert answer.status_code == 303
    copies = rows("campaigns", "select id, job_name, hook from jobs where id <> 'a/ü'")
    assert [row[1:] for row in copies] == [("Autumn (Copy)", "Second")]
    assert answer.headers["location"] == f"/campaigns/jobs/{copies[0][0]}"


async def test_restoring_a_version_and_a_deleted_job(own_datasette: Datasette) -> None:
    page = await own_datasette.client.get("/campaigns/jobs/a~2F~C3~BC", actor=WORKER)
    assert "/campaigns/-/restore-job?key=a%2F%C3%BC&amp;version=1" in page.text
    asked = await own_datasette.client.get(
        "/campaigns/-/restore-job?key=a%2F%C3%BC&version=1", actor=WORKER
    )
    assert "<h1>Restore version 1 of a/ü?</h1>" in asked.text
    form = Form(asked.text)
    answer = await do(own_datasette, form.action, form.fields)
    assert answer.status_code == 303
    assert rows("campaigns", "select hook from jobs") == [("First",)]

    with closing(open_database("campaigns")) as db:
        campaigns.delete_job(db, "a/ü")
    listed = await own_datasette.client.get("/campaigns/deleted_jobs", actor=WORKER)
    assert "/campaigns/-/restore-job?key=a%2F%C3%BC" in listed.text
    form = Form((await own_datasette.client.get(form.action.split("&")[0], actor=WORKER)).text)
    answer = await do(own_datasette, form.action, form.fields)
    assert answer.status_code == 303
    assert rows("campaigns", "select id, hook from jobs") == [("a/ü", "First")]
    again = await do(own_datasette, form.action, form.fields)
    assert again.status_code == 409
    assert "is not deleted: name the version to restore" in again.text


async def test_retrying_and_cancelling(own_datasette: Datasette) -> None:
    answer = await do(own_datasette, "/yt-builder/-/retry-job?key=1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/yt-builder/jobs/1")
    answer = await do(own_datasette, "/yt-builder/-/cancel-job?key=1")
    assert answer.status_code == 303
    events = rows("yt-builder", "select status_from, status_to, actor from job_events order by id")
    assert events == [
        (None, "failed", None),
        ("failed", "queued", "worker"),
        ("queued", "cancelled", "worker"),
    ]
    late = await do(own_datasette, "/presentation_jobs/-/retry-job?key=p")
    assert late.status_code == 303
    with closing(open_database("presentation_jobs")) as db:
        presentation_jobs.update(db, "p", status="completed")
    late = await do(own_datasette, "/presentation_jobs/-/retry-job?key=p")
    assert late.status_code == 409
    assert "presentation_jobs.status: cannot go from completed to queued" in late.text


async def test_marking_a_topic_and_using_an_image(own_datasette: Datasette) -> None:
    assert (await do(own_datasette, "/trends/-/mark-used?key=1")).status_code == 303
    assert rows("trends", "select used_flag from trending_topics") == [(1,)]
    use = "/image_library/-/use-image?key=1"
    assert (await do(own_datasette, use, FIELDS["use-image"])).status_code == 303
    assert rows("image_library", "select image_id, video_id, scene_number from image_usage") == [
        (1, "v1", 3)
    ]
    assert rows("image_library", "select usage_count from image_library") == [(1,)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"video_id": " "}, "is required"),
        ({"video_id": "v", "scene_number": "two"}, "must be a whole number"),
    ],
)
async def test_messages_are_at_their_field(
    datasette: Datasette, fields: dict[str, str], message: str
) -> None:
    answer = await do(datasette, "/image_library/-/use-image?key=1", fields)
    assert answer.status_code == 400
    form = Form(answer.text)
    assert len(form.messages) == 1
    assert form.messages[0].startswith(message)
    assert 'aria-invalid="true"' in answer.text
    assert form.fields["video_id"] == fields["video_id"]
    assert rows("image_library", "select count(*) from image_usage") == [(0,)]
