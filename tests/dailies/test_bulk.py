"""Bulk requests: all or nothing, as the dry run announced, and undone."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from jobs_client import add, assert_error, jobs_client, key, token_of
from life_cycles import LIFE_CYCLES
from server_process import run_dailies

from dailies.api.resources import BUILDS, CAMPAIGNS, PRESENTATIONS, RESOURCES, Resource
from loaders.registry import database_path

TEA = {"job_name": "Tea", "product": "Matcha", "nested": [{"a": None, "big": 2**70}]}
FAULTS = ("even", "odd")
ALL_TEA = {"action": "delete", "filter": {"product": "Matcha"}}


async def act(api: httpx2.AsyncClient, resource: Resource, **body: Any) -> dict[str, Any]:
    answer = await api.post(f"/api/{resource.name}/bulk", json=body)
    assert answer.status_code == 200, answer.text
    done: dict[str, Any] = answer.json()
    return done


async def rows(api: httpx2.AsyncClient, resource: Resource, query: str = "") -> dict[Any, Any]:
    answer = await api.get(f"/api/{resource.name}?{query}")
    assert answer.status_code == 200, answer.text
    return {row[resource.key]: row for row in answer.json()["rows"]}


async def statuses(api: httpx2.AsyncClient, queue: Resource) -> list[str]:
    found = await rows(api, queue, "_sort=job_id")
    return [row["status"] for row in found.values()]


def change(resource: Resource, sql: str) -> None:
    path = database_path(resource.database)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql)


def stored(resource: Resource) -> list[Any]:
    """Every row of every table of the database but what was answered."""
    with closing(sqlite3.connect(database_path(resource.database))) as connection:
        tables = connection.execute("select name from sqlite_master where type = 'table'")
        return [
            (name, connection.execute(f"select * from [{name}]").fetchall())
            for (name,) in tables.fetchall()
            if not name.startswith("jobs_fts")
        ]


# What is done


@pytest.mark.parametrize("action", ["retry", "cancel", "delete"])
async def test_what_a_dry_run_says_is_what_happens(
    api: httpx2.AsyncClient, queue: Resource, action: str
) -> None:
    names = LIFE_CYCLES[queue.database].names
    if action == "cancel" and queue is PRESENTATIONS:
        body = {"action": action, "filter": {"q": "x"}}
        answer = await api.post("/api/presentations/bulk", json=body)
        message = "action: must be 'retry' or 'delete', not \"cancel\""
        assert_error(answer, 400, message)
        return
    for number, status in enumerate([*names, *names], 1):
        await add(api, queue, number, status=status, error="mine" if number > 1 else "other")
    before, contents = await statuses(api, queue), stored(queue)
    mine = {"error": "mine"}
    said = await act(api, queue, action=action, filter=mine, dry_run=True)
    assert stored(queue) == contents
    done = await act(api, queue, action=action, filter=mine)
    assert (done["undo"] is None) == (action == "delete" or not done["changed"])
    assert done == {**said, "dry_run": False, "undo": done["undo"]}
    assert (done["matched"], done["changed"] + done["left"]) == (len(before) - 1, done["matched"])
    assert await statuses(api, queue) == expected(action, queue, before)


def expected(action: str, queue: Resource, before: list[str]) -> list[str]:
    """The first job is not meant. What the life cycle forbids stays."""
    first, *others = before
    if action == "delete":
        return [first]
    ended = ("failed", "cancelled")
    if action == "retry":
        return [first, *("queued" if status in ended else status for status in others)]
    open_states = ("preparing", "queued", "running")
    return [first, *("cancelled" if status in open_states else status for status in others)]


async def test_a_retried_job_begins_anew(api: httpx2.AsyncClient, queue: Resource) -> None:
    await add(api, queue, status="failed", worker="w", attempts=3, progress=70)
    await act(api, queue, action="retry", filter={"status": "failed"})
    [job] = (await rows(api, queue)).values()
    began = {name: job[name] for name in ("status", "worker", "attempts", "progress")}
    assert began == {"status": "queued", "worker": None, "attempts": 3, "progress": 0}
    events = (await api.get(f"/api/{queue.name}/{key(queue, 1)}/events")).json()["rows"]
    assert (events[0]["status_to"], events[0]["actor"]) == ("queued", "root")


async def test_a_cancelled_build_takes_the_lease_with_it(api: httpx2.AsyncClient) -> None:
    await add(api, BUILDS)
    claimed = await api.post("/api/builds/claim", json={"worker": "w"})
    [job] = claimed.json()["rows"]
    await act(api, BUILDS, action="cancel", filter={"worker": "w"})
    late = await api.post("/api/builds/1/heartbeat", json={"lease": job["lease"]})
    assert_error(late, 409, "job 1 is cancelled, not running")


async def test_filters_mean_what_they_mean_in_lists(
    api: httpx2.AsyncClient, queue: Resource
) -> None:
    for number in range(1, 6):
        day = f"2025-01-0{number}T00:00:00.000Z"
        await add(
            api, queue, number, error=f"Fault {FAULTS[number % 2]}", created_at=day, attempts=number
        )
    filters: list[dict[str, Any]] = [
        {"job_id": key(queue, 2)},
        {"attempts": 3},
        {"created_at": "2025-01-04T01:00:00+01:00"},
        {"q": "fault odd"},
        {"q": "FAULT", "attempts": 1},
        {"status": "queued", "error": "Fault even"},
        {"status": True},
        {"error": "fault odd"},
    ]
    for conditions in filters:
        listed = await rows(api, queue, urlencode(conditions).replace("True", "true"))
        done = await act(api, queue, action="delete", filter=conditions, dry_run=True)
        assert done["matched"] == len(listed), conditions
    body = {"action": "delete", "filter": {"attempts": "3"}}
    text = await api.post(f"/api/{queue.name}/bulk", json=body)
    assert_error(text, 400, 'filter.attempts: must be a valid integer, not "3"')
    await act(api, queue, action="delete", filter={"q": "fault odd", "status": "queued"})
    assert list(await rows(api, queue, "_sort=job_id")) == [key(queue, 2), key(queue, 4)]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"action": "delete", "filter": {}}, "filter: at least one filter is required"),
        ({"action": "delete", "filter": {"q": " "}}, "filter: at least one filter is required"),
        ({"action": "delete"}, "filter: must be given"),
        ({"action": "delete", "filter": {"colour": 1}}, "filter.colour: there is no such field"),
        ({"action": "delete", "filter": {"_size": 1}}, "filter._size: there is no such field"),
        ({"action": "delete", "filter": {"error": None}}, "filter.error: must be a text, a number or a boolean"),  # noqa: E501
        ({"action": "delete", "filter": {"q": "x"}, "dry_run": "no"}, 'dry_run: must be a valid boolean, not "no"'),  # noqa: E501
    ],
)  # fmt: skip
async def test_what_is_no_request(
    api: httpx2.AsyncClient, queue: Resource, body: Any, message: str
) -> None:
    await add(api, queue)
    assert_error(await api.post(f"/api/{queue.name}/bulk", json=body), 400, message)
    assert len(await rows(api, queue)) == 1


async def test_all_or_nothing(api: httpx2.AsyncClient, queue: Resource) -> None:
    for number in range(1, 6):
        await add(api, queue, number, status="failed")
    last = key(queue, 5)
    for event, action in (("update of status", "retry"), ("delete", "delete")):
        change(
            queue,
            f"""
            create trigger fails before {event} on {queue.table} when old.job_id = '{last}'
            begin select raise(abort, 'not this one'); end
            """,
        )
        before = stored(queue)
        body = {"action": action, "filter": {"status": "failed"}}
        answer = await api.post(f"/api/{queue.name}/bulk", json=body)
        assert answer.status_code == 503
        assert "not this one" in answer.json()["error"]
        change(queue, "drop trigger fails")
        assert stored(queue) == before
    assert (await act(api, queue, **body))["changed"] == 5


# Taking it back


async def test_undoing_brings_back_whole_jobs(api: httpx2.AsyncClient) -> None:
    for number in range(5):
        await api.post("/api/campaigns", json={**TEA, "id": f"tea {number}/ü"})
    await api.post("/api/campaigns", json={"id": "other", "job_name": "Other"})
    await api.put("/api/campaigns/tea%200%2F%C3%BC", json={"hook": "new"})
    before = await rows(api, CAMPAIGNS)
    deleted = await act(api, CAMPAIGNS, **ALL_TEA)
    assert (deleted["matched"], deleted["changed"]) == (5, 5)
    assert list(await rows(api, CAMPAIGNS)) == ["other"]
    undone = await api.post("/api/campaigns/undo", json={"undo": deleted["undo"]})
    assert undone.status_code == 200
    assert undone.json() == {
        "ok": True, "action": "undo", "matched": 5, "changed": 5, "left": 0,
        "dry_run": False, "undo": None,
    }  # fmt: skip
    after = await rows(api, CAMPAIGNS)
    assert without_update(after) == without_update(before)
    assert (await rows(api, CAMPAIGNS, "q=tea")).keys() == before.keys() - {"other"}
    again = await api.post("/api/campaigns/undo", json={"undo": deleted["undo"]})
    assert (again.json()["changed"], again.json()["left"]) == (0, 5)
    assert await rows(api, CAMPAIGNS) == after


def without_update(jobs: dict[Any, Any]) -> dict[Any, Any]:
    return {
        name: {field: value for field, value in job.items() if field != "updated_at"}
        for name, job in jobs.items()
    }


async def test_histories_name_who_did_and_undid_it(api: httpx2.AsyncClient) -> None:
    worker = token_of("worker")
    await api.post("/api/campaigns", json={**TEA, "id": "a"})
    deleted = (await api.post("/api/campaigns/bulk", json=ALL_TEA, headers=worker)).json()
    await api.post("/api/campaigns/undo", json={"undo": deleted["undo"]})
    history = (await api.get("/api/campaigns/a/history")).json()["rows"]
    assert [(row["operation"], row["actor"]) for row in history] == [
        ("insert", "root"),
        ("delete", "worker"),
        ("insert", "root"),
    ]


async def test_only_what_went_together_comes_back(api: httpx2.AsyncClient) -> None:
    for name in ("a", "b", "c"):
        await api.post("/api/campaigns", json={**TEA, "id": name})
    await api.delete("/api/campaigns/a")
    deleted = await act(api, CAMPAIGNS, **ALL_TEA)
    await api.post("/api/campaigns", json={"id": "b", "job_name": "Another"})
    await api.post("/api/campaigns", json={"id": "d", "job_name": "x"})
    await api.delete("/api/campaigns/d")
    undone = await api.post("/api/campaigns/undo", json={"undo": deleted["undo"]})
    assert (undone.json()["matched"], undone.json()["changed"]) == (2, 1)
    found = await rows(api, CAMPAIGNS)
    assert {name: row["job_name"] for name, row in found.items()} == {"b": "Another", "c": "Tea"}


async def test_what_breaks_rules_of_today_hinders_no_other(api: httpx2.AsyncClient) -> None:
    with closing(sqlite3.connect(database_path("campaigns"))) as connection, connection:
        named = "select name, sql from sqlite_master where type = 'trigger' and tbl_name = 'jobs'"
        rules = [row for row in connection.execute(named) if "raise(abort" in row[1]]
        for name, _ in rules:
            connection.execute(f"drop trigger {name}")
        data = json.dumps({"id": "old", "product": "Matcha", "enabled": "maybe"})
        connection.execute(
            "insert into jobs (id, product, data) values ('old', 'Matcha', ?)", [data]
        )
        for _, sql in rules:
            connection.execute(sql)
        connection.execute("insert into jobs_fts (jobs_fts) values ('rebuild')")
    await api.post("/api/campaigns", json={**TEA, "id": "new"})
    deleted = await act(api, CAMPAIGNS, **ALL_TEA)
    assert deleted["changed"] == 2
    undone = await api.post("/api/campaigns/undo", json={"undo": deleted["undo"]})
    assert undone.status_code == 200
    assert (undone.json()["changed"], undone.json()["left"]) == (1, 1)
    assert set(await rows(api, CAMPAIGNS)) == {"new"}
    kept = (await api.get("/api/campaigns/old/history")).json()["rows"]
    assert kept[0]["data"]["enabled"] == "maybe"


async def test_tokens_cannot_be_made_up(api: httpx2.AsyncClient) -> None:
    await api.post("/api/campaigns", json={**TEA, "id": "a"})
    token = (await act(api, CAMPAIGNS, **ALL_TEA))["undo"]
    for forged in ("1-9", "00000000-1-999", token + "x", "x" + token, "ü", "\0"):
        answer = await api.post("/api/campaigns/undo", json={"undo": forged})
        shown = json.dumps(forged, ensure_ascii=False)
        assert_error(answer, 400, f"undo: {shown} is not a token of this API")
    assert await rows(api, CAMPAIGNS) == {}
    nothing = await act(api, CAMPAIGNS, **ALL_TEA)
    assert (nothing["matched"], nothing["undo"]) == (0, None)


@pytest.mark.process
async def test_tokens_are_for_one_file(data_dir: Path, tmp_path: Path) -> None:
    async with jobs_client() as api:
        await api.post("/api/campaigns", json={**TEA, "id": "a"})
        token = (await act(api, CAMPAIGNS, **ALL_TEA))["undo"]
    saved = run_dailies(data_dir, "backup", "campaigns", "--to", tmp_path / "backups")
    assert saved.returncode == 0, saved.stderr
    [backup] = (tmp_path / "backups").glob("*.db*")
    restored = run_dailies(data_dir, "restore", "campaigns", backup)
    assert restored.returncode == 0, restored.stderr
    async with jobs_client() as api:
        answer = await api.post("/api/campaigns/undo", json={"undo": token})
        assert_error(answer, 409, "undo: the database file was replaced since")


# Who may


NEEDED = {"retry": "update-job", "cancel": "update-job", "delete": "delete-job"}
ACTIONS = {
    "campaigns": ["delete"],
    "builds": ["retry", "cancel", "delete"],
    "presentations": ["retry", "delete"],
}


@pytest.mark.parametrize("name", RESOURCES)
async def test_each_action_needs_its_permission(api: httpx2.AsyncClient, name: str) -> None:
    for action in ACTIONS[name]:
        body = {"action": action, "filter": {"q": "x"}}
        needed = NEEDED[action]
        others = {"view-table", "create-job", "update-job", "delete-job"} - {needed}
        path = f"/api/{name}/bulk"
        denied = await api.post(path, json=body, headers=token_of("worker", *others))
        assert_error(denied, 403, f"Permission denied: you may not {needed} here")
        allowed = await api.post(path, json=body, headers=token_of("worker", "view-table", needed))
        assert (allowed.status_code, allowed.json()["action"]) == (200, action)


@pytest.mark.parametrize("action", ["retry", "cancel"])
async def test_undoing_returns_jobs_to_what_they_were(
    api: httpx2.AsyncClient, queue: Resource, action: str
) -> None:
    """A second time changes nothing, and the rules of the life cycle are as before."""
    if action not in queue.actions:
        return
    names = LIFE_CYCLES[queue.database].names
    for number, status in enumerate([*names, *names], 1):
        await add(api, queue, number, status=status, error="mine")
    path = f"/api/{queue.name}/{key(queue, 1)}"
    await api.patch(path, json={"status": "failed", "error": "no disk", "progress": 40})
    before = await rows(api, queue)
    done = await act(api, queue, action=action, filter={"q": "mine"})
    after = await rows(api, queue)
    assert done["changed"] == sum(row != before[name] for name, row in after.items()) > 1
    undone = await api.post(f"/api/{queue.name}/undo", json={"undo": done["undo"]})
    assert undone.json()["changed"] == done["changed"], undone.text
    for name, row in (await rows(api, queue)).items():
        was = before[name]
        if action == "cancel":
            assert row["status"] == {"running": "queued"}.get(was["status"], was["status"])
        else:  # a run whose start was never recorded began when its job was created
            assert {**row, "started_at": None} == {**was, "started_at": None}
    again = await api.post(f"/api/{queue.name}/undo", json={"undo": done["undo"]})
    assert (again.json()["changed"], again.json()["left"]) == (0, done["changed"])
    forbidden = await api.patch(path, json={"status": "completed"})
    assert (forbidden.status_code, "cannot go from" in forbidden.text) == (409, True)


async def test_undoing_needs_the_permission_to_create(api: httpx2.AsyncClient) -> None:
    await api.post("/api/campaigns", json={**TEA, "id": "a"})
    deleted = await act(api, CAMPAIGNS, **ALL_TEA)
    body = {"undo": deleted["undo"]}
    limited = token_of("worker", "view-table", "delete-job", "update-job")
    denied = await api.post("/api/campaigns/undo", json=body, headers=limited)
    assert_error(denied, 403, "Permission denied: you may not create-job here")
    assert await rows(api, CAMPAIGNS) == {}


async def test_undo_brings_back_what_was_deleted_then(api: httpx2.AsyncClient) -> None:
    """Not another job that had its key since, be it deleted by now as well."""
    for name in ("first", "second"):
        await api.post("/api/campaigns", json={"id": "a", "job_name": name, "product": "Matcha"})
        if name == "first":
            first = (await act(api, CAMPAIGNS, **ALL_TEA))["undo"]
    last = (await act(api, CAMPAIGNS, **ALL_TEA))["undo"]
    answer = await api.post("/api/campaigns/undo", json={"undo": first})
    assert {name: answer.json()[name] for name in ("matched", "changed", "left")} == {
        "matched": 1,
        "changed": 0,
        "left": 1,
    }
    assert (await api.post("/api/campaigns/undo", json={"undo": last})).json()["changed"] == 1
    assert (await rows(api, CAMPAIGNS))["a"]["job_name"] == "second"


async def test_a_dry_run_waits_for_nobody(api: httpx2.AsyncClient) -> None:
    """It only reads, so a writer outside does not hold it up."""
    await add(api, BUILDS, status="failed")
    with closing(sqlite3.connect(database_path("yt-builder"), isolation_level=None)) as outside:
        outside.execute("begin immediate")
        done = await act(api, BUILDS, action="retry", filter={"status": "failed"}, dry_run=True)
    assert (done["matched"], done["changed"], done["dry_run"]) == (1, 1, True)
