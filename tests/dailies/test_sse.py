"""Changes as server-sent events, from a real server."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import httpx2
import pytest
from jobs_client import clearing
from server_process import CLIENT, ServerProcess, run_dailies

NUMBER_OF_STREAMS = 3
STREAM = {"Accept": "text/event-stream"}


@pytest.fixture(scope="module")
def shared_site(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[ServerProcess, Callable[[], None]]]:
    with ServerProcess(tmp_path_factory.mktemp("site") / "data") as running:
        names = ("campaigns.db", "yt-builder.db")
        yield running, clearing(running.data_dir / name for name in names)


@pytest.fixture
def site(shared_site: tuple[ServerProcess, Callable[[], None]]) -> ServerProcess:
    """The server of the module, with empty databases of campaigns and builds."""
    running, clear = shared_site
    clear()
    return running


@contextmanager
def stream(
    site: ServerProcess, path: str, **headers: str
) -> Iterator[tuple[httpx2.Response, Iterator[dict[str, Any]]]]:
    """The answer and its events; each event is waited for as long as it takes."""
    with (
        httpx2.Client(base_url=site.url, **CLIENT) as client,
        client.stream("GET", path, headers=STREAM | headers) as answer,
    ):
        yield answer, events(answer)


def events(answer: httpx2.Response) -> Iterator[dict[str, Any]]:
    """As a browser reads them: each an id, a kind and one line of data."""
    event: dict[str, Any] = {}
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if line == "" and "data" in event:
            yield {**event, "data": json.loads(event["data"])}
            event = {}
        elif name in ("id", "event", "data"):
            assert name not in event
            event[name] = value
        else:
            assert name in ("retry", ":", ""), line


def add(site: ServerProcess, token: str, *numbers: int) -> None:
    jobs = [{"job_id": number, "status": "queued"} for number in numbers]
    answer = site.request("POST", "/api/builds", json=jobs, token=token)
    assert answer.status_code == 201, answer.text


def take(told: Iterator[dict[str, Any]], number: int) -> list[tuple[str, int]]:
    found = [next(told) for _ in range(number)]
    assert all(event["event"] == event["data"]["operation"] for event in found)
    return [(event["event"], event["data"]["id"]) for event in found]


def test_events_arrive_as_they_happen(site: ServerProcess) -> None:
    token = site.token("worker")
    add(site, token, 1)
    with stream(site, "/api/builds/changes") as (answer, told):
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache, no-store"
        assert take(told, 1) == [("insert", 1)]
        add(site, token, 2, 3)
        site.request("PATCH", "/api/builds/1", json={"error": "a\nb"}, token=token)
        assert take(told, 2) == [("insert", 2), ("insert", 3)]
        changed = next(told)
        assert changed["data"]["job"] == site.request("GET", "/api/builds/1").json()["rows"][0]
        site.request("DELETE", "/api/builds/2", token=token)
        assert take(told, 1) == [("delete", 2)]


def test_a_reader_goes_on_where_it_was(site: ServerProcess) -> None:
    token = site.token("worker")
    add(site, token, 1, 2, 3)
    with stream(site, "/api/builds/changes") as (_, told):
        last = [next(told) for _ in range(2)][-1]["id"]
    listed = site.request("GET", f"/api/builds/changes?since={last}").json()["rows"]
    assert [row["id"] for row in listed] == [3]
    site.restart()
    with stream(site, "/api/builds/changes?since=latest", **{"Last-Event-ID": last}) as (_, told):
        assert take(told, 1) == [("insert", 3)]
        add(site, token, 4)
        assert take(told, 1) == [("insert", 4)]
    with stream(site, "/api/builds/changes?since=latest") as (_, told):
        add(site, token, 5)
        assert take(told, 1) == [("insert", 5)]


def test_line_breaks_and_half_characters_stay_inside_an_event(site: ServerProcess) -> None:
    path = site.data_dir / "campaigns.db"
    with stream(site, "/api/campaigns/changes") as (_, told):
        with closing(sqlite3.connect(path)) as connection, connection:
            data = '{"id": "1",\r\n "job_name": "a\\n\\ud800"\r}\n'
            connection.execute("insert into jobs (id, data) values ('1', ?)", [data])
        assert next(told)["data"]["job"]["job_name"] == "a\n\ufffd"


def test_a_revoked_token_ends_its_streams(site: ServerProcess) -> None:
    writer = site.token("worker")
    token = {"Authorization": f"Bearer {site.token('reader')}"}
    with stream(site, "/api/builds/changes", **token) as (_, told):
        add(site, writer, 1)
        assert take(told, 1) == [("insert", 1)]
        listed = run_dailies(site.data_dir, "token", "--list", "--json")
        [token_id] = [one["id"] for one in tokens_in(listed.stdout) if one["actor"] == "reader"]
        assert run_dailies(site.data_dir, "token", "--revoke", token_id).returncode == 0
        assert list(told) == []
    again = site.request("GET", "/api/builds/changes", headers=STREAM | token)
    assert (again.status_code, again.json()["error"]) == (401, "This token has been revoked")


def tokens_in(text: str) -> list[dict[str, Any]]:
    document = json.loads(text)
    found: list[dict[str, Any]] = document["tokens"] if isinstance(document, dict) else document
    return found


def test_a_server_that_is_told_to_end_ends_its_streams(site: ServerProcess) -> None:
    def wait_for_end(_: int) -> list[dict[str, Any]]:
        with stream(site, "/api/builds/changes") as (_, told):
            return list(told)

    with ThreadPoolExecutor(NUMBER_OF_STREAMS) as threads:
        waiting = [threads.submit(wait_for_end, number) for number in range(NUMBER_OF_STREAMS)]
        with stream(site, "/api/builds/changes") as (_, told):
            add(site, site.token("worker"), 1)
            assert take(told, 1) == [("insert", 1)]
            site.stop()  # fails unless the server ends by itself
            assert list(told) == []
        assert all(len(one.result()) <= 1 for one in waiting)
    site.start()


def test_what_is_wrong_is_told_before_the_stream_begins(site: ServerProcess) -> None:
    for path, status, message in (
        ("/api/builds/changes?since=x", 400, 'since: "x" is not a token of this API'),
        ("/api/builds/changes?colour=1", 400, 'unknown parameter "colour"'),
        ("/api/builds/changes?since=00000000-1", 409, None),
    ):
        answer = site.request("GET", path, headers=STREAM)
        assert answer.status_code == status
        assert message is None or answer.json()["errors"] == [message]
    head = site.request("HEAD", "/api/builds/changes", headers=STREAM)
    assert (head.status_code, head.content) == (200, b"")
