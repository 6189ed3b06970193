"""Idempotency-Key: a retry gets the response to the first request."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from jobs_client import add, assert_error, jobs_client, key, row_of, token_of
from server_process import ServerProcess

from dailies.api.resources import BUILDS, CAMPAIGNS, RESOURCES, Resource
from loaders.registry import database_path

SAME = {"Idempotency-Key": "5f1c ~ key"}
NEW_JOB: dict[str, dict[str, Any]] = {
    "campaigns": {"job_name": "Tea"},
    "builds": {"status": "queued", "config": {"a": "ü"}},
    "presentations": {"error": "x"},
}
OTHER = "Idempotency-Key: this key was used for another request"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("site") / "data") as running:
        yield running


async def twice(api: httpx2.AsyncClient, path: str, body: Any = None) -> tuple[Any, Any]:
    options = {} if body is None else {"json": body}
    first = await api.post(path, headers=SAME, **options)
    second = await api.post(path, headers=SAME, **options)
    assert said(first) == said(second)
    forget(*RESOURCES.values())
    return first, second


def said(answer: Any) -> tuple[int, str, dict[str, str]]:
    told = {name: value for name, value in answer.headers.items() if name.lower() != "date"}
    return answer.status_code, answer.text, told


def forget(*resources: Resource) -> None:
    for resource in resources:
        change(resource, "delete from idempotency_keys")


def change(resource: Resource, sql: str) -> None:
    path = database_path(resource.database)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql)


def count(resource: Resource, table: str) -> int:
    with closing(sqlite3.connect(database_path(resource.database))) as connection:
        (found,) = connection.execute(f"select count(*) from {table}").fetchone()
        return int(found)


@pytest.mark.parametrize("name", RESOURCES)
async def test_a_job_is_created_once(api: httpx2.AsyncClient, name: str) -> None:
    resource = RESOURCES[name]
    first, _ = await twice(api, f"/api/{name}", NEW_JOB[name])
    assert first.status_code == 201
    assert {"location", "etag"} <= first.headers.keys()
    assert count(resource, resource.table) == 1
    listed, _ = await twice(api, f"/api/{name}", [NEW_JOB[name]] * 3)
    assert (listed.status_code, count(resource, resource.table)) == (201, 4)


async def test_whatever_workers_send_counts_once(api: httpx2.AsyncClient, queue: Resource) -> None:
    for number in (1, 2):
        await add(api, queue, number)
    claimed, _ = await twice(api, f"/api/{queue.name}/claim", {"worker": "w"})
    job = row_of(claimed)
    assert job["job_id"] == key(queue, 1)
    assert len((await api.get(f"/api/{queue.name}?status=queued")).json()["rows"]) == 1
    path = f"/api/{queue.name}/{job['job_id']}"
    beat, _ = await twice(api, f"{path}/heartbeat", {"progress": 5, "lease": job["lease"]})
    assert row_of(beat)["progress"] == 5
    await api.post(f"/api/{queue.name}/claim", json={"worker": "w"})
    none, _ = await twice(api, f"/api/{queue.name}/claim", {"worker": "w"})
    assert none.status_code == 204


async def test_the_worker_that_is_told_nothing_waits_is_told_so_again(
    api: httpx2.AsyncClient, queue: Resource
) -> None:
    for _ in range(2):
        none = await api.post(f"/api/{queue.name}/claim", json={"worker": "w"}, headers=SAME)
        assert none.status_code == 204
        await add(api, queue, count(queue, queue.table) + 1)


async def test_files_and_uploads_are_noted_once(api: httpx2.AsyncClient) -> None:
    await add(api, BUILDS)
    upload = {"video_id": "v", "video_url": "https://video.example/v", "title": "T"}
    await twice(api, "/api/builds/1/uploads", upload)
    assert count(BUILDS, "youtube_uploads") == 1
    file = {"file_type": "music", "filename": "a", "file_path": "b"}
    created, _ = await twice(api, "/api/builds/1/files", file)
    assert created.status_code == 201


async def test_campaigns_are_copied_restored_and_deleted_once(api: httpx2.AsyncClient) -> None:
    await api.post("/api/campaigns", json={"id": "a", "job_name": "Tea"})
    await twice(api, "/api/campaigns/a/duplicate")
    assert count(CAMPAIGNS, "jobs") == 2
    restored, _ = await twice(api, "/api/campaigns/a/restore", {"version": 1})
    assert restored.status_code == 200
    every = {"action": "delete", "filter": {"q": "tea"}}
    deleted, _ = await twice(api, "/api/campaigns/bulk", every)
    assert (deleted.json()["changed"], count(CAMPAIGNS, "jobs")) == (2, 0)
    undone, _ = await twice(api, "/api/campaigns/undo", {"undo": deleted.json()["undo"]})
    assert (undone.json()["changed"], count(CAMPAIGNS, "jobs")) == (2, 2)


async def test_a_refusal_stays_one(api: httpx2.AsyncClient, queue: Resource) -> None:
    path = f"/api/{queue.name}/{key(queue, 1)}/heartbeat"
    for _ in range(2):
        answer = await api.post(path, json={}, headers=SAME)
        assert_error(answer, 404, f'There is no job "{key(queue, 1)}"')
        await add(api, queue, count(queue, queue.table) + 1)
    bad = await api.post(f"/api/{queue.name}", json={"progress": 101}, headers=SAME)
    assert_error(bad, 422, OTHER)


async def test_what_could_not_be_read_may_be_sent_again(api: httpx2.AsyncClient) -> None:
    broken = await api.post("/api/builds", content="{", headers=SAME)
    assert broken.status_code == 415
    typed = {**SAME, "Content-Type": "application/json"}
    assert (await api.post("/api/builds", content="{", headers=typed)).status_code == 400
    assert (await api.post("/api/builds", json={}, headers=SAME)).status_code == 201


async def test_a_key_is_for_one_request(api: httpx2.AsyncClient, queue: Resource) -> None:
    path = f"/api/{queue.name}"
    await api.post(path, json=NEW_JOB[queue.name], headers=SAME)
    for other_path, body in ((path, {}), (path, []), (f"{path}/claim", {"worker": "w"})):
        assert_error(await api.post(other_path, json=body, headers=SAME), 422, OTHER)
    assert count(queue, queue.table) == 1
    other_key = {"Idempotency-Key": SAME["Idempotency-Key"] + "x"}
    assert (await api.post(path, json={}, headers=other_key)).status_code == 201
    other_actor = {**SAME, **token_of("worker")}
    assert (await api.post(path, json={}, headers=other_actor)).status_code == 201
    assert count(queue, queue.table) == 3


@pytest.mark.parametrize("text", ["", "é", "x" * 256, "a\tb"])
async def test_keys_are_short_and_plain(api: httpx2.AsyncClient, text: str) -> None:
    headers = {"Idempotency-Key": text.encode("latin-1")}
    answer = await api.post("/api/builds", json={}, headers=headers)
    assert_error(answer, 400, "Idempotency-Key: must be 1 to 255 printable ASCII characters")
    assert count(BUILDS, "jobs") == 0


async def test_keys_are_forgotten_after_a_day(api: httpx2.AsyncClient, queue: Resource) -> None:
    async def send() -> str:
        body = NEW_JOB[queue.name]
        answer = await api.post(f"/api/{queue.name}", json=body, headers=SAME)
        assert answer.status_code == 201
        return str(answer.json()["rows"][0]["job_id"])

    def age(by: str) -> None:
        sql = f"update idempotency_keys set at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '{by}')"
        change(queue, sql)

    first = await send()
    age("-23 hours")
    assert await send() == first
    age("-25 hours")
    assert await send() != first
    assert count(queue, "idempotency_keys") == 1


async def test_two_at_once_are_one(api: httpx2.AsyncClient, queue: Resource) -> None:
    body = NEW_JOB[queue.name]
    sent = (api.post(f"/api/{queue.name}", json=body, headers=SAME) for _ in range(8))
    answers = await asyncio.gather(*sent)
    assert len({str(said(answer)) for answer in answers}) == 1
    assert (answers[0].status_code, count(queue, queue.table)) == (201, 1)


async def test_a_write_that_failed_is_done_when_it_comes_again(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loaders.connections.BUSY_TIMEOUT_MS", 50)
    async with jobs_client() as api:
        with closing(sqlite3.connect(database_path("yt-builder"))) as outside:
            outside.execute("begin immediate")
            locked = await api.post("/api/builds", json={}, headers=SAME)
            assert_error(locked, 503, "The database is locked by another program: try again")
            outside.rollback()
        again = await api.post("/api/builds", json={}, headers=SAME)
        assert again.status_code == 201, again.text


async def test_nobody_gets_what_was_for_others_to_see(
    api: httpx2.AsyncClient, queue: Resource
) -> None:
    body = NEW_JOB[queue.name]
    await api.post(f"/api/{queue.name}", json=body, headers=SAME)
    del api.headers["Authorization"]
    answer = await api.post(f"/api/{queue.name}", json=body, headers=SAME)
    assert answer.status_code == 401
    limited = {**SAME, **token_of("root", "update-job")}
    answer = await api.post(f"/api/{queue.name}", json=body, headers=limited)
    assert_error(answer, 403, "Permission denied: you may not create-job here")
    assert count(queue, "idempotency_keys") == 1


def test_answers_outlive_the_server(site: ServerProcess) -> None:
    token = site.token("worker")
    requests = [(f"/api/{name}", body) for name, body in NEW_JOB.items()]
    requests.append(("/api/presentations/claim", {"worker": "w"}))

    def send(number: int) -> Any:
        path, body = requests[number]
        headers = {"Idempotency-Key": f"key-{number}"}
        return said(site.request("POST", path, json=body, token=token, headers=headers))

    first = [send(number) for number in range(len(requests))]
    assert [answer[0] for answer in first] == [201, 201, 201, 200]
    site.restart()
    assert [send(number) for number in range(len(requests))] == first
    site.kill9()
    site.start()
    assert [send(number) for number in range(len(requests))] == first


def test_a_retry_after_a_crash_never_doubles(site: ServerProcess) -> None:
    """Whether or not a write was on the disk when the server died, its retry makes it one."""
    token = site.token("worker")

    def send(number: int) -> int | None:
        headers = {"Idempotency-Key": f"retry-{number}"}
        body = {"current_step": str(number)}
        try:
            answer = site.request("POST", "/api/builds", json=body, token=token, headers=headers)
        except httpx2.TransportError:
            return None
        assert answer.status_code == 201
        return int(answer.json()["rows"][0]["job_id"])

    with ThreadPoolExecutor(4) as threads:
        tasks = [threads.submit(send, number) for number in range(60)]
        tasks[5].result()
        site.kill9()
        before = [task.result() for task in tasks]
    assert None in before
    site.start()
    after = [send(number) for number in range(60)]
    assert [new for old, new in zip(before, after, strict=True) if old] == list(
        filter(None, before)
    )
    listed = site.request("GET", "/api/builds?_size=1000").json()["rows"]
    rows = [row for row in listed if row["current_step"] is not None]
    assert sorted(row["current_step"] for row in rows) == sorted(map(str, range(60)))
    assert {row["job_id"] for row in rows} == set(after)
