from __future__ import annotations

import asyncio
import base64
import json
import socket
import sqlite3
import string
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from urllib.parse import quote

import pytest
from datasette.app import Datasette
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from in_process import metadata, serving
from jobs_client import REVOKED, SIGN_IN, assert_error, bearer
from server_process import ServerProcess

from dailies.auth import tokens
from dailies.datasette_compat import signed_session
from loaders import open_database
from loaders.connections import connect
from loaders.registry import database_path

ACTORS = ("anonymous", "reader", "worker", "narrowed", "revoked", "root")
JOB = {
    "id": "spring 1/ü",
    "job_name": "Matcha – spring 🍵",
    "product": "Matcha Starter Kit",
    "enabled": True,
    "overlays": [{"text": "No jitters", "size": 23.625, "none": None}],
    "big": 2**80,
}
ADDRESS = f"/api/campaigns/{quote(JOB['id'], safe='')}"
MISSING = "/api/campaigns/nobody"


def denied(action: str) -> str:
    return f"Permission denied: you may not {action} here"


@pytest.fixture
def datasette(empty_site: Datasette) -> Datasette:
    return empty_site


@pytest.fixture
def token() -> str:
    return tokens.create("root")[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A real server for the tests of this module that need one."""
    with ServerProcess(tmp_path_factory.mktemp("server") / "data") as server:
        yield server


async def ask(datasette: Datasette, method: str, path: str, **options: Any) -> Any:
    return await datasette.client.request(method, path, avoid_path_rewrites=True, **options)


async def create(datasette: Datasette, token: str, job: Any) -> Any:
    answer = await ask(datasette, "POST", "/api/campaigns", json=job, headers=bearer(token))
    assert answer.status_code == 201, answer.text
    return answer


def without_times(job: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in job.items() if key not in ("created_at", "updated_at")}


# Who may do what


REQUESTS: dict[str, tuple[str, str, Any]] = {
    "list": ("GET", "/api/campaigns", None),
    "read": ("GET", ADDRESS, None),
    "history": ("GET", f"{ADDRESS}/history", None),
    "create": ("POST", "/api/campaigns", {"job_name": "New"}),
    "create list": ("POST", "/api/campaigns", [{"job_name": "New"}]),
    "update": ("PUT", ADDRESS, {"hook": "New"}),
    "patch": ("PATCH", ADDRESS, {"hook": "New"}),
    "delete": ("DELETE", ADDRESS, None),
    "duplicate": ("POST", f"{ADDRESS}/duplicate", None),
    "restore": ("POST", f"{ADDRESS}/restore", {"version": 1}),
}
NEEDED = {
    "list": "view-table",
    "read": "view-table",
    "history": "view-table",
    "create": "create-job",
    "create list": "create-job",
    "update": "update-job",
    "patch": "update-job",
    "delete": "delete-job",
    "duplicate": "create-job",
    "restore": "create-job",
}
SUCCESS = {"create": 201, "create list": 201, "duplicate": 201, "delete": 204}


def verdict(actor: str, name: str) -> tuple[int, str]:
    """Status and message; the narrowed token is a worker's for creating and updating."""
    needed = NEEDED[name]
    success = (SUCCESS.get(name, 200), "")
    if actor == "revoked":
        return 401, REVOKED
    if actor in ("root", "worker"):
        return success
    if actor == "narrowed":
        return success if needed in ("create-job", "update-job") else (403, denied(needed))
    if needed == "view-table":
        return success
    return (401, SIGN_IN) if actor == "anonymous" else (403, denied(needed))


def headers_of(actor: str) -> dict[str, str]:
    if actor == "anonymous":
        return {}
    if actor == "narrowed":
        return bearer(tokens.create("worker", ["create-job", "update-job"])[1])
    token_id, token = tokens.create("worker" if actor == "revoked" else actor)
    if actor == "revoked":
        tokens.revoke(token_id)
    return bearer(token)


@pytest.mark.parametrize("actor", ACTORS)
async def test_who_may_do_what(datasette: Datasette, token: str, actor: str) -> None:
    headers = headers_of(actor)
    await create(datasette, token, JOB)
    for name, (method, path, document) in REQUESTS.items():
        body = {} if document is None else {"json": document}
        answer = await ask(datasette, method, path, headers=headers, **body)
        status, message = verdict(actor, name)
        assert answer.status_code == status, (name, answer.text)
        if message:
            assert_error(answer, status, message)
        if status == 401:
            assert answer.headers["www-authenticate"].startswith("Bearer")
        if name == "delete" and status == 204:
            await create(datasette, token, JOB)


@pytest.mark.parametrize("actor", ["anonymous", "reader"])
async def test_nobody_reads_a_private_table(data_dir: Any, token: str, actor: str) -> None:
    open_database("campaigns").close()
    config = metadata()
    config["databases"]["campaigns"]["tables"]["jobs"]["allow"] = {"id": "root"}
    config["databases"]["campaigns"]["tables"]["job_history"]["allow"] = {"id": "root"}
    expected = (401, SIGN_IN) if actor == "anonymous" else (403, denied("view-table"))
    with serving(config=config) as datasette:
        await create(datasette, token, JOB)
        for path in ("/api/campaigns", ADDRESS, MISSING, f"{ADDRESS}/history"):
            answer = await ask(datasette, "GET", path, headers=headers_of(actor))
            assert_error(answer, *expected)


async def test_a_token_for_writing_reads_only_what_everybody_does(
    data_dir: Any, token: str
) -> None:
    open_database("campaigns").close()
    config = metadata()
    config["databases"]["campaigns"]["tables"]["jobs"]["allow"] = {"id": ["root", "worker"]}
    with serving(config=config) as datasette:
        await create(datasette, token, JOB)
        narrowed = headers_of("narrowed")
        update = await ask(datasette, "PUT", ADDRESS, json={"hook": "x"}, headers=narrowed)
        assert (update.status_code, update.json()) == (200, {"ok": True, "rows": []})
        copy = await ask(datasette, "POST", f"{ADDRESS}/duplicate", headers=narrowed)
        assert_error(copy, 403, denied("view-table"))


async def test_without_configuration_nobody_writes(data_dir: Any, token: str) -> None:
    open_database("campaigns").close()
    with serving(config={"settings": {}}) as datasette:
        answer = await ask(
            datasette, "POST", "/api/campaigns", json={"job_name": "x"}, headers=bearer(token)
        )
        assert_error(answer, 403, denied("create-job"))


async def test_revoking_counts_at_once(datasette: Datasette) -> None:
    token_id, token = tokens.create("worker")
    await create(datasette, token, JOB)
    tokens.revoke(token_id)
    for method, path, document in REQUESTS.values():
        answer = await ask(datasette, method, path, json=document, headers=bearer(token))
        assert_error(answer, 401, REVOKED)


async def test_permissions_are_cached_for_each_actor(datasette: Datasette, token: str) -> None:
    await create(datasette, token, JOB)
    for actor in (*ACTORS, *reversed(ACTORS)):
        answer = await ask(
            datasette, "PUT", ADDRESS, json={"hook": actor}, headers=headers_of(actor)
        )
        assert answer.status_code == verdict(actor, "update")[0]


async def test_skipped_permission_checks_are_not_remembered(datasette: Datasette) -> None:
    job = {"job_name": "x"}
    skipped = await datasette.client.post("/api/campaigns", json=job, skip_permission_checks=True)
    assert skipped.status_code == 201
    assert_error(await datasette.client.post("/api/campaigns", json=job), 401, SIGN_IN)


async def test_other_sites_cannot_write_with_a_cookie(datasette: Datasette, token: str) -> None:
    actor = tokens.verify(token)
    session = tokens.start_session(actor["token"], 60)
    cookies = {"ds_actor": signed_session(datasette, actor, session, 60)}
    assert (await ask(datasette, "DELETE", MISSING, cookies=cookies)).status_code == 404
    await create(datasette, token, JOB)
    for name, (method, path, document) in REQUESTS.items():
        if method == "GET":
            continue
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
            answer = await ask(
                datasette, method, path, json=document, headers=headers, cookies=cookies
            )
            assert_error(answer, 403, "Requests from other sites are refused"), name
    read = (await ask(datasette, "GET", ADDRESS)).json()["rows"][0]
    assert without_times(read) == JOB


# Create and read


async def test_a_job_comes_back_as_it_was_sent(datasette: Datasette, token: str) -> None:
    created = await create(datasette, token, JOB)
    read = await ask(datasette, "GET", created.headers["location"])
    assert created.headers["location"] == ADDRESS
    assert read.json()["rows"] == created.json()["rows"]
    assert without_times(read.json()["rows"][0]) == JOB
    assert list(read.json()["rows"][0]) == [*JOB, "created_at", "updated_at"]
    assert read.headers["etag"] == created.headers["etag"]


async def test_times_that_a_job_says_stay_as_written(datasette: Datasette, token: str) -> None:
    job = {
        "id": "1",
        "job_name": "x",
        "created_at": "2025-01-01 10:00:00+02:00",
        "updated_at": None,
    }
    created = (await create(datasette, token, job)).json()["rows"][0]
    assert created["created_at"] == "2025-01-01 10:00:00+02:00"
    assert created["updated_at"].endswith("Z")
    assert sorted(created) == sorted(job)


async def test_a_job_without_an_id_gets_one(datasette: Datasette, token: str) -> None:
    for job in ({"job_name": "x"}, {"job_name": "x", "id": None}, {"job_name": "x", "id": ""}):
        created = await create(datasette, token, job)
        assert len(created.json()["rows"][0]["id"]) == 32


KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(
    lambda key: not key.startswith("!!")
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
JOBS = st.dictionaries(KEYS, VALUES, max_size=5).map(lambda job: {**job, "job_name": "Any"})
IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


def test_any_job_under_any_key_makes_the_round_trip(datasette: Datasette, token: str) -> None:
    taken = set()

    @examples(60)
    @given(IDS, JOBS)
    def check(job_id: str, job: dict[str, Any]) -> None:
        if job_id in taken or job_id in (".", ".."):
            return
        taken.add(job_id)
        job = {**job, "id": job_id}
        asyncio.run(round_trip(datasette, token, job))

    check()


async def round_trip(datasette: Datasette, token: str, job: dict[str, Any]) -> None:
    created = await create(datasette, token, job)
    address = created.headers["location"]
    read = await ask(datasette, "GET", address)
    assert without_times(read.json()["rows"][0]) == without_times(job)
    changed = await ask(
        datasette, "PUT", address, json=read.json()["rows"][0], headers=bearer(token)
    )
    assert without_times(changed.json()["rows"][0]) == without_times(job)
    gone = await ask(datasette, "DELETE", address, headers=bearer(token))
    assert (gone.status_code, gone.content) == (204, b"")


async def test_keys_match_whole(datasette: Datasette, token: str) -> None:
    await create(datasette, token, {"id": "a", "job_name": "x"})
    for key in ("a%0A", "a%00", "%20a", "A", "a%20", "%61%0D"):
        answer = await ask(datasette, "GET", f"/api/campaigns/{key}")
        assert answer.status_code == 404
        assert answer.json()["error"].startswith("There is no job ")
    assert (await ask(datasette, "GET", "/api/campaigns/%61")).status_code == 200
    strange = await ask(datasette, "GET", "/api/campaigns/%FF")
    assert_error(strange, 404, "A path must be UTF-8, percent-encoded")


async def test_a_list_is_stored_whole(datasette: Datasette, token: str) -> None:
    jobs = [{"id": str(number), "job_name": "x"} for number in range(1000)]
    created = await create(datasette, token, jobs)
    assert [without_times(row) for row in created.json()["rows"]] == jobs
    assert "etag" not in created.headers
    assert "location" not in created.headers


async def test_a_list_is_refused_whole(datasette: Datasette, token: str) -> None:
    await create(datasette, token, {"id": "old", "job_name": "x"})
    jobs = [
        {"id": "1", "job_name": "x"},
        {"id": "2", "enabled": "maybe"},
        {"id": "1", "job_name": "x"},
        {"id": "old", "job_name": "x"},
        {"id": ["3"], "job_name": "x"},
    ]
    answer = await ask(datasette, "POST", "/api/campaigns", json=jobs, headers=bearer(token))
    assert_error(
        answer,
        400,
        "2 of 5: jobs.job_name: a job needs a name",
        '2 of 5: jobs.enabled: must be true or false (1 or 0), not "maybe"',
        '3 of 5: A job "1" already exists',
        '4 of 5: A job "old" already exists',
        "5 of 5: jobs.id: must be text, not a list",
    )
    rows = (await ask(datasette, "GET", "/api/campaigns")).json()["rows"]
    assert [row["id"] for row in rows] == ["old"]


async def test_duplicates_alone_are_a_conflict(datasette: Datasette, token: str) -> None:
    await create(datasette, token, JOB)
    one = await ask(datasette, "POST", "/api/campaigns", json=JOB, headers=bearer(token))
    assert_error(one, 409, f'A job "{JOB["id"]}" already exists')
    two = await ask(datasette, "POST", "/api/campaigns", json=[JOB], headers=bearer(token))
    assert_error(two, 409, f'1 of 1: A job "{JOB["id"]}" already exists')


# Hostile bodies


BAD_BODIES = {
    b"": "The body is not JSON: Expecting value: line 1 column 1 (char 0)",
    b'{"a": }': "The body is not JSON: Expecting value: line 1 column 7 (char 6)",
    b'{"a": 1}}': "The body is not JSON: Extra data: line 1 column 9 (char 8)",
    b"5": "The body must be a JSON object or a list of them, not a number",
    b"null": "The body must be a JSON object or a list of them, not null",
    b'"text"': "The body must be a JSON object or a list of them, not a text",
    b"[1, true]": "1 of 2: must be a JSON object, not a number; "
    "2 of 2: must be a JSON object, not a boolean",
    b'{"a": NaN}': "The body is not JSON: NaN is not a JSON number",
    b'{"a": -Infinity}': "The body is not JSON: -Infinity is not a JSON number",
    b'{"a": 1e999}': "The number 1e999 is too large",
    b'{"a": {"b": 1, "b": 2}}': 'The key "b" comes twice in one object',
    b'{"job_name": "\\ud800"}': "A text holds half of a character (a lone surrogate)",
    b'{"\\udfff": 1}': "A text holds half of a character (a lone surrogate)",
    b'{"a": "\xff"}': "The body is not UTF-8: byte 7 is wrong",
    b'{"a": "\xed\xa0\x80"}': "The body is not UTF-8: byte 7 is wrong",
    b'{"a": ' + b"9" * 4301 + b"}": "An integer has more than 4,300 digits",
    b'{"a": ' + b"[" * 200 + b"]" * 200 + b"}": "nested deeper than 200 levels",
    b"[" * 100_000: "The body is nested deeper than 200 levels",
    b'{"a":' * 100_000: "The body is nested deeper than 200 levels",
    b'{"!!python": 1}': 'key "!!python" begins with "!!" but is not a documented form',
    b'{"id": true, "job_name": "x"}': 'jobs.id: must be text, not "True"',
    b'{"id": {}, "job_name": "x"}': "jobs.id: must be text, not an object",
    b"{}": "jobs.job_name: a job needs a name",
    b'{"job_name": "x", "enabled": 7}': 'jobs.enabled: must be true or false (1 or 0), not "7"',
    json.dumps([{}] * 1001).encode(): "A list holds at most 1,000 objects, not 1,001",
}


@pytest.mark.parametrize("body", BAD_BODIES, ids=lambda body: body[:20].decode("latin-1"))
async def test_bad_bodies_are_refused(datasette: Datasette, token: str, body: bytes) -> None:
    headers = bearer(token, **{"Content-Type": "application/json"})
    answer = await ask(datasette, "POST", "/api/campaigns", content=body, headers=headers)
    assert_error(answer, 400, *BAD_BODIES[body].split("; "))
    assert (await ask(datasette, "GET", "/api/campaigns")).json()["rows"] == []


async def test_the_deepest_and_longest_that_fits(datasette: Datasette, token: str) -> None:
    deep: Any = []
    for _ in range(198):
        deep = [deep]
    job = {"id": "1", "job_name": "x", "deep": deep, "long": 10**4299}
    created = await create(datasette, token, job)
    assert without_times(created.json()["rows"][0]) == job


JSON_LIKE = st.text(string.digits + '{}[]":,.eE+-truefalsnu\\d8 \t\n', max_size=60).map(str.encode)


def test_no_body_breaks_the_server(datasette: Datasette, token: str) -> None:
    headers = bearer(token, **{"Content-Type": "application/json"})
    asyncio.run(create(datasette, token, {"id": "1", "job_name": "x"}))

    @examples(60)
    @given(st.binary(max_size=60) | JSON_LIKE | VALUES.map(json.dumps).map(str.encode))
    def check(body: bytes) -> None:
        for method, path in (
            ("POST", "/api/campaigns"),
            ("PUT", "/api/campaigns/1"),
            ("PATCH", "/api/campaigns/1"),
            ("POST", "/api/campaigns/1/restore"),
        ):
            answer = asyncio.run(ask(datasette, method, path, content=body, headers=headers))
            assert answer.status_code in (200, 201, 400, 404, 409)
            strict_json(answer.text)

    check()


def strict_json(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    text.encode()
    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize(
    ("content_type", "message"),
    [
        ("text/plain", 'The Content-Type must be application/json, not "text/plain"'),
        ("", 'The Content-Type must be application/json, not ""'),
        (
            "application/x-www-form-urlencoded",
            'The Content-Type must be application/json, not "application/x-www-form-urlencoded"',
        ),
        ("application/json; charset=latin-1", 'The body must be UTF-8, not "latin-1"'),
    ],
)
async def test_other_content_types_are_refused(
    datasette: Datasette, token: str, content_type: str, message: str
) -> None:
    headers = bearer(token, **{"Content-Type": content_type})
    answer = await ask(datasette, "POST", "/api/campaigns", content=b"{}", headers=headers)
    assert_error(answer, 415, message)


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=UTF-8", "application/json;"]
)
async def test_content_types_of_json(datasette: Datasette, token: str, content_type: str) -> None:
    headers = bearer(token, **{"Content-Type": content_type})
    body = b'{"job_name": "x"}'
    answer = await ask(datasette, "POST", "/api/campaigns", content=body, headers=headers)
    assert answer.status_code == 201


async def test_large_bodies_are_cut_off(datasette: Datasette, token: str) -> None:
    sent = 0

    async def chunks() -> Any:
        nonlocal sent
        for _ in range(30):
            sent += 1
            yield b" " * 1_000_000

    headers = bearer(token, **{"Content-Type": "application/json"})
    announced = await ask(
        datasette, "POST", "/api/campaigns", content=b" " * 10_000_001, headers=headers
    )
    streamed = await ask(datasette, "POST", "/api/campaigns", content=chunks(), headers=headers)
    for answer in (announced, streamed):
        assert_error(answer, 413, "The body is larger than 10,000,000 bytes")
    assert sent == 11


# Update, delete


async def test_put_replaces_the_given_fields(datasette: Datasette, token: str) -> None:
    await create(datasette, token, JOB)
    updates = {"hook": "New", "overlays": [], "product": None}
    answer = await ask(datasette, "PUT", ADDRESS, json=updates, headers=bearer(token))
    assert without_times(answer.json()["rows"][0]) == {**JOB, **updates}
    assert answer.headers["etag"] == (await ask(datasette, "GET", ADDRESS)).headers["etag"]


# The examples of RFC 7396, appendix A, that begin and end with an object.
MERGES = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("before", "patch", "after"), MERGES)
async def test_patch_is_a_json_merge_patch(
    datasette: Datasette, token: str, before: Any, patch: Any, after: Any
) -> None:
    own = {"id": "1", "job_name": "x"}
    await create(datasette, token, {**own, **before})
    headers = bearer(token, **{"Content-Type": "application/merge-patch+json"})
    answer = await ask(
        datasette, "PATCH", "/api/campaigns/1", content=json.dumps(patch), headers=headers
    )
    assert answer.status_code == 200
    assert without_times(answer.json()["rows"][0]) == {**own, **after}


async def test_every_change_stamps_the_job(datasette: Datasette, token: str) -> None:
    job = {**JOB, "updated_at": "2025-01-01T00:00:00Z"}
    before = (await create(datasette, token, job)).json()["rows"][0]
    assert before["updated_at"] == "2025-01-01T00:00:00Z"
    sent_back = await ask(datasette, "PUT", ADDRESS, json=before, headers=bearer(token))
    assert sent_back.json()["rows"][0]["updated_at"] > "2026"
    wished = {"updated_at": "2025-06-01T00:00:00Z"}
    said = await ask(datasette, "PATCH", ADDRESS, json=wished, headers=bearer(token))
    assert said.json()["rows"][0]["updated_at"] == "2025-06-01T00:00:00Z"


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_changes_that_are_refused(datasette: Datasette, token: str, method: str) -> None:
    await create(datasette, token, JOB)

    async def change(document: Any, path: str = ADDRESS) -> Any:
        return await ask(datasette, method, path, json=document, headers=bearer(token))

    assert_error(await change([]), 400, "The body must be a JSON object, not a list")
    assert_error(await change({"id": "2"}), 400, f'id: is "{JOB["id"]}" and cannot be changed')
    assert_error(await change({}, MISSING), 404, 'There is no job "nobody"')
    assert_error(
        await change({"job_name": None, "enabled": "maybe"}),
        400,
        "jobs.job_name: a job needs a name",
        'jobs.enabled: must be true or false (1 or 0), not "maybe"',
    )
    assert without_times((await ask(datasette, "GET", ADDRESS)).json()["rows"][0]) == JOB


async def test_deleting(datasette: Datasette, token: str) -> None:
    await create(datasette, token, JOB)
    gone = await ask(datasette, "DELETE", ADDRESS, headers=bearer(token))
    again = await ask(datasette, "DELETE", ADDRESS, headers=bearer(token))
    assert (gone.status_code, gone.content) == (204, b"")
    assert_error(again, 404, f'There is no job "{JOB["id"]}"')


async def test_histories_name_who_wrote(datasette: Datasette, token: str) -> None:
    worker = bearer(tokens.create("worker")[1])
    await create(datasette, token, {"id": "1", "job_name": "x"})
    await ask(datasette, "PUT", "/api/campaigns/1", json={"hook": "y"}, headers=worker)
    for path, body in (
        ("/campaigns/jobs/1/-/update", {"update": {"hook": "z"}}),
        ("/campaigns/jobs/1/-/delete", {}),
        ("/campaigns/jobs/-/insert", {"row": {"id": "1", "job_name": "again"}}),
    ):
        answer = await ask(datasette, "POST", path, json=body, headers=worker)
        assert answer.json()["ok"] is True
    answer = await ask(datasette, "GET", "/api/campaigns/1/history")
    found = [(row["version"], row["operation"], row["actor"]) for row in answer.json()["rows"]]
    assert found == [
        (5, "insert", "worker"),
        (4, "delete", "worker"),
        (3, "update", "worker"),
        (2, "update", "worker"),
        (1, "insert", "root"),
    ]
    assert answer.json()["rows"][-1]["data"] == {"id": "1", "job_name": "x"}


async def test_a_write_without_an_actor_is_nobodys(datasette: Datasette, token: str) -> None:
    await create(datasette, token, {"id": "1", "job_name": "x"})
    with closing(connect(database_path("campaigns"))) as outside:
        outside.execute("update jobs set hook = 'y'")
    rows = (await ask(datasette, "GET", "/api/campaigns/1/history")).json()["rows"]
    assert [row["actor"] for row in rows] == [None, "root"]


async def test_rules_hold_for_datasettes_own_rows(datasette: Datasette, token: str) -> None:
    await create(datasette, token, {"id": "1", "job_name": "x"})
    for path, body in (
        ("/campaigns/jobs/-/insert", {"row": {"id": "2", "job_name": "x", "enabled": 7}}),
        ("/campaigns/jobs/1/-/update", {"update": {"enabled": 7}}),
    ):
        answer = await ask(datasette, "POST", path, json=body, headers=bearer(token))
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("jobs.enabled: must be true or false (1 or 0)")


async def test_datasettes_own_rows_take_no_blob_as_data(datasette: Datasette, token: str) -> None:
    await create(datasette, token, {"id": "1", "job_name": "x"})
    text = base64.b64encode(b'{"job_name": "y"}').decode()
    blob = {"data": {"$base64": True, "encoded": text}}
    for path, body in (
        ("/campaigns/jobs/-/insert", {"row": {"id": "2", **blob}}),
        ("/campaigns/jobs/1/-/update", {"update": blob}),
    ):
        answer = await ask(datasette, "POST", path, json=body, headers=bearer(token))
        assert answer.status_code == 400
        assert "jobs.data: must be a JSON object, as text" in answer.json()["error"]
    rows = (await ask(datasette, "GET", "/api/campaigns")).json()["rows"]
    assert [(row["id"], row["job_name"]) for row in rows] == [("1", "x")]


@pytest.mark.parametrize(
    "data",
    [
        b'{"id": "old", "job_name": "x\xff"}',
        b'{"id": "old", "job_name": "x\xff", "created_at": null}',
        b'{"id": "old", "job_name": "x\xff", "created_at": "2025", "updated_at": "2025"}',
    ],
)
async def test_a_blob_that_is_there_is_read_as_text(
    datasette: Datasette, token: str, data: bytes
) -> None:
    """No rule was looked at when it was written."""
    with closing(connect(database_path("campaigns"))) as outside:
        outside.execute("insert into jobs (id, job_name) values ('old', 'x')")
        outside.execute("update write_context set paused = 1")
        outside.execute("update jobs set data = ?", (data,))
        outside.execute("update write_context set paused = 0")
    row = (await ask(datasette, "GET", "/api/campaigns/old")).json()["rows"][0]
    assert row["job_name"] == "x\ufffd"
    assert (await ask(datasette, "GET", "/api/campaigns")).json()["rows"] == [row]
    changed = await ask(
        datasette, "PUT", "/api/campaigns/old", json={"hook": "y"}, headers=bearer(token)
    )
    assert changed.status_code == 200, changed.text
    assert changed.json()["rows"][0]["hook"] == "y"


@pytest.mark.parametrize("body", [b"\xff", b"[" * 100_000])
async def test_datasettes_own_rows_survive_bad_bodies(
    datasette: Datasette, token: str, body: bytes
) -> None:
    answer = await ask(
        datasette, "POST", "/campaigns/jobs/-/insert", content=body, headers=bearer(token)
    )
    assert_error(answer, 400, "The body cannot be read as JSON")


# Conditions


async def test_a_known_job_is_not_sent_again(datasette: Datasette, token: str) -> None:
    etag = (await create(datasette, token, JOB)).headers["etag"]
    for header in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = await ask(datasette, "GET", ADDRESS, headers={"If-None-Match": header})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == etag
    other = await ask(datasette, "GET", ADDRESS, headers={"If-None-Match": '"other"'})
    assert other.status_code == 200


@pytest.mark.parametrize("name", ["update", "patch", "delete"])
async def test_a_job_that_changed_is_left_alone(
    datasette: Datasette, token: str, name: str
) -> None:
    method, path, document = REQUESTS[name]
    old = (await create(datasette, token, JOB)).headers["etag"]
    await ask(datasette, "PUT", path, json={"hook": "x"}, headers=bearer(token))
    current = (await ask(datasette, "GET", path)).headers["etag"]
    for header in (old, f"W/{current}", "nonsense", ""):
        answer = await ask(
            datasette, method, path, json=document, headers=bearer(token, **{"If-Match": header})
        )
        assert_error(answer, 412, "The job has changed since you read it")
        assert answer.headers["etag"] == current
    refused = await ask(
        datasette, method, path, json=document, headers=bearer(token, **{"If-None-Match": "*"})
    )
    assert_error(refused, 412, "The job still has the ETag in If-None-Match")
    done = await ask(
        datasette, method, path, json=document, headers=bearer(token, **{"If-Match": current})
    )
    assert done.status_code == verdict("root", name)[0]


async def test_of_two_changes_to_one_version_one_wins(datasette: Datasette, token: str) -> None:
    etag = (await create(datasette, token, JOB)).headers["etag"]
    headers = bearer(token, **{"If-Match": etag})
    answers = await asyncio.gather(
        *(
            ask(datasette, "PUT", ADDRESS, json={"hook": str(number)}, headers=headers)
            for number in range(8)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7


# Lists


PRODUCTS = ["Tea", None, "Coffee", "Tea", "", "tea", "Ünder", "Coffee"]


@pytest.fixture
async def listed(datasette: Datasette, token: str) -> list[dict[str, Any]]:
    jobs = [
        {
            "id": f"{number:02}",
            "job_name": f"Job {number}",
            "product": product,
            "enabled": number % 2 == 0,
            "created_at": f"2026-01-{10 - number // 2:02}T00:00:00Z",
        }
        for number, product in enumerate(PRODUCTS)
    ]
    return (await create(datasette, token, jobs)).json()["rows"]


async def ids(datasette: Datasette, query: str) -> list[str]:
    answer = await ask(datasette, "GET", f"/api/campaigns?{query}")
    assert answer.status_code == 200, answer.text
    return [row["id"] for row in answer.json()["rows"]]


async def test_filters(datasette: Datasette, listed: Any) -> None:
    for query, expected in (
        ("product=Tea", ["00", "03"]),
        ("product=", ["04"]),
        ("product=Tea&enabled=true", ["00"]),
        ("product=Tea&enabled=0", ["03"]),
        ("enabled=false&_sort=-id", ["07", "05", "03", "01"]),
        ("id=05", ["05"]),
        ("created_at=2026-01-10T01:00:00%2B01:00", ["00", "01"]),
        ("product=%C3%9Cnder", ["06"]),
        ("product=nothing", []),
    ):
        query = query if "_sort" in query else f"{query}&_sort=id"
        assert await ids(datasette, query) == expected, query


async def test_newest_first(datasette: Datasette, listed: Any) -> None:
    assert await ids(datasette, "") == ["01", "00", "03", "02", "05", "04", "07", "06"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("coffee", ["02", "07"]),
        ("job 3", ["03"]),
        ("", [f"{number:02}" for number in range(8)]),
        ("%", []),
        ('"', []),
        ("AND", []),
        ("job* 3", ["03"]),
        ("50% off", []),
        ("C++", ["02", "07"]),
        ("a\0b", ["00", "03", "05"]),
        ("offe", ["02", "07"]),
        ("offee 7", ["07"]),
        ("fo ob", []),
        (" ".join(["job"] * 100), [f"{number:02}" for number in range(8)]),
    ],
)
async def test_any_text_can_be_searched(
    datasette: Datasette, listed: Any, text: str, expected: list[str]
) -> None:
    assert await ids(datasette, f"_sort=id&q={quote(text)}") == expected


@pytest.mark.parametrize(
    "column", ["id", "product", "enabled", "created_at", "persona", "language", "data"]
)
@pytest.mark.parametrize("direction", ["", "-"])
async def test_pages_hold_every_row_once(
    datasette: Datasette, listed: Any, column: str, direction: str
) -> None:
    order = f"{column} desc, rowid desc" if direction else f"{column}, rowid"
    with closing(connect(database_path("campaigns"))) as connection:
        expected = [
            job_id for (job_id,) in connection.execute(f"select id from jobs order by {order}")
        ]
    for size in (1, 3, 8):
        path, found = f"/api/campaigns?_sort={direction}{column}&_size={size}", []
        while path:
            page = (await ask(datasette, "GET", path)).json()
            found += [row["id"] for row in page["rows"]]
            assert (page["next"] is None) == (page["next_url"] is None)
            path = page["next_url"]
        assert found == expected


async def test_the_next_page_keeps_the_filters(datasette: Datasette, listed: Any) -> None:
    path = "/api/campaigns?q=job&enabled=true&_sort=-id&_size=2"
    first = (await ask(datasette, "GET", path)).json()
    assert first["next_url"].startswith("http://localhost/api/campaigns?q=job&enabled=true")
    second = (await ask(datasette, "GET", first["next_url"])).json()
    assert [row["id"] for row in first["rows"] + second["rows"]] == ["06", "04", "02", "00"]
    assert second["next"] is None


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("product=a&product=b", "A parameter is given twice"),
        ("_size=0", '_size: must be a number from 1 to 1000, not "0"'),
        ("_size=1001", '_size: must be a number from 1 to 1000, not "1001"'),
        ("_size=abc", '_size: must be a number from 1 to 1000, not "abc"'),
        ("_size=-1", '_size: must be a number from 1 to 1000, not "-1"'),
        ("_size=%C2%B2", '_size: must be a number from 1 to 1000, not "²"'),
        ("_sort=nope", '_sort: there is no column "nope"'),
        ("_sort=--id", '_sort: there is no column "-id"'),
        ('_sort=id"]', '_sort: there is no column "id\\"]"'),
        ("_sort=id%0A", '_sort: there is no column "id\\n"'),
        ("_next=abc", '_next: "abc" is not a token of this API'),
        ("_next=bm9wZQ", '_next: "bm9wZQ" is not a token of this API'),
        ("_next=WzEsIDFlOTldCg", '_next: "WzEsIDFlOTldCg" is not a token of this API'),
        ("q=" + "+x" * 101, "q: at most 100 words"),
    ],
)
async def test_bad_parameters_are_named(datasette: Datasette, query: str, message: str) -> None:
    assert_error(await ask(datasette, "GET", f"/api/campaigns?{query}"), 400, message)


