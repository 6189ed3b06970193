"""What the server refuses because of its size, and how it shortens what it sends."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import threading
from contextlib import closing
from typing import Any

import httpx2
import pytest
from datasette.app import Datasette
from in_process import serving
from jobs_client import assert_error, token_of

from dailies.errors import RequestError
from dailies.http.admission import Places
from dailies.http.clients import client_of, trusted_proxies
from dailies.http.logs import LineFormatter, LogStream
from dailies.http.protocol import JoinedWrites
from dailies.http.server import Config
from dailies.storage import bounds, job_size
from dailies.storage.bounds import Line
from loaders.registry import database_path

JOBS = "/campaigns/jobs.json"
PATHS = ("/", JOBS, "/campaigns/jobs", "/api/campaigns", "/-/search", "/no/such/page")
TOO_MUCH = {
    "?" + "x" * 20_000: (414, "The query string is longer than 16,384 bytes"),
    "?" + "&" * 200: (400, "There are more than 200 parameters"),
    "?" + "_facet=a&" * 11: (400, "There are more than 10 facets"),
    "?" + "%5ffacet_array=a&_facet=b&" * 6: (400, "There are more than 10 facets"),
    "?" + "_search=a&" * 21: (400, "The parameter _search comes more than 20 times"),
    "/" + "y" * 8_192: (414, "The path is longer than 8,192 bytes"),
}
HEADERS = (
    ({f"x-{n}": "y" for n in range(100)}, "There are more than 100 headers"),
    ({"x-large": "y" * 32_768}, "The headers are larger than 32,768 bytes"),
    ({"cookie": "; ".join(["a=b"] * 101)}, "There are more than 100 cookies"),
)


@pytest.fixture
def datasette(empty_site: Datasette) -> Datasette:
    return empty_site


@pytest.mark.parametrize("path", PATHS)
async def test_too_much_of_something_is_refused(datasette: Datasette, path: str) -> None:
    for added, (status, message) in TOO_MUCH.items():
        assert_error(await datasette.client.get(path + added), status, message)
    for headers, message in HEADERS:
        assert_error(await datasette.client.get(path, headers=headers), 431, message)


@pytest.mark.parametrize(
    "query", ["&".join(f"_col={name}" for name in ["id"] * 199), "_facet=product&" * 10, "&" * 199]
)
async def test_as_much_as_is_allowed(datasette: Datasette, query: str) -> None:
    assert (await datasette.client.get(f"{JOBS}?{query}")).status_code == 200


@pytest.mark.parametrize(
    "cookie",
    ['a="' + '\\"' * 9_000, "a b=c; =; ;", 'ds_actor="', "ds_actor=x\\", ",", "é=1", "a=b" * 5_000],
)
async def test_odd_cookies_are_no_cookies(datasette: Datasette, cookie: str) -> None:
    headers = [(b"cookie", cookie.encode("latin-1"))]
    answer = await datasette.client.get("/-/actor.json", headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"ok": True, "actor": None})


async def test_several_cookie_headers_are_one(datasette: Datasette) -> None:
    actor = datasette.sign({"a": {"id": "root"}}, "actor")
    for cookies in (["a=b", f"ds_actor={actor}"], [f"ds_actor={actor}", 'c="\\""']):
        headers = [(b"cookie", cookie.encode()) for cookie in cookies]
        messages = await datasette.client.get("/-/messages", headers=headers)
        alone = await datasette.client.get("/-/messages", cookies={"ds_actor": actor})
        assert messages.status_code == alone.status_code


async def test_a_body_that_does_not_arrive_is_408(
    datasette: Datasette, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dailies.http.limits.BODY_SECONDS", 0.0)

    async def endless() -> Any:
        await asyncio.Event().wait()
        yield b""

    for path in ("/api/campaigns", "/campaigns/jobs/-/insert", "/-/sign-in"):
        headers = token_of("root") | {"Content-Type": "application/json"}
        if path == "/-/sign-in":
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        answer = await datasette.client.post(path, content=endless(), headers=headers)
        assert_error(answer, 408, "The body was not complete after 60 seconds")


def job_text(number: int, length: int) -> str:
    created_at = f"2026-11-20T07:15:{number:02}.000Z"
    return json.dumps({"job_name": "J", "created_at": created_at, "t": "y" * length})


def add_jobs(number: int, length: int) -> None:
    with closing(sqlite3.connect(database_path("campaigns"))) as connection, connection:
        connection.executemany(
            "insert into jobs (id, product, data) values (?, ?, ?)",
            [
                (
                    f"j{n}",
                    f"p{n}",
                    job_text(n, length),
                )
                for n in range(number)
            ],
        )


@pytest.fixture
def small_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_RESULT_BYTES", 3_000)


async def read_all(datasette: Datasette, path: str) -> list[list[str]]:
    """The ids of each page."""
    pages = []
    while path:
        answer = (await datasette.client.get(path)).json()
        pages.append([row["id"] for row in answer["rows"]])
        path = (answer["next_url"] or "").removeprefix("http://localhost")
    return pages


@pytest.mark.usefixtures("small_results")
async def test_pages_of_large_rows_are_shorter_and_complete(datasette: Datasette) -> None:
    add_jobs(7, 1_000)
    for sort in ("_sort=id", "_sort_desc=product", "_size=max&_sort=id", "_size=5&_sort=product"):
        pages = await read_all(datasette, f"{JOBS}?{sort}")
        assert len(pages) > 2
        assert sorted(key for page in pages for key in page) == [f"j{n}" for n in range(7)]
    csv = (await datasette.client.get("/campaigns/jobs.csv?_stream=1&_col=data")).text
    assert csv.count('""t"":""y') == 7
    page = await datasette.client.get("/campaigns/jobs?_size=max")
    assert "_next=" in page.text
    for shape in ("array", "arrays", "object"):
        answer = await datasette.client.get(f"{JOBS}?_shape={shape}&_size=max")
        assert answer.status_code == 200
        assert len(answer.content) < 12_000


@pytest.mark.usefixtures("small_results")
async def test_one_row_is_always_there(datasette: Datasette) -> None:
    add_jobs(3, 10_000)
    assert await read_all(datasette, f"{JOBS}?_sort=id") == [["j0"], ["j1"], ["j2"]]
    assert (await datasette.client.get("/campaigns/jobs/j1.json")).json()["rows"][0]["id"] == "j1"


@pytest.mark.usefixtures("small_results")
async def test_results_of_queries_are_cut_off(datasette: Datasette) -> None:
    add_jobs(7, 1_000)
    path = "/campaigns/-/query.json?sql=select+id,data+from+jobs"
    answer = await datasette.client.get(path, headers=token_of("root"))
    assert answer.json()["truncated"] is True
    assert [row["id"] for row in answer.json()["rows"]] == ["j0", "j1", "j2"]


async def test_facets_of_large_values_are_refused(
    datasette: Datasette, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MAX_LIST_BYTES", 5_000)
    add_jobs(7, 1_000)
    answer = await datasette.client.get(f"{JOBS}?_facet=data")
    assert_error(answer, 400, "The result is larger than 4,000,000 bytes: ask for less")


async def test_sorting_by_long_values_is_refused(datasette: Datasette) -> None:
    add_jobs(2, 3_000)
    answer = await datasette.client.get(f"{JOBS}?_sort=data&_size=1")
    message = "This list cannot be sorted by a value of more than 2,000 characters"
    assert_error(answer, 400, message)


async def test_long_patterns_are_refused(datasette: Datasette) -> None:
    add_jobs(1, 10)
    for name in ("contains", "like", "glob", "startswith"):
        answer = await datasette.client.get(f"{JOBS}?data__{name}={'y' * 300}")
        assert_error(answer, 400, "LIKE or GLOB pattern too complex")


async def test_history_is_bounded(datasette: Datasette, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dailies.api.handlers.versions.MAX_BYTES", 100)
    add_jobs(1, 200)
    headers = token_of("root")
    for number in range(3):
        await datasette.client.put("/api/campaigns/j0", json={"n": number}, headers=headers)
    path, versions = "/api/campaigns/j0/history", []
    while path:
        answer = (await datasette.client.get(path)).json()
        versions.append([row["version"] for row in answer["rows"]])
        path = (answer["next_url"] or "").removeprefix("http://localhost")
    assert versions == [[4], [3], [2], [1]]


@pytest.fixture
def small_jobs(monkeypatch: pytest.MonkeyPatch, data_dir: Any) -> Any:
    monkeypatch.setenv(job_size.SETTING, "1000")
    from empty_databases import create_databases

    create_databases()
    with serving() as served:
        yield served


ROUTES = {
    "/api/campaigns": {"job_name": "J"},
    "/campaigns/jobs/-/insert": {"id": "i", "job_name": "J", "data": '{"job_name": "J"}'},
    "/campaigns/jobs/-/upsert": {"id": "i", "job_name": "J"},
    "/api/builds": {"config": {}},
    "/yt-builder/jobs/-/insert": {"run_id": "r", "run_dir": "d"},
    "/api/presentations": {"config": {}},
    "/presentation_jobs/presentation_jobs/-/insert": {"job_id": "p"},
}
FIELD = {"/api/campaigns": "text", "/campaigns/jobs/-/insert": "hook"}


@pytest.mark.parametrize("path", ROUTES)
async def test_large_jobs_are_refused_by_every_route(small_jobs: Datasette, path: str) -> None:
    job, large = ROUTES[path], "x" * 1_200
    if path.startswith("/api") and "config" in job:
        too_large = {**job, "config": {"text": large}}
    elif "campaigns" in path:
        too_large = {**job, "hook": large}
        if "data" in job:
            too_large["data"] = json.dumps({"job_name": "J", "text": large})
    else:
        too_large = {**job, "config": json.dumps({"text": large})}
    wrapped = (lambda one: one) if path.startswith("/api") else (lambda one: {"rows": [one]})
    headers = token_of("root")
    answer = await small_jobs.client.post(path, json=wrapped(too_large), headers=headers)
    column = "data" if "campaigns" in path else "config"
    table = path.split("/")[2] if path.startswith("/presentation") else "jobs"
    table = "presentation_jobs" if "presentations" in path else table
    assert_error(answer, 413, f"{table}.{column}: a job has at most 1,000 bytes")
    stored = await small_jobs.client.post(path, json=wrapped(job), headers=headers)
    assert stored.status_code in (200, 201), stored.text


async def test_jobs_cannot_grow_but_may_shrink(small_jobs: Datasette) -> None:
    add_jobs(1, 3_000)
    headers, client = token_of("root"), small_jobs.client
    message = "jobs.data: a job has at most 1,000 bytes"
    assert_error(
        await client.patch("/api/campaigns/j0", json={"u": "more"}, headers=headers), 413, message
    )
    update = {"update": {"hook": "longer"}}
    answer = await client.post("/campaigns/jobs/j0/-/update", json=update, headers=headers)
    assert_error(answer, 413, message)
    shorter = await client.patch("/api/campaigns/j0", json={"t": "short"}, headers=headers)
    assert shorter.status_code == 200
    assert (await client.delete("/api/campaigns/j0", headers=headers)).status_code == 204


@pytest.mark.parametrize("text", ["0", "-1", "1 MB", "x", "9" * 13])
def test_a_wrong_size_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(job_size.SETTING, text)
    with pytest.raises(ValueError, match=r"DAILIES_MAX_JOB_BYTES: .* is not a number of bytes"):
        job_size.max_job_bytes()


async def test_requests_wait_in_line() -> None:
    places, order = Places(1, 3), []
    await places.enter()

    async def work(name: str) -> None:
        await places.enter()
        order.append(name)
        places.leave()

    tasks = [asyncio.ensure_future(work(name)) for name in "abc"]
    await asyncio.sleep(0)
    with pytest.raises(RequestError, match="Too many requests at once: try again later"):
        await places.enter()
    tasks[1].cancel()
    await asyncio.sleep(0)
    places.leave()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["a", "c"]
    await places.enter()


async def test_who_waits_too_long_gets_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dailies.http.admission.WAIT_SECONDS", 0.0)
    places = Places(1, 1)
    await places.enter()
    with pytest.raises(RequestError, match="Too many requests at once: try again later"):
        await places.enter()
    places.leave()
    await places.enter()


def test_slow_queries_take_turns() -> None:
    line, order = Line(1, 1), []
    assert line.enter()
    other = threading.Thread(target=lambda: (line.enter(), order.append("other"), line.leave()))
    other.start()
    while not line._waiting:
        pass
    assert not line.enter()  # one waits already
    line.pass_on()
    order.append("first again")
    line.leave()
    other.join()
    assert order == ["other", "first again"]
    assert line.enter()


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("unix", "unix"),
    ],
)
def test_clients_are_addresses_or_networks(host: str, client: str) -> None:
    assert client_of({"client": (host, 1)}) == client
    assert client_of({}) == client_of({"client": None}) == ""


async def test_forwarded_addresses_need_a_trusted_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["client"][0], scope["scheme"]))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    seen: list[tuple[str, str]] = []
    headers = {"X-Forwarded-For": "192.0.2.1, 192.0.2.7", "X-Forwarded-Proto": "https"}
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    monkeypatch.setattr("sys.stderr", None)
    for proxies in ("", "10.0.0.1", "127.0.0.1", "127.0.0.0/8 , 10.0.0.1"):
        monkeypatch.setenv("DAILIES_TRUSTED_PROXIES", proxies)
        config = Config(app)
        config.load()
        transport = httpx2.ASGITransport(app=config.loaded_app, client=("127.0.0.1", 9))
        async with httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
            await client.get("/", headers=headers)
    direct, forwarded = ("127.0.0.1", "http"), ("192.0.2.7", "https")
    assert seen == [direct, direct, forwarded, forwarded]


@pytest.mark.parametrize("text", ["*", "proxy.example", "127.0.0.1;10.0.0.1", "10.0.0.1/8"])
def test_proxies_are_addresses(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DAILIES_TRUSTED_PROXIES", text)
    with pytest.raises(ValueError, match=r"DAILIES_TRUSTED_PROXIES: .* is not an IP address"):
        trusted_proxies()


async def test_each_request_is_one_line(
    datasette: Datasette, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO, "dailies")
    token = token_of("root")
    for path in (
        f"{JOBS}?_facet_array=a%0AINFO:x%1b[1m&t={token['Authorization'][7:]}",
        f"{JOBS}?_size=x",
        "/campaigns/-/query.json?sql=select+nothing",
        "/no%0apage",
        "/api/campaigns/%e2%80%a8",
    ):
        await datasette.client.get(path, headers={**token, "Cookie": "ds_actor=secret"})
    lines = [LineFormatter().format(record) for record in caplog.records]
    assert len(lines) == 5
    for line in lines:
        assert line.isascii()
        assert line.isprintable()
        assert " INFO request client=" in line
        assert "dly_" not in line.replace("dly_***", "")
        assert "secret" not in line
    assert r'target="/campaigns/jobs.json?_facet_array=a\nINFO:x\u001b[1m&t=dly_***"' in lines[0]
    assert lines[0].endswith(" ms=" + lines[0].rpartition("=")[2])
    assert capsys.readouterr() == ("", "")


def test_what_others_print_is_escaped(caplog: pytest.LogCaptureFixture) -> None:
    LogStream().write("one\x1b[2J\r\n\ntwo \u2028\u202e\n")
    lines = [LineFormatter().format(record).split(" ", 1)[1] for record in caplog.records]
    assert lines == [r"WARNING one\u001b[2J", "WARNING two ", r"WARNING \u202e"]


class Sent(asyncio.Transport):
    """Remembers what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.packets: list[bytes] = []
        self.closing = False

    def write(self, data: bytes) -> None:
        self.packets.append(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True


async def test_head_and_body_are_sent_together() -> None:
    sent = Sent()
    transport = JoinedWrites(sent, asyncio.get_running_loop())
    transport.write(b"head ")
    transport.write(b"body")
    assert (sent.packets, transport.get_write_buffer_size()) == ([], 9)
    await asyncio.sleep(0)
    assert (sent.packets, transport.get_write_buffer_size()) == ([b"head body"], 0)
    transport.write(b"last")
    transport.close()
    await asyncio.sleep(0)
    assert (sent.packets, sent.closing) == ([b"head body", b"last"], True)


async def test_nothing_is_sent_to_a_client_that_has_gone() -> None:
    sent = Sent()
    transport = JoinedWrites(sent, asyncio.get_running_loop())
    transport.write(b"head")
    sent.close()
    await asyncio.sleep(0)
    assert sent.packets == []
