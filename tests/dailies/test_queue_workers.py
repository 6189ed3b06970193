"""What workers ask of both queues over HTTP: claims, leases, heartbeats, files and uploads."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import Any

import httpx2
import pytest
from in_process import metadata
from jobs_client import (
    OUR_TIME,
    add,
    assert_error,
    claim,
    finished,
    jobs_client,
    key,
    row_of,
    running,
    token_of,
)

from dailies.api.resources import BUILDS, Resource
from loaders import open_database, presentation_jobs, yt_builder
from loaders.connections import connect
from loaders.registry import database_path

FILE = {"file_type": "videos", "filename": "intro ü/1.mp4", "file_path": "runs/1/intro.mp4"}
UPLOAD = {"video_id": "v1", "video_url": "https://video.example/v1", "title": "Launch"}
QUEUE_MODULES: dict[str, Any] = {"builds": yt_builder, "presentations": presentation_jobs}


def path(queue: Resource, number: int = 1) -> str:
    return f"/api/{queue.name}/{key(queue, number)}"


def recover(queue: Resource) -> None:
    """Declare the workers of all running jobs dead."""
    with closing(connect(database_path(queue.database))) as connection:
        QUEUE_MODULES[queue.name].recover(connection, stale_minutes=0)


def stored(queue: Resource) -> list[tuple[Any, ...]]:
    """Everything about the jobs that a late worker could have changed."""
    tables = [queue.table, "job_events", "job_changes", "job_states"]
    if queue is BUILDS:
        tables += ["job_files", "youtube_uploads"]
    with closing(sqlite3.connect(database_path(queue.database))) as connection:
        return [row for table in tables for row in connection.execute(f"select * from {table}")]


# Claims


async def test_the_oldest_is_claimed_first(api: httpx2.AsyncClient, queue: Resource) -> None:
    with closing(connect(database_path(queue.database))) as connection:
        for number, created_at in enumerate(
            ["2025-11-02 03:00:00", "1762045200", "2025-11-02T04:00:00+02:00", "2025-11-02"], 1
        ):
            await add(api, queue, number)
            sql = f"update {queue.table} set created_at = ? where job_id = ?"
            connection.execute(sql, (created_at, key(queue, number)))
    await add(api, queue, 5, status="failed", created_at="2020-01-01T00:00:00Z")
    claimed = [(await claim(api, queue))["job_id"] for _ in range(4)]
    assert claimed == [key(queue, number) for number in (4, 2, 3, 1)]
    none = await api.post(f"/api/{queue.name}/claim", json={"worker": "w"})
    assert (none.status_code, none.content) == (204, b"")


async def test_a_claimed_job_runs(api: httpx2.AsyncClient, queue: Resource) -> None:
    queued = await add(api, queue)
    answer = await api.post(f"/api/{queue.name}/claim", json={"worker": "w1"})
    job = row_of(answer)
    assert answer.headers["content-location"] == path(queue)
    lease = job.pop("lease")
    assert re.fullmatch("[0-9a-f]{32}", lease)
    began = {"last_heartbeat": job["last_heartbeat"]}
    if queue is BUILDS:
        began["started_at"] = job["started_at"]
    assert all(re.fullmatch(OUR_TIME, time) for time in began.values())
    assert job == {**queued, **began, "status": running(queue), "worker": "w1", "attempts": 1}
    read = await api.get(path(queue))
    assert row_of(read) == job
    listed = await api.get(f"/api/{queue.name}")
    assert lease not in read.text + listed.text + (await api.get(f"{path(queue)}/events")).text


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "worker: must be given"),
        ({"worker": " "}, "worker: String should match pattern '\\S', not \" \""),
        ({"worker": None}, "worker: must be a valid string"),
        ({"worker": "w", "count": 2}, "count: there is no such field"),
    ],
)
async def test_a_claim_names_its_worker(
    api: httpx2.AsyncClient, queue: Resource, body: Any, message: str
) -> None:
    assert_error(await api.post(f"/api/{queue.name}/claim", json=body), 400, message)


# Leases


async def test_whoever_was_declared_dead_changes_nothing(
    api: httpx2.AsyncClient, queue: Resource
) -> None:
    await add(api, queue)
    late = (await claim(api, queue))["lease"]
    recover(queue)
    name = key(queue, 1)
    *before_the_end, _ = writes(queue, late)
    message = f"job {name} is queued, not {running(queue)}"
    await assert_all_refused(api, queue, before_the_end, message)
    present = (await claim(api, queue))["lease"]
    message = f"job {name} is held by another claim, of worker w"
    await assert_all_refused(api, queue, writes(queue, late), message)
    for request in writes(queue, present):
        answer = await api.request(**request)
        assert answer.status_code in (200, 201), answer.text


async def assert_all_refused(
    api: httpx2.AsyncClient, queue: Resource, requests: list[dict[str, Any]], message: str
) -> None:
    before = stored(queue)
    for request in requests:
        assert_error(await api.request(**request), 409, message)
    assert stored(queue) == before


def writes(queue: Resource, lease: str) -> list[dict[str, Any]]:
    """All that a worker writes, the end of its work last."""
    requests = [
        ("POST", "/heartbeat", {"progress": 90, "worker": "w"}),
        ("PUT", "", {"error": "late"}),
        *([("POST", "/files", FILE), ("POST", "/uploads", UPLOAD)] if queue is BUILDS else []),
        ("PATCH", "", {"status": "completed"}),
    ]
    return [
        {"method": method, "url": path(queue) + place, "json": {**body, "lease": lease}}
        for method, place, body in requests
    ]


async def test_a_job_is_completed_late_unless_it_was_claimed_again(
    api: httpx2.AsyncClient, queue: Resource
) -> None:
    await add(api, queue)
    lease = (await claim(api, queue))["lease"]
    recover(queue)
    [requeued] = (await api.get(path(queue))).json()["rows"]
    assert (requeued["status"], requeued["worker"]) == ("queued", None)
    answer = await api.patch(path(queue), json={"status": "completed", "lease": lease})
    assert answer.status_code == 200, answer.text
    [job] = answer.json()["rows"]
    assert (job["status"], job["progress"], job["worker"], job["attempts"]) == (
        "completed", 100, "w", 1,
    )  # fmt: skip
    with closing(connect(database_path(queue.database))) as connection:
        [attempt] = connection.execute(
            "select worker, started_at, ended_at, outcome, error from job_attempts"
        )
    started = job.get("started_at", attempt[1])
    ended = job["finished_at" if queue is BUILDS else "completed_at"]
    assert attempt == ("w", started, ended, "completed", None)


async def test_a_lease_ends_with_the_work(api: httpx2.AsyncClient, queue: Resource) -> None:
    await add(api, queue)
    lease = (await claim(api, queue))["lease"]
    ended = await api.patch(path(queue), json={"status": "failed", "lease": lease})
    assert ended.status_code == 200
    name = key(queue, 1)
    message = f"job {name} is failed, not {running(queue)}"
    await assert_all_refused(api, queue, writes(queue, lease), message)
    nobody = await api.put(path(queue), json={"error": "x", "lease": "made up"})
    assert_error(nobody, 409, f"job {name} is failed, not {running(queue)}")


async def test_whoever_completed_a_build_may_still_tell_of_its_upload(
    api: httpx2.AsyncClient,
) -> None:
    await add(api, BUILDS)
    lease = (await claim(api, BUILDS))["lease"]
    done = {"status": "completed", "output_file": "final.mp4", "lease": lease}
    assert row_of(await api.patch("/api/builds/1", json=done))["progress"] == 100
    added = await api.post("/api/builds/1/uploads", json={**UPLOAD, "lease": lease})
    assert added.status_code == 201
    other = await api.post("/api/builds/1/uploads", json={**UPLOAD, "lease": "0" * 32})
    assert_error(other, 409, "job 1 is completed, not running")
    beat = await api.post("/api/builds/1/heartbeat", json={"lease": lease})
    assert_error(beat, 409, "job 1 is completed, not running")


# Heartbeats


async def test_a_heartbeat_tells_how_far_it_is(api: httpx2.AsyncClient, queue: Resource) -> None:
    await add(api, queue)
    job = await claim(api, queue)
    lease = job.pop("lease")
    body = {"progress": 40, "current_step": "mixing", "lease": lease, "worker": "w"}
    answer = await api.post(f"{path(queue)}/heartbeat", json=body)
    beat = row_of(answer)
    assert beat == {
        **job,
        "progress": 40,
        "current_step": "mixing",
        "last_heartbeat": beat["last_heartbeat"],
    }
    assert beat["last_heartbeat"] >= job["last_heartbeat"]
    assert answer.headers["etag"] == (await api.get(path(queue))).headers["etag"]
    bare = await api.post(f"{path(queue)}/heartbeat")
    assert row_of(bare)["progress"] == 40
    nothing = dict.fromkeys(("progress", "current_step", "lease", "worker"))
    assert (await api.post(f"{path(queue)}/heartbeat", json=nothing)).status_code == 200


async def test_heartbeats_that_are_refused(api: httpx2.AsyncClient, queue: Resource) -> None:
    await add(api, queue)
    address, name = f"{path(queue)}/heartbeat", key(queue, 1)
    early = await api.post(address, json={})
    assert_error(early, 409, f"job {name} is queued, not {running(queue)}")
    await claim(api, queue)
    stranger = await api.post(address, json={"worker": "x"})
    assert_error(stranger, 409, f"job {name} is held by another claim, of worker w")
    before = stored(queue)
    for body, message in (
        (
            {"progress": 101},
            f'{queue.table}.progress: must be less than or equal to 100, not "101"',
        ),
        ({"status": "failed"}, f"{queue.table}.status: there is no such field"),
        ([], "The body: must be an object, not a list"),
    ):
        assert_error(await api.post(address, json=body), 400, message)
    assert stored(queue) == before
    missing = await api.post(f"{path(queue, 2)}/heartbeat", json={})
    assert_error(missing, 404, f'There is no job "{key(queue, 2)}"')


async def test_leases_cannot_be_read_by_sql(api: httpx2.AsyncClient, queue: Resource) -> None:
    await add(api, queue)
    await claim(api, queue)
    sql = {"sql": "select lease from job_states"}
    answer = await api.get(f"/{queue.database}/-/query.json", params=sql)
    message = "access to job_states.lease is prohibited"
    assert (answer.status_code, answer.json()["error"]) == (400, message)


# Events


async def test_events_name_who_did_what(api: httpx2.AsyncClient, queue: Resource) -> None:
    worker = token_of("worker", "create-job", "update-job", "delete-job")
    await add(api, queue)
    await api.post(f"/api/{queue.name}/claim", json={"worker": "w7"}, headers=worker)
    failed = {"status": "failed", "error": "no voice"}
    await api.patch(path(queue), json=failed, headers=worker)
    await api.delete(path(queue))
    events = (await api.get(f"{path(queue)}/events")).json()["rows"]
    assert all(re.fullmatch(OUR_TIME, event["at"]) for event in events)
    columns = ("status_from", "status_to", "actor", "detail")
    assert [tuple(event[name] for name in columns) for event in events] == [
        ("failed", None, "root", "deleted"),
        (running(queue), "failed", "worker", "no voice"),
        ("queued", running(queue), "worker", "w7"),
        (None, "queued", "root", None),
    ]
    pages, address = [], f"{path(queue)}/events?_size=3"
    while address:
        page = (await api.get(address)).json()
        pages.append(page["rows"])
        address = page["next_url"]
    assert pages == [events[:3], events[3:]]
    never = await api.get(f"{path(queue, 9)}/events")
    assert_error(never, 404, f'There are no events of a job "{key(queue, 9)}"')


# Files and uploads


async def test_files_of_a_build(api: httpx2.AsyncClient) -> None:
    await add(api, BUILDS)
    none = {"videos": 0, "music": 0, "sounds": 0, "quotes": 0}
    empty = await api.get("/api/builds/1/files")
    assert empty.json() == {"ok": True, "rows": [], "counts": none}
    first = await api.post("/api/builds/1/files", json=FILE)
    assert first.status_code == 201
    assert first.headers["location"] == "/api/builds/1/files/videos/intro%20%C3%BC%2F1.mp4"
    moved = await api.post("/api/builds/1/files", json={**FILE, "file_path": "elsewhere"})
    assert moved.status_code == 200
    music = await api.post("/api/builds/1/files", json={**FILE, "file_type": "music"})
    listed = (await api.get("/api/builds/1/files")).json()
    assert listed["rows"] == [row_of(moved), row_of(music)]
    assert listed["counts"] == {**none, "videos": 1, "music": 1}
    assert {name: listed["rows"][0][name] for name in FILE} == {**FILE, "file_path": "elsewhere"}
    gone = await api.delete(first.headers["location"])
    assert (gone.status_code, gone.content) == (204, b"")
    again = await api.delete(first.headers["location"])
    assert_error(again, 404, 'The job has no file "intro ü/1.mp4" of type "videos"')
    assert (await api.get("/api/builds/1/files")).json()["rows"] == [row_of(music)]


async def test_uploads_of_a_build(api: httpx2.AsyncClient) -> None:
    await add(api, BUILDS)
    first = await api.post("/api/builds/1/uploads", json=UPLOAD)
    nulls = dict.fromkeys(("description", "tags", "category"))
    row = row_of(first)
    assert row == {**UPLOAD, **nulls, "privacy": "private", "id": 1, "job_id": 1, "uploaded_at": row["uploaded_at"]}  # fmt: skip  # noqa: E501
    assert re.fullmatch(OUR_TIME, row["uploaded_at"])
    whole = {**UPLOAD, "privacy": "public", "tags": ["a", "ü"], "category": "22", "description": ""}
    second = row_of(await api.post("/api/builds/1/uploads", json=whole))
    assert {name: second[name] for name in whole} == whole
    assert (await api.get("/api/builds/1/uploads")).json()["rows"] == [second, row]


async def test_what_cannot_be_a_file_or_an_upload(api: httpx2.AsyncClient) -> None:
    await add(api, BUILDS)
    types = "'videos', 'music', 'sounds' or 'quotes'"
    for place, body, message in (
        ("files", {**FILE, "file_type": "x"}, f'job_files.file_type: must be {types}, not "x"'),
        ("files", {**FILE, "filename": ""}, 'job_files.filename: String should have at least 1 character, not ""'),  # noqa: E501
        ("files", {"file_type": "music", "filename": "a"}, "job_files.file_path: must be given"),
        ("uploads", {**UPLOAD, "tags": "a"}, 'youtube_uploads.tags: must be a valid list, not "a"'),
        ("uploads", {**UPLOAD, "views": 5}, "youtube_uploads.views: there is no such field"),
        ("uploads", {**UPLOAD, "privacy": "secret"}, "youtube_uploads.privacy: must be 'private', 'unlisted' or 'public', not \"secret\""),  # noqa: E501
    ):  # fmt: skip
        assert_error(await api.post(f"/api/builds/1/{place}", json=body), 400, message)
    for place, body in (("files", FILE), ("uploads", UPLOAD)):
        for answer in (
            await api.post(f"/api/builds/2/{place}", json=body),
            await api.get(f"/api/builds/2/{place}"),
        ):
            assert_error(answer, 404, 'There is no job "2"')


async def test_files_and_uploads_go_with_their_build(api: httpx2.AsyncClient) -> None:
    await add(api, BUILDS)
    await api.post("/api/builds/1/files", json=FILE)
    await api.post("/api/builds/1/uploads", json=UPLOAD)
    await api.delete("/api/builds/1")
    await add(api, BUILDS)
    for place in ("files", "uploads"):
        assert (await api.get(f"/api/builds/1/{place}")).json()["rows"] == []


async def test_rows_that_may_not_be_seen_are_left_out(data_dir: Any) -> None:
    open_database("yt-builder").close()
    config = metadata()
    tables = config["databases"]["yt-builder"]["tables"]
    for table in ("jobs", "job_files", "youtube_uploads", "job_events"):
        tables[table]["allow"] = {"id": "root"}
    writer = token_of("worker", "create-job", "update-job", "delete-job")
    denied = "Permission denied: you may not view-table here"
    async with jobs_client(config=config) as api:
        await add(api, BUILDS)
        unseen = await api.post("/api/builds/claim", json={"worker": "w"}, headers=writer)
        assert_error(unseen, 403, denied)
        await claim(api, BUILDS)
        for method, place, body in (
            ("POST", "/heartbeat", {"progress": 5}),
            ("PUT", "", {"error": "x"}),
            ("POST", "/files", FILE),
            ("POST", "/uploads", UPLOAD),
        ):
            answer = await api.request(method, f"/api/builds/1{place}", json=body, headers=writer)
            assert answer.json() == {"ok": True, "rows": []}, place
            assert "etag" not in answer.headers
        for place in ("", "/1", "/1/events", "/1/files", "/1/uploads", "/changes"):
            assert_error(await api.get(f"/api/builds{place}", headers=writer), 403, denied)
        assert row_of(await api.get("/api/builds/1"))["error"] == "x"


async def test_the_end_of_a_retried_job_is_forgotten(
    api: httpx2.AsyncClient, queue: Resource
) -> None:
    await add(api, queue, status="failed")
    waiting = row_of(await api.patch(path(queue), json={"status": "queued"}))
    assert (waiting[finished(queue)], waiting["worker"], waiting["progress"]) == (None, None, 0)


async def test_a_deletion_heeds_the_lease(api: httpx2.AsyncClient, queue: Resource) -> None:
    await add(api, queue)
    job = await claim(api, queue)
    address = f"/api/{queue.name}/{job['job_id']}"
    late = await api.delete(f"{address}?lease=late")
    held = f"job {job['job_id']} is held by another claim, of worker w"
    assert_error(late, 409, held)
    if queue.name == "builds":
        file = {"file_type": "music", "filename": "a", "file_path": "b"}
        await api.post(f"{address}/files", json=file)
        assert_error(await api.delete(f"{address}/files/music/a?lease=late"), 409, held)
        listed = await api.get(f"{address}/files?file_type=music")
        assert [row["filename"] for row in listed.json()["rows"]] == ["a"]
        assert (await api.get(f"{address}/files?file_type=videos")).json()["rows"] == []
    assert_error(await api.delete(f"{address}?x=1"), 400, 'unknown parameter "x"')
    assert (await api.delete(f"{address}?lease={job['lease']}")).status_code == 204


async def test_part_of_a_job_is_upserted_by_datasette(
    api: httpx2.AsyncClient, queue: Resource
) -> None:
    """Of a build too, as long as it says what no build lacks."""
    await add(api, queue, **({"run_id": "r", "run_dir": "d"} if queue is BUILDS else {}))
    path = f"/{queue.database}/{queue.table}/-/upsert"
    row = {"job_id": key(queue, 1), "current_step": "cut"}
    if queue is BUILDS:
        lacking = await api.post(path, json={"rows": [row]})
        assert_error(lacking, 400, "NOT NULL constraint failed: jobs.run_id")
        row |= {"run_id": "r", "run_dir": "d"}
    answer = await api.post(path, json={"rows": [row]})
    assert answer.status_code == 200, answer.text
    kept = row_of(await api.get(f"/api/{queue.name}/{key(queue, 1)}"))
    assert (kept["current_step"], kept["status"]) == ("cut", "queued")