async def test_parameters_where_none_belong(datasette: Datasette, token: str) -> None:
    await create(datasette, token, JOB)
    for name, (method, path, document) in REQUESTS.items():
        if name == "list":
            continue
        answer = await ask(datasette, method, f"{path}?x=1", json=document, headers=bearer(token))
        assert_error(answer, 400, 'unknown parameter "x"')


def test_no_parameter_breaks_the_server(datasette: Datasette) -> None:
    names = st.sampled_from(["q", "_sort", "_size", "_next", "product", "enabled", "created_at"])

    @examples(80)
    @given(st.dictionaries(names, st.text(st.characters(exclude_categories=["Cs"]), max_size=8)))
    def check(given: dict[str, str]) -> None:
        query = "&".join(f"{name}={quote(value)}" for name, value in given.items())
        answer = asyncio.run(ask(datasette, "GET", f"/api/campaigns?{query}"))
        assert answer.status_code in (200, 400)
        strict_json(answer.text)

    check()


async def test_filters_use_the_indexes(datasette: Datasette, listed: Any) -> None:
    from dailies.api.pagination import SEGMENT, page_sql, parse_query, segments
    from dailies.api.resources import CAMPAIGNS

    for parameters in (
        {},
        {"product": "Tea"},
        {"_next": "WyJUZWEiLCAzXQ", "_sort": "product"},
    ):
        query = parse_query(CAMPAIGNS, parameters)
        for condition, values in segments(CAMPAIGNS, query):
            sql = page_sql(CAMPAIGNS, query, query.conditions).replace(SEGMENT, condition)
            with closing(connect(database_path("campaigns"))) as connection:
                plan = connection.execute(
                    f"explain query plan {sql}", {**query.values, **values, "limit": 10}
                ).fetchall()
            assert not any(row[3] == "SCAN jobs" for row in plan), plan


