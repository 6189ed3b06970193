"""Who may do what with jobs: every operation of the API and of Datasette's own, for every actor."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from in_process import metadata
from jobs_client import (
    REVOKED,
    SIGN_IN,
    add,
    assert_error,
    bearer,
    jobs_client,
    key,
    row_of,
    token_of,
)

from dailies.api.resources import BUILDS, CAMPAIGNS, RESOURCES, Resource
from dailies.api.routes import ROUTES, Route
from dailies.auth import tokens
from loaders.registry import database_path

ACTORS = ("anonymous", "reader", "worker", "narrowed", "revoked", "root")
NARROWED = ("create-job", "update-job")
FILE = {"file_type": "music", "filename": "a", "file_path": "b"}
UPLOAD = {"video_id": "v", "video_url": "https://video.example/v", "title": "T"}
# What each endpoint asks for, first things first.
NEEDED: dict[str, tuple[str, ...]] = {
    "list_jobs": ("view-table",),
    "read_job": ("view-table",),
    "list_job_events": ("view-table",),
    "list_job_changes": ("view-table",),
    "list_job_files": ("view-table",),
    "list_job_uploads": ("view-table",),
    "list_job_versions": ("view-table",),
    "create_jobs": ("create-job",),
    "update_job": ("update-job",),
    "patch_job": ("update-job",),
    "delete_job": ("delete-job",),
    "claim_job": ("update-job",),
    "heartbeat_job": ("update-job",),
    "add_job_file": ("update-job",),
    "delete_job_file": ("update-job",),
    "add_job_upload": ("update-job",),
    "act_on_jobs": ("view-table", "delete-job"),
    "undo_jobs": ("create-job",),
    "duplicate_job": ("create-job",),
    "restore_job": ("create-job", "update-job"),
}
CASES = [
    pytest.param(route, resource, id=f"{resource.name}-{route.handler.__name__}")
    for route in ROUTES
    for resource in route.resources.values()
]


def needed(endpoint: str, resource: Resource) -> tuple[str, ...]:
    """What the endpoint asks for; to undo a deletion is to create, everything else an update."""
    if endpoint == "undo_jobs" and resource.queue:
        return ("update-job",)
    return NEEDED[endpoint]


def headers_of(actor: str) -> dict[str, str]:
    if actor == "anonymous":
        return {"Authorization": ""}
    if actor == "narrowed":
        return token_of("worker", *NARROWED)
    token_id, token = tokens.create("worker" if actor == "revoked" else actor)
    if actor == "revoked":
        tokens.revoke(token_id)
    return bearer(token)


def lacking(actor: str, needed: tuple[str, ...]) -> str | None:
    """The first action that this actor may not take, of those asked for in turn."""
    allowed = {"reader": ("view-table",), "anonymous": ("view-table",), "narrowed": NARROWED}
    return next((action for action in needed if action not in allowed.get(actor, needed)), None)


async def prepare(api: httpx2.AsyncClient, resource: Resource, route: Route) -> Any:
    """A job that the request can be about: its key."""
    if resource is CAMPAIGNS:
        created = await api.post("/api/campaigns", json={"job_name": "Tea"})
        return row_of(created)["id"]
    await api.post(
        f"/api/{resource.name}/bulk", json={"action": "delete", "filter": {"attempts": 0}}
    )
    await api.post(
        f"/api/{resource.name}/bulk", json={"action": "delete", "filter": {"attempts": 1}}
    )
    job = await add(api, resource)
    if route.handler.__name__ == "heartbeat_job":
        await api.post(f"/api/{resource.name}/claim", json={"worker": "w"})
    if route.handler.__name__ == "delete_job_file":
        await api.post("/api/builds/1/files", json=FILE)
    return job["job_id"]


async def body_of(api: httpx2.AsyncClient, resource: Resource, endpoint: str, job_key: Any) -> Any:
    bodies: dict[str, Any] = {
        "create_jobs": {"job_name": "x"} if resource is CAMPAIGNS else {},
        "update_job": {"hook": "x"} if resource is CAMPAIGNS else {"error": "x"},
        "patch_job": {"hook": "x"} if resource is CAMPAIGNS else {"error": "x"},
        "claim_job": {"worker": "w"},
        "heartbeat_job": {"progress": 5},
        "add_job_file": FILE,
        "add_job_upload": UPLOAD,
        "restore_job": {"version": 1},
        "act_on_jobs": {"action": "delete", "filter": {"q": "nothing like it"}},
    }
    if endpoint == "undo_jobs":
        changing: Any = {"action": "delete", "filter": {"job_name": "Tea"}}
        if resource.queue:
            await api.patch(f"/api/{resource.name}/{job_key}", json={"status": "failed"})
            changing = {"action": "retry", "filter": {"status": "failed"}}
        changed = await api.post(f"/api/{resource.name}/bulk", json=changing)
        return {"undo": changed.json()["undo"]}
    return bodies.get(endpoint)


@pytest.mark.parametrize(("route", "resource"), CASES)
async def test_every_operation_for_every_actor(
    api: httpx2.AsyncClient, route: Route, resource: Resource
) -> None:
    endpoint = route.handler.__name__
    for actor in ACTORS:
        job_key = await prepare(api, resource, route)
        path = route.path.format(
            resource=resource.name, key=job_key, file_type="music", filename="a"
        )
        body = await body_of(api, resource, endpoint, job_key)
        options = {} if body is None else {"json": body}
        headers = headers_of(actor)
        answer = await api.request(route.method, path, headers=headers, **options)
        missing = lacking(actor, needed(endpoint, resource))
        if actor == "revoked":
            assert_error(answer, 401, REVOKED)
        elif missing is None:
            assert answer.status_code in route.responses, (actor, answer.text)
            assert answer.status_code != 304
        elif actor == "anonymous":
            assert_error(answer, 401, SIGN_IN)
        else:
            assert_error(answer, 403, f"Permission denied: you may not {missing} here")
        assert ("www-authenticate" in answer.headers) == (answer.status_code == 401)


def test_every_endpoint_is_named() -> None:
    assert set(NEEDED) == {route.handler.__name__ for route in ROUTES}


# Datasette's own writing of rows


def row_writes(resource: Resource, job_key: Any) -> Iterator[tuple[str, str, Any, str, int]]:
    """Path, permission, body, and the status of success."""
    table = f"/{resource.database}/{resource.table}"
    new = {"id": "n", "job_name": "x"} if resource is CAMPAIGNS else {"job_id": key(resource, 7)}
    if resource is BUILDS:
        new |= {"run_id": "r7", "run_dir": "runs/r7"}
    changed = {"hook": "new"} if resource is CAMPAIGNS else {"error": "new"}
    yield "insert", f"{table}/-/insert", {"row": new}, "insert-row", 201
    yield "upsert", f"{table}/-/upsert", {"rows": [{**new, **changed}]}, "insert-row", 200
    yield "update", f"{table}/{job_key}/-/update", {"update": changed}, "update-row", 200
    yield "delete", f"{table}/{job_key}/-/delete", {}, "delete-row", 200


@pytest.mark.parametrize("name", RESOURCES)
@pytest.mark.parametrize("actor", [*ACTORS, "limited"])
async def test_rows_written_by_datasette(api: httpx2.AsyncClient, actor: str, name: str) -> None:
    resource = RESOURCES[name]
    new = {"id": "1", "job_name": "x"} if resource is CAMPAIGNS else {"job_id": key(resource, 1)}
    created = await api.post(f"/api/{name}", json=new)
    job_key = row_of(created)[resource.key]
    headers = token_of("worker", "update-row") if actor == "limited" else headers_of(actor)
    before = (await api.get(f"/api/{name}/changes")).json()
    for _, path, body, permission, success in row_writes(resource, job_key):
        answer = await api.post(path, json=body, headers=headers)
        may = actor in ("worker", "root") or (actor == "limited" and permission == "update-row")
        if may:
            assert answer.status_code == success, answer.text
        else:
            assert answer.status_code == (401 if actor == "revoked" else 403), answer.text
            assert answer.json()["ok"] is False
    after = (await api.get(f"/api/{name}/changes")).json()
    told = [(row["operation"], row["actor"]) for row in after["rows"]]
    expected = {
        "worker": [("insert", "worker"), ("update", "worker"), ("delete", "worker")],
        "root": [("insert", "root"), ("update", "root"), ("delete", "root")],
        "limited": [("update", "worker")],
    }
    assert list(dict.fromkeys(told[1:])) == expected.get(actor, [])
    assert actor in expected or after == before


async def test_datasette_obeys_the_life_cycle(api: httpx2.AsyncClient, queue: Resource) -> None:
    await add(api, queue, status="completed")
    path = f"/{queue.database}/{queue.table}/{key(queue, 1)}/-/update"
    for changes, status, message in (
        ({"status": "queued"}, 409, f"{queue.table}.status: cannot go "),
        ({"progress": 101}, 400, f"{queue.table}.progress: must be a"),
        ({"status": "lost"}, 400, f"{queue.table}.status: must be one of "),
    ):
        answer = await api.post(path, json={"update": changes})
        assert (answer.status_code, answer.json()["status"]) == (status, status)
        assert answer.json()["errors"][0].startswith(message)
    kept = row_of(await api.get(f"/api/{queue.name}/{key(queue, 1)}"))
    assert (kept["status"], kept["progress"]) == ("completed", 100)


async def test_datasette_sets_what_the_life_cycle_sets(
    api: httpx2.AsyncClient, queue: Resource
) -> None:
    await add(api, queue)
    path = f"/{queue.database}/{queue.table}/{key(queue, 1)}/-/update"
    moved = await api.post(path, json={"update": {"status": "failed"}}, headers=token_of("worker"))
    assert moved.status_code == 200
    events = (await api.get(f"/api/{queue.name}/{key(queue, 1)}/events")).json()["rows"]
    assert (events[0]["status_to"], events[0]["actor"]) == ("failed", "worker")


async def test_tables_that_only_we_write_are_closed(api: httpx2.AsyncClient) -> None:
    await add(api, BUILDS)
    for table, row in (
        ("job_events", {"job_id": 1, "status_to": "completed"}),
        ("set_aside", {"table_name": "x", "reason": "x"}),
        ("idempotency_keys", {"actor": "root", "key": "x"}),
        ("job_changes", {"job_id": 1, "operation": "delete", "at": "x"}),
        ("job_states", {"job_id": 1, "lease": "x"}),
        ("write_context", {"id": 1}),
    ):
        for headers in (headers_of("worker"), headers_of("reader")):
            path = f"/yt-builder/{table}/-/insert"
            answer = await api.post(path, json={"row": row}, headers=headers)
            refusal = (answer.status_code, answer.json()["error"])
            served = table in ("job_events", "set_aside")
            assert refusal == ((403, "Permission denied") if served else (404, "Table not found"))


async def test_datasette_tells_when_to_try_again(api: httpx2.AsyncClient) -> None:
    """A writer outside holds the lock: another try may do, so it is no bad request."""
    await add(api, BUILDS)
    with closing(sqlite3.connect(database_path("yt-builder"), isolation_level=None)) as outside:
        outside.execute("begin immediate")
        path = "/yt-builder/jobs/1/-/update"
        answer = await api.post(path, json={"update": {"current_step": "cut"}})
    assert_error(answer, 503, "database is locked")
    assert answer.headers["retry-after"] == "1"


async def test_going_back_needs_sight_of_the_history(data_dir: Path) -> None:
    config = metadata()
    tables = config["databases"]["campaigns"]["tables"]
    tables["job_history"].setdefault("permissions", {})["view-table"] = {"id": "root"}
    async with jobs_client(config=config) as api:
        await api.post("/api/campaigns", json={"id": "a", "job_name": "x"})
        address, body = "/api/campaigns/a/restore", {"version": 1}
        denied = await api.post(address, json=body, headers=token_of("worker"))
        assert_error(denied, 403, "Permission denied: you may not view-table here")
        assert (await api.post(address, json=body)).status_code == 200
