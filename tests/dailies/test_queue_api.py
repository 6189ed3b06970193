"""Builds and presentations over HTTP: what both queues have in common with any REST API."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx2
import pytest
from jobs_client import OUR_TIME, add, assert_error, finished, key, row_of, running
from life_cycles import LIFE_CYCLES

from dailies.api.resources import BUILDS, PRESENTATIONS, Resource

STATUSES = {
    "builds": "'preparing', 'queued', 'running', 'completed', 'failed' or 'cancelled'",
    "presentations": "'queued', 'processing', 'completed' or 'failed'",
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "builds": {
        "status": "preparing",
        "current_step": None,
        "config": None,
        "output_file": None,
        "started_at": None,
        "finished_at": None,
    },
    "presentations": {
        "status": "queued",
        "video_url": None,
        "thumbnail_url": None,
        "slide_image_path": None,
        "created_files": [],
        "completed_at": None,
        "current_step": None,
    },
}
SHARED = {"progress": 0, "error": None, "worker": None, "last_heartbeat": None, "attempts": 0}
MADE_UP = {
    "builds": ("job_id", "run_id", "run_dir", "created_at"),
    "presentations": ("created_at",),
}
BAD_VALUES: dict[str, list[tuple[str, Any, str]]] = {
    "builds": [
        ("job_id", "7", 'must be a valid integer, not "7"'),
        ("job_id", 2**53, f'must be less than or equal to {2**53 - 1}, not "{2**53}"'),
        ("progress", 50.5, 'must be a valid integer, not "50.5"'),
        ("config", [1], "must be a valid dictionary, not a list"),
        ("config", "{}", 'must be a valid dictionary, not "{}"'),
        ("run_id", 5, 'must be a valid string, not "5"'),
    ],
    "presentations": [
        ("job_id", 7, 'must be a valid string, not "7"'),
        ("job_id", "", 'String should have at least 1 character, not ""'),
        ("created_files", {}, "must be a valid list, not an object"),
        ("video_url", True, 'must be a valid string, not "True"'),
    ],
}
BAD_OF_BOTH: list[tuple[str, Any, str]] = [
    ("progress", -1, 'must be greater than or equal to 0, not "-1"'),
    ("progress", 101, 'must be less than or equal to 100, not "101"'),
    ("attempts", -1, 'must be greater than or equal to 0, not "-1"'),
    ("attempts", 1.5, 'must be a valid integer, not "1.5"'),
    ("error", ["x"], "must be a valid string, not a list"),
    ("created_at", "yesterday", 'must be a time such as 2026-11-20T07:15:00Z, not "yesterday"'),
    ("last_heartbeat", 5, 'must be a valid string, not "5"'),
]
CHANGES: dict[str, dict[str, Any]] = {
    "builds": {"current_step": "mixing – ü", "config": {"scenes": [1, {"a": None}]}},
    "presentations": {"video_url": "https://video.example/1", "created_files": ["a", {"b": 1}]},
}


def path(queue: Resource, number: int = 1) -> str:
    return f"/api/{queue.name}/{key(queue, number)}"


def columns(queue: Resource) -> list[str]:
    return list(queue.columns)


async def ids(api: httpx2.AsyncClient, queue: Resource, query: str = "") -> list[Any]:
    answer = await api.get(f"/api/{queue.name}?{query}")
    assert answer.status_code == 200, answer.text
    return [row["job_id"] for row in answer.json()["rows"]]


# Create and read


async def test_a_new_job_has_every_column(api: httpx2.AsyncClient, queue: Resource) -> None:
    created = await api.post(f"/api/{queue.name}", json={})
    assert created.status_code == 201
    job = row_of(created)
    assert list(job) == columns(queue)
    assert {name: job[name] for name in DEFAULTS[queue.name]} == DEFAULTS[queue.name]
    assert {name: job[name] for name in SHARED} == SHARED
    assert all(job[name] for name in MADE_UP[queue.name])
    assert re.fullmatch(OUR_TIME, job["created_at"])
    assert created.headers["location"] == f"/api/{queue.name}/{job['job_id']}"
    read = await api.get(created.headers["location"])
    assert (read.json()["rows"], read.headers["etag"]) == ([job], created.headers["etag"])


async def test_null_is_the_default(api: httpx2.AsyncClient, queue: Resource) -> None:
    nulls = dict.fromkeys(columns(queue))
    job = row_of(await api.post(f"/api/{queue.name}", json=nulls))
    expected = {**DEFAULTS[queue.name], **SHARED}
    assert {name: job[name] for name in expected} == expected


async def test_a_job_is_stored_as_it_was_sent(api: httpx2.AsyncClient, queue: Resource) -> None:
    sent = {
        "job_id": key(queue, 5),
        "status": running(queue),
        "progress": 40,
        "worker": "w1",
        "attempts": 2,
        "created_at": "2025-01-01T12:00:00+02:00",
        **CHANGES[queue.name],
    }
    job = row_of(await api.post(f"/api/{queue.name}", json=sent))
    assert {name: job[name] for name in sent} == {**sent, "created_at": "2025-01-01T10:00:00.000Z"}


async def test_builds_get_numbers_that_none_had(api: httpx2.AsyncClient) -> None:
    first = row_of(await api.post("/api/builds", json={}))
    await api.delete(f"/api/builds/{first['job_id']}")
    second = row_of(await api.post("/api/builds", json={}))
    assert second["job_id"] == first["job_id"] + 1
    assert second["run_dir"] == f"runs/{second['run_id']}"


async def test_the_largest_number_is_not_the_last(api: httpx2.AsyncClient) -> None:
    await add(api, BUILDS, 2**53 - 1)
    following = [row_of(await api.post("/api/builds", json={})) for _ in range(2)]
    assert [job["job_id"] for job in following] == [2**53, 2**53 + 1]
    assert row_of(await api.put(f"/api/builds/{2**53}", json=following[0])) == following[0]


async def test_a_key_exists_once(api: httpx2.AsyncClient, queue: Resource) -> None:
    job = await add(api, queue)
    name = f"job 1 ({job['run_id']})" if queue is BUILDS else 'job "p1"'
    again = {"job_id": job["job_id"], **({"run_id": job["run_id"]} if queue is BUILDS else {})}
    answer = await api.post(f"/api/{queue.name}", json=again)
    assert_error(answer, 409, f"{name} already exists")
    assert row_of(await api.get(path(queue))) == job


async def test_keys_match_whole(api: httpx2.AsyncClient, queue: Resource) -> None:
    await add(api, queue)
    for text in ("2", "01", "+1", "1.0", "x", "1%0A", "p1%0A", "%C2%B9", "9" * 30, "-0"):
        answer = await api.get(f"/api/{queue.name}/{text}")
        assert answer.status_code == 404
        assert answer.json()["error"].startswith("There is no job ")


async def test_presentations_have_any_key(api: httpx2.AsyncClient) -> None:
    for name in ("a/b", "ü ?#%", "claim", "bulk", "changes", "undo", "%63laim", "1\n"):
        created = await api.post("/api/presentations", json={"job_id": name})
        read = await api.get(created.headers["location"])
        assert read.json() == created.json()
        assert row_of(read)["job_id"] == name
        assert (await api.delete(created.headers["location"])).status_code == 204


# Bad fields and values


async def test_every_bad_value_is_named(api: httpx2.AsyncClient, queue: Resource) -> None:
    status = ("status", "gone", f'must be {STATUSES[queue.name]}, not "gone"')
    bad = [*BAD_VALUES[queue.name], *BAD_OF_BOTH, status]
    for name, value, message in bad:
        answer = await api.post(f"/api/{queue.name}", json={name: value})
        assert_error(answer, 400, f"{queue.table}.{name}: {message}")
    together = {"colour": 1, **{name: value for name, value, _ in bad}}
    last = {name: message for name, _, message in bad}
    answer = await api.post(f"/api/{queue.name}", json=together)
    expected = {f"{queue.table}.{name}: {message}" for name, message in last.items()}
    expected.add(f"{queue.table}.colour: there is no such field")
    assert (answer.status_code, set(answer.json()["errors"])) == (400, expected)
    assert await ids(api, queue) == []


async def test_a_change_is_judged_like_a_new_job(api: httpx2.AsyncClient, queue: Resource) -> None:
    job = await add(api, queue)
    for name, value, message in [*BAD_VALUES[queue.name], *BAD_OF_BOTH]:
        if name == "job_id":
            continue  # it cannot be changed at all
        for method in ("PUT", "PATCH"):
            answer = await api.request(method, path(queue), json={name: value})
            assert_error(answer, 400, f"{queue.table}.{name}: {message}")
    unknown = await api.put(path(queue), json={"colour": 1, "size": None})
    messages = [f"{queue.table}.{name}: there is no such field" for name in ("colour", "size")]
    assert_error(unknown, 400, *messages)
    other = key(queue, 2)
    renamed = await api.put(path(queue), json={"job_id": other})
    assert_error(renamed, 400, f'job_id: is "{key(queue, 1)}" and cannot be changed')
    assert row_of(await api.get(path(queue))) == job


async def test_null_where_none_may_be(api: httpx2.AsyncClient, queue: Resource) -> None:
    job = await add(api, queue)
    for name in ("status", "created_at", *(("run_id", "run_dir") if queue is BUILDS else ())):
        for method in ("PUT", "PATCH"):
            answer = await api.request(method, path(queue), json={name: None})
            assert answer.status_code == 400
            assert answer.json()["error"].startswith(f"{queue.table}.{name}: must be ")
    assert row_of(await api.get(path(queue))) == job


async def test_a_list_is_all_or_nothing(api: httpx2.AsyncClient, queue: Resource) -> None:
    await add(api, queue, 9)
    jobs: list[dict[str, Any]] = [
        {"job_id": key(queue, 1)},
        {"progress": 101, "colour": 1},
        {"job_id": key(queue, 9)},
        {"job_id": key(queue, 1)},
    ]
    answer = await api.post(f"/api/{queue.name}", json=jobs)
    assert answer.status_code == 400
    first, second, third, fourth = answer.json()["errors"]
    table = queue.table
    assert first == f'2 of 4: {table}.progress: must be less than or equal to 100, not "101"'
    assert second == f"2 of 4: {table}.colour: there is no such field"
    assert re.fullmatch(r"3 of 4: job .* already exists", third)
    assert re.fullmatch(r"4 of 4: job .* already exists", fourth)
    conflict = await api.post(f"/api/{queue.name}", json=[jobs[0], jobs[2]])
    assert conflict.status_code == 409
    assert conflict.json()["error"].startswith("2 of 2: job ")
    assert await ids(api, queue) == [key(queue, 9)]
    created = await api.post(f"/api/{queue.name}", json=[jobs[0], {}, {}])
    assert (created.status_code, len(created.json()["rows"])) == (201, 3)
    assert {"etag", "location"}.isdisjoint(created.headers)


# Conditional requests


async def test_entity_tags(api: httpx2.AsyncClient, queue: Resource) -> None:
    await add(api, queue)
    tag = (await api.get(path(queue))).headers["etag"]
    known = await api.get(path(queue), headers={"If-None-Match": f'"x", W/{tag}'})
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", tag)
    changed = await api.put(path(queue), json={"error": "x"}, headers={"If-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
    for method in ("PUT", "PATCH", "DELETE"):
        body = {} if method == "DELETE" else {"json": {"error": "y"}}
        answer = await api.request(method, path(queue), headers={"If-Match": tag}, **body)
        assert_error(answer, 412, "The job has changed since you read it")
        assert answer.headers["etag"] == changed.headers["etag"]
    assert (await api.get(path(queue))).json() == changed.json()
    there = await api.put(path(queue), json={"error": "z"}, headers={"If-None-Match": "*"})
    assert_error(there, 412, "The job still has the ETag in If-None-Match")
    gone = await api.delete(path(queue), headers={"If-Match": changed.headers["etag"]})
    assert (gone.status_code, gone.content) == (204, b"")
    for method in ("PUT", "PATCH", "DELETE", "GET"):
        body = {"json": {}} if method in ("PUT", "PATCH") else {}
        answer = await api.request(method, path(queue), headers={"If-Match": "*"}, **body)
        assert_error(answer, 404, f'There is no job "{key(queue, 1)}"')


# Changes


async def test_a_whole_job_sent_back_changes_nothing(
    api: httpx2.AsyncClient, queue: Resource
) -> None:
    job = await add(api, queue, **CHANGES[queue.name])
    before = (await api.get(f"/api/{queue.name}/changes")).json()
    for method in ("PUT", "PATCH"):
        answer = await api.request(method, path(queue), json=job)
        assert (answer.status_code, row_of(answer)) == (200, job)
    assert (await api.get(f"/api/{queue.name}/changes")).json() == before


async def test_given_fields_replace_and_others_stay(
    api: httpx2.AsyncClient, queue: Resource
) -> None:
    job = await add(api, queue, error="old")
    changed = await api.put(path(queue), json={**CHANGES[queue.name], "error": None})
    assert row_of(changed) == {**job, **CHANGES[queue.name], "error": None}


@pytest.mark.parametrize(
    ("before", "patch", "after"),
    [
        ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": None}}, {"a": 1, "b": {"d": 3}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": 1}}, {"a": "text", "n": {"m": None}}, {"a": "text", "n": {}}),
        ({"a": 1}, None, None),
        (None, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
    ],
)
async def test_config_is_patched_inside(
    api: httpx2.AsyncClient, before: Any, patch: Any, after: Any
) -> None:
    job = await add(api, BUILDS, config=before)
    headers = {"Content-Type": "application/merge-patch+json"}
    body = json.dumps({"config": patch})
    answer = await api.patch("/api/builds/1", content=body, headers=headers)
    assert row_of(answer) == {**job, "config": after}
    replaced = await api.put("/api/builds/1", json={"config": {"only": 1}})
    assert row_of(replaced)["config"] == {"only": 1}


# The life cycle


async def test_a_forbidden_change_of_status_names_both(
    api: httpx2.AsyncClient, queue: Resource
) -> None:
    cycle = LIFE_CYCLES[queue.database]
    number = 0
    for source in cycle.names:
        for target in cycle.names:
            number += 1
            job = await add(api, queue, number, status=source)
            answer = await api.patch(path(queue, number), json={"status": target, "error": "x"})
            if cycle.allows(source, target):
                assert (answer.status_code, row_of(answer)["status"]) == (200, target)
            else:
                message = f"{queue.table}.status: cannot go from {source} to {target}"
                assert_error(answer, 409, message)
                assert row_of(await api.get(path(queue, number))) == job


async def test_the_life_cycle_sets_times_and_progress(
    api: httpx2.AsyncClient, queue: Resource
) -> None:
    await add(api, queue)
    started = row_of(await api.patch(path(queue), json={"status": running(queue)}))
    assert re.fullmatch(OUR_TIME, started["last_heartbeat"])
    assert (started["attempts"], started[finished(queue)]) == (1, None)
    if queue is BUILDS:
        assert re.fullmatch(OUR_TIME, started["started_at"])
    done = {"status": "completed", "progress": 30}
    ended = row_of(await api.patch(path(queue), json=done))
    assert re.fullmatch(OUR_TIME, ended[finished(queue)])
    assert ended["progress"] == 100
    events = (await api.get(f"{path(queue)}/events")).json()["rows"]
    assert [(event["status_from"], event["status_to"], event["actor"]) for event in events] == [
        (running(queue), "completed", "root"),
        ("queued", running(queue), "root"),
        (None, "queued", "root"),
    ]


# Lists


async def test_lists_filter_search_and_sort(api: httpx2.AsyncClient, queue: Resource) -> None:
    await add(api, queue, 1, error="Über 50%_off", created_at="2025-01-01T10:00:00+02:00")
    await add(api, queue, 2, error="nothing", created_at="2025-01-01T09:00:00Z")
    await add(api, queue, 3, status="failed", worker="w", created_at="2024-01-01T00:00:00Z")
    one, two, three = (key(queue, number) for number in (1, 2, 3))
    for query, expected in {
        "": [two, one, three],
        "_sort=created_at": [three, one, two],
        "_sort=job_id": [one, two, three],
        "status=failed": [three],
        "worker=w&status=queued": [],
        "created_at=2025-01-01T08:00:00Z": [one],
        f"job_id={two}": [two],
        "q=NOTHING": [two],
        "q=%C3%9Cber+off": [one],
        "q=50%25_": [one],
        "q=5_%25": [],
    }.items():
        assert await ids(api, queue, query) == expected, query
    first = (await api.get(f"/api/{queue.name}?_size=2")).json()
    second = (await api.get(first["next_url"])).json()
    assert [row["job_id"] for row in first["rows"] + second["rows"]] == [two, one, three]
    assert second["next"] is None
    known = ", ".join((*queue.columns, "q", "_sort", "_size", "_next"))
    answer = await api.get(f"/api/{queue.name}?colour=red&_x=1")
    unknown = (f'unknown parameter "{name}": use one of {known}' for name in ("colour", "_x"))
    assert_error(answer, 400, *unknown)


# Methods


async def test_other_methods_are_named(api: httpx2.AsyncClient, queue: Resource) -> None:
    methods = {
        f"/api/{queue.name}": "GET, POST, HEAD, OPTIONS",
        f"/api/{queue.name}/claim": "POST, OPTIONS",
        f"/api/{queue.name}/bulk": "POST, OPTIONS",
        f"/api/{queue.name}/changes": "GET, HEAD, OPTIONS",
        path(queue): "GET, PUT, PATCH, DELETE, HEAD, OPTIONS",
        f"{path(queue)}/heartbeat": "POST, OPTIONS",
        f"{path(queue)}/events": "GET, HEAD, OPTIONS",
    }
    if queue is BUILDS:
        methods |= {
            f"{path(queue)}/files": "GET, POST, HEAD, OPTIONS",
            f"{path(queue)}/files/videos/a.mp4": "DELETE, OPTIONS",
            f"{path(queue)}/uploads": "GET, POST, HEAD, OPTIONS",
        }
    for address, allow in methods.items():
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"):
            if method in allow:
                continue
            answer = await api.request(method, address)
            assert_error(answer, 405, f"{method} is not allowed here: use one of {allow}")
            assert answer.headers["allow"] == allow
    for nothing in ("history", "duplicate", "restore", "heartbeat/", "files/videos"):
        answer = await api.get(f"{path(queue)}/{nothing}")
        assert_error(answer, 404, "Not found: no resource has this path")


async def test_the_same_job_is_in_datasette_and_in_the_api(api: httpx2.AsyncClient) -> None:
    job = await add(api, PRESENTATIONS, created_files=["a"])
    row = (await api.get("/presentation_jobs/presentation_jobs/p1.json?_shape=array")).json()
    [row] = row if isinstance(row, list) else row["rows"]
    assert {**row, "created_files": json.loads(row["created_files"])} == job


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("created_at=yesterday", "must be a time such as 2026-11-20T07:15:00Z"),
        ("progress=half", "must be a number"),
    ],
)
async def test_filters_that_nothing_can_match(
    api: httpx2.AsyncClient, queue: Resource, question: str, message: str
) -> None:
    column, _, value = question.partition("=")
    answer = await api.get(f"/api/{queue.name}?{question}")
    assert_error(answer, 400, f'{column}: {message}, not "{value}"')


async def test_flags_are_filtered_by_their_words(api: httpx2.AsyncClient) -> None:
    await api.post("/api/campaigns", json={"id": "a", "job_name": "x", "enabled": False})
    for word, found in (("false", 1), ("0", 1), ("true", 0), ("1", 0)):
        assert len((await api.get(f"/api/campaigns?enabled={word}")).json()["rows"]) == found
    wrong = await api.get("/api/campaigns?enabled=maybe")
    assert_error(wrong, 400, 'enabled: must be true, false, 1 or 0, not "maybe"')