# Versions


async def test_duplicating(datasette: Datasette, token: str) -> None:
    await create(datasette, token, JOB)
    copy = await ask(datasette, "POST", f"{ADDRESS}/duplicate", headers=bearer(token))
    assert copy.status_code == 201
    row = copy.json()["rows"][0]
    assert row["id"] != JOB["id"]
    expected = {**JOB, "id": row["id"], "job_name": f"{JOB['job_name']} (Copy)"}
    assert without_times(row) == expected
    assert (await ask(datasette, "GET", copy.headers["location"])).json()["rows"] == [row]
    missing = await ask(datasette, "POST", f"{MISSING}/duplicate", headers=bearer(token))
    assert_error(missing, 404, 'There is no job "nobody"')
    strange = await ask(
        datasette, "POST", f"{ADDRESS}/duplicate", json={"x": 1}, headers=bearer(token)
    )
    assert_error(strange, 400, "x: there is no such field")


async def test_restoring_a_version(datasette: Datasette, token: str) -> None:
    first = (await create(datasette, token, JOB)).json()["rows"][0]
    await ask(datasette, "PUT", ADDRESS, json={"hook": "x", "new": 1}, headers=bearer(token))
    restored = await ask(
        datasette, "POST", f"{ADDRESS}/restore", json={"version": 1}, headers=bearer(token)
    )
    assert restored.status_code == 200
    row = restored.json()["rows"][0]
    assert without_times(row) == JOB
    assert row["created_at"] == first["created_at"]
    assert row["updated_at"] > first["updated_at"]


