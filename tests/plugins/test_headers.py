"""What every answer tells browsers, and what is refused from other sites."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from datasette.app import Datasette
from empty_databases import create_databases
from in_process import READING, ROOT, asking, paths, serving

from dailies.auth import tokens
from loaders import campaigns, open_database

VALUES = {
    "database": ["campaigns"],
    "table": ["jobs"],
    "query": ["recent_jobs"],
    "pks": ["spring"],
    "format": ["", ".json", ".csv"],
}
ELSEWHERE = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost:9999"},
    {"Origin": "null"},
)


@pytest.fixture
def datasette(data_dir: Path) -> Iterator[Datasette]:
    create_databases(["campaigns"])
    with closing(open_database("campaigns")) as db:
        campaigns.add_job(db, {"id": "spring", "job_name": "Spring launch"})
    with serving(**READING) as served:
        yield served


@pytest.mark.slow
async def test_every_answer_carries_a_policy_for_browsers(datasette: Datasette) -> None:
    async with asking(datasette, ROOT) as client:
        for path in [*paths(datasette, VALUES), "/nothing", "/campaigns/nothing.json"]:
            for method in ("GET", "POST"):
                headers = (await client.request(method, path)).headers
                policy = headers["content-security-policy"]
                assert "default-src 'self'" in policy, path
                assert "frame-ancestors 'none'" in policy, path
                assert "unsafe-eval" not in policy, path
                assert "*" not in policy, path
                assert headers["x-content-type-options"] == "nosniff", path
                assert headers["x-frame-options"] == "DENY", path
                assert headers["referrer-policy"].endswith(("same-origin", "no-referrer")), path
                names = [name for name, _ in headers.multi_items()]
                assert names.count("content-security-policy") == 1, path


async def test_an_ended_session_and_a_bad_token_carry_it_too(datasette: Datasette) -> None:
    token_id, token = tokens.create("worker")
    answer = await datasette.client.post("/-/sign-in", data={"token": token})
    tokens.revoke(token_id)
    cookies = {"ds_actor": answer.cookies["ds_actor"]}
    ended = await datasette.client.get("/", cookies=cookies)
    bad = await datasette.client.get("/", headers={"Authorization": f"Bearer {token}"})
    for refused in (ended, bad):
        assert refused.status_code == 401
        assert "default-src 'self'" in refused.headers["content-security-policy"]
        assert refused.headers["cache-control"] == "private, no-store"


async def test_dashboards_elsewhere_may_read(datasette: Datasette) -> None:
    for path in ("/campaigns/jobs.json", "/campaigns/recent_jobs.json", "/campaigns/jobs.csv"):
        answer = await datasette.client.get(path, headers={"Origin": "https://dashboard.example"})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [ELSEWHERE[0], *(pytest.param(one, marks=pytest.mark.slow) for one in ELSEWHERE[1:])],
    ids=lambda headers: "-".join(*headers.items()),
)
async def test_no_other_site_writes_with_a_cookie(
    datasette: Datasette, headers: dict[str, str]
) -> None:
    methods = ("POST", "PUT", "PATCH", "DELETE") if headers == ELSEWHERE[0] else ("POST",)
    async with asking(datasette, ROOT) as client:
        for path in paths(datasette, VALUES | {"format": [".json"]}):
            for method in methods:
                answer = await client.request(method, path, json={}, headers=headers)
                assert answer.status_code == 403, (method, path)
        job = await client.get("/campaigns/jobs/spring.json")
        assert job.json()["rows"][0]["job_name"] == "Spring launch"


async def test_our_own_pages_write_with_a_cookie(datasette: Datasette) -> None:
    for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://localhost"}, {}):
        answer = await datasette.client.post(
            "/campaigns/jobs/spring/-/update",
            json={"update": {"product": "Soap"}},
            headers=headers,
            actor=ROOT,
        )
        assert answer.status_code == 200, headers


async def test_a_token_in_a_header_is_no_ambient_credential(datasette: Datasette) -> None:
    _, token = tokens.create("worker")
    headers = {"Authorization": f"Bearer {token}", "Origin": "https://dashboard.example"}
    path = "/campaigns/jobs/spring/-/update"
    body = {"update": {"product": "Soap"}}
    assert (await datasette.client.post(path, json=body, headers=headers)).status_code == 200
    both = headers | {"Cookie": "ds_actor=x"}
    assert (await datasette.client.post(path, json=body, headers=both)).status_code == 403