async def test_restoring_a_deleted_job(datasette: Datasette, token: str) -> None:
    first = (await create(datasette, token, JOB)).json()["rows"][0]
    await ask(datasette, "DELETE", ADDRESS, headers=bearer(token))
    restored = await ask(datasette, "POST", f"{ADDRESS}/restore", headers=bearer(token))
    assert restored.status_code == 200
    assert without_times(restored.json()["rows"][0]) == JOB
    assert restored.json()["rows"][0]["created_at"] == first["created_at"]


async def test_restoring_what_cannot_be(datasette: Datasette, token: str) -> None:
    await create(datasette, token, {"id": "1", "job_name": "x"})

    async def restore(key: str, body: Any = None) -> Any:
        path = f"/api/campaigns/{key}/restore"
        options = {} if body is None else {"json": body}
        return await ask(datasette, "POST", path, headers=bearer(token), **options)

    present = 'The job "1" is not deleted: name the version to restore'
    assert_error(await restore("1"), 409, present)
    assert_error(await restore("1", {"version": 9}), 404, 'There was no job "1" in version 9')
    assert_error(await restore("2"), 404, 'There was no job "2"')
    for version, reason in (
        ("1", 'must be a valid integer, not "1"'),
        (0, 'must be greater than or equal to 1, not "0"'),
        (2**63, f'must be less than or equal to {2**63 - 1}, not "{2**63}"'),
    ):
        assert_error(await restore("1", {"version": version}), 400, f"version: {reason}")


async def test_history_comes_in_pages(datasette: Datasette, token: str) -> None:
    await create(datasette, token, {"id": "1", "job_name": "x"})
    for hook in "abcd":
        await ask(datasette, "PUT", "/api/campaigns/1", json={"hook": hook}, headers=bearer(token))
    path, found = "/api/campaigns/1/history?_size=2", []
    while path:
        page = (await ask(datasette, "GET", path)).json()
        found += [row["version"] for row in page["rows"]]
        path = page["next_url"]
    assert found == [5, 4, 3, 2, 1]
    never = await ask(datasette, "GET", f"{MISSING}/history")
    assert_error(never, 404, 'There was never a job "nobody"')


# Methods and addresses


METHODS = {
    "/api/campaigns": "GET, POST, HEAD, OPTIONS",
    ADDRESS: "GET, PUT, PATCH, DELETE, HEAD, OPTIONS",
    f"{ADDRESS}/history": "GET, HEAD, OPTIONS",
    f"{ADDRESS}/duplicate": "POST, OPTIONS",
    f"{ADDRESS}/restore": "POST, OPTIONS",
}


@pytest.mark.parametrize("path", METHODS)
async def test_other_methods_are_named(datasette: Datasette, path: str) -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"):
        if method in METHODS[path]:
            continue
        answer = await ask(datasette, method, path)
        assert_error(answer, 405, f"{method} is not allowed here: use one of {METHODS[path]}")
        assert answer.headers["allow"] == METHODS[path]
    options = await ask(datasette, "OPTIONS", path)
    assert (options.status_code, options.headers["allow"]) == (204, METHODS[path])
    assert options.headers["access-control-allow-methods"] == METHODS[path]
    assert options.headers["access-control-allow-origin"] == "*"


async def test_head_is_get_without_the_body(datasette: Datasette, token: str) -> None:
    await create(datasette, token, JOB)
    for path in ("/api/campaigns", ADDRESS, MISSING):
        get, head = await ask(datasette, "GET", path), await ask(datasette, "HEAD", path)
        assert (head.status_code, head.headers) == (get.status_code, get.headers)
    assert (await ask(datasette, "HEAD", ADDRESS)).content == b""


@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/api/",
        "/api/nothing",
        "/api/nothing/1",
        "/api/campaigns/",
        "/api/campaigns/1/nothing",
        "/api/campaigns/1/history/",
        "/api/campaigns/1/history/2",
        "/api/campaigns%0A",
        "/api/campaigns/1/history%0A",
        "/api/%2e%2e",
    ],
)
async def test_nothing_there(datasette: Datasette, path: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        answer = await ask(datasette, method, path)
        assert_error(answer, 404, "Not found: no resource has this path")


# Rows that other programs stored


async def test_answers_are_valid_json_whatever_is_stored(datasette: Datasette, token: str) -> None:
    deep = "[" * 900 + "]" * 900
    stored = {
        "half": '{"job_name": "a \\ud800 b \\udc00 \\ud83c\\udf75 \\\\ud800", "\\udbff": 1}',
        "large": '{"job_name": "x", "n": 1e999, "i": ' + "9" * 5000 + "}",
        "deep": f'{{"job_name": "x", "deep": {deep}}}',
    }
    with closing(sqlite3.connect(database_path("campaigns"))) as connection, connection:
        connection.executemany("insert into jobs (id, data) values (?, ?)", stored.items())
    for path in ("/api/campaigns", *(f"/api/campaigns/{key}" for key in stored)):
        answer = await ask(datasette, "GET", path)
        assert answer.status_code == 200
        with closing(sqlite3.connect(":memory:")) as judge:
            assert judge.execute("select json_valid(?)", [answer.text]).fetchone() == (1,)
    half = (await ask(datasette, "GET", "/api/campaigns/half")).json()["rows"][0]
    assert half["job_name"] == "a \ufffd b \ufffd 🍵 \\ud800"
    assert half["\ufffd"] == 1
    for key in ("large", "deep"):
        change = await ask(
            datasette, "PUT", f"/api/campaigns/{key}", json={"hook": "x"}, headers=bearer(token)
        )
        assert change.status_code in (200, 400)


# Several at once


async def test_writes_that_go_together_stand_alone(datasette: Datasette, token: str) -> None:
    jobs = [{"id": str(number % 20), "job_name": "x"} for number in range(40)]
    answers = await asyncio.gather(
        *(
            ask(datasette, "POST", "/api/campaigns", json=job, headers=bearer(token))
            for job in [*jobs, {"enabled": "maybe"}]
        )
    )
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [201] * 20 + [400] + [409] * 20
    assert len(await ids(datasette, "")) == 20


def test_no_update_is_lost(site: ServerProcess) -> None:
    token = site.token("worker")
    keys = [f"job-{number}" for number in range(8)]
    for key in keys:
        site.request("POST", "/api/campaigns", json={"id": key, "job_name": "x"}, token=token)

    def patch(number: int) -> int:
        path = f"/api/campaigns/{keys[number % 4]}"
        answer = site.request("PATCH", path, json={f"field-{number}": number}, token=token)
        return answer.status_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(patch, range(64))) == {200}
    rows = site.request("GET", "/api/campaigns").json()["rows"]
    found = {key: value for row in rows for key, value in row.items() if key.startswith("field-")}
    assert found == {f"field-{number}": number for number in range(64)}


async def test_a_writer_outside_holds_the_lock(
    data_dir: Any, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loaders.connections.BUSY_TIMEOUT_MS", 200)
    open_database("campaigns").close()
    with serving() as datasette, closing(connect(database_path("campaigns"))) as outside:
        await create(datasette, token, JOB)
        outside.execute("begin immediate")
        answers = await asyncio.gather(
            *(
                ask(datasette, "PUT", ADDRESS, json={"hook": "x"}, headers=bearer(token))
                for _ in range(4)
            )
        )
        for answer in answers:
            assert_error(answer, 503, "The database is locked by another program: try again")
            assert answer.headers["retry-after"] == "1"
        assert (await ask(datasette, "GET", ADDRESS)).status_code == 200
        outside.execute("rollback")
        after = await ask(datasette, "PUT", ADDRESS, json={"hook": "x"}, headers=bearer(token))
        assert after.status_code == 200


def test_an_answered_write_survives_a_crash(site: ServerProcess) -> None:
    token = site.token("worker")
    created = site.request("POST", "/api/campaigns", json=JOB, token=token)
    site.kill9()
    site.restart()
    read = site.request("GET", ADDRESS)
    assert (created.status_code, read.json()["rows"]) == (201, created.json()["rows"])
    assert read.headers["etag"] == created.headers["etag"]


def test_an_address_that_is_no_ascii(site: ServerProcess) -> None:
    for path in (b"/api/campaigns/\xff", b"/api/campaigns/\xc3\xbc"):
        with socket.create_connection(("127.0.0.1", site.port), timeout=10) as connection:
            request = b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            connection.sendall(request)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
