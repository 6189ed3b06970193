"""The worker of docs/worker.py, as its author would run it: several at once, one of which dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from server_process import RunDailies, ServerProcess

WORKER = Path(__file__).parent.parent.parent / "docs" / "worker.py"
PATIENCE_SECONDS = 60


@contextmanager
def working(
    server: ServerProcess, name: str, pause: float = 0.01
) -> Iterator[subprocess.Popen[str]]:
    token = server.token("worker")
    with server.log.with_name(f"{name}.log").open("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", WORKER, server.url, name],
            env={**os.environ, "DAILIES_TOKEN": token, "PAUSE_SECONDS": str(pause)},
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def wait_for(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := what()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return found


def build(server: ServerProcess, number: int) -> dict[str, Any]:
    row: dict[str, Any] = server.request("GET", f"/api/builds/{number}").json()["rows"][0]
    return row


def events(server: ServerProcess, number: int) -> list[tuple[Any, ...]]:
    rows = server.request("GET", f"/api/builds/{number}/events").json()["rows"]
    return [(row["status_to"], row["actor"], row["detail"]) for row in reversed(rows)]


@pytest.fixture
def queue(server: ServerProcess) -> ServerProcess:
    """A server with twenty queued builds."""
    builds = [{"status": "queued", "config": {"title": f"Clip {n}"}} for n in range(1, 21)]
    answer = server.request("POST", "/api/builds", token=server.token("root"), json=builds)
    assert answer.status_code == 201
    return server


def test_is_short() -> None:
    assert len(WORKER.read_text().splitlines()) <= 45


def test_two_workers_share_the_builds_and_one_dies(
    queue: ServerProcess, run_dailies: RunDailies, page: Page
) -> None:
    with working(queue, "bea", pause=600) as bea:
        wait_for(lambda: build(queue, 1)["progress"] == 20)
        page.goto(f"{queue.url}/yt-builder/jobs/1")
        expect(page.locator("body")).to_contain_text("running")
        bea.kill()
        bea.wait()

    with working(queue, "anna"), working(queue, "carl"):
        wait_for(lambda: all(build(queue, n)["status"] == "completed" for n in range(2, 21)))
        assert build(queue, 1)["status"] == "running"
        recovered = run_dailies("recover", "yt-builder", "--stale-minutes", "0", "--json")
        assert json.loads(recovered.stdout)["databases"]["yt-builder"]["queued"] == [1]
        wait_for(lambda: queue.request("GET", "/api/builds/1/uploads").json()["rows"])

    first = build(queue, 1)
    assert (first["status"], first["progress"], first["attempts"]) == ("completed", 100, 2)
    assert events(queue, 1) == [
        ("queued", "root", None),
        ("running", "worker", "bea"),
        ("queued", "recover", "no heartbeat for 0 minutes"),
        ("running", "worker", first["worker"]),
        ("completed", "worker", None),
    ]
    uploads = queue.request("GET", "/yt-builder/youtube_uploads.json?_shape=array").json()
    assert sorted(row["job_id"] for row in uploads) == list(range(1, 21))
    page.goto(f"{queue.url}/yt-builder/job_events?job_id=1")
    expect(page.locator("body")).to_contain_text("no heartbeat for 0 minutes")


def test_a_worker_that_was_given_up_changes_nothing(
    queue: ServerProcess, run_dailies: RunDailies
) -> None:
    """Another worker of its name has the job by now."""
    token = queue.token("worker")
    claimed = queue.request("POST", "/api/builds/claim", token=token, json={"worker": "dora"})
    lease = claimed.json()["rows"][0]["lease"]
    run_dailies("recover", "yt-builder", "--stale-minutes", "0")
    with ExitStack() as stack:
        stack.enter_context(working(queue, "dora", pause=600))
        wait_for(lambda: build(queue, 1)["progress"] == 20)
        before = build(queue, 1)
        held = "job 1 is held by another claim, of worker dora"
        for method, path, document in (
            ("POST", "/heartbeat", {"progress": 99}),
            ("PATCH", "", {"status": "completed"}),
            ("PUT", "", {"output_file": "wrong.mp4"}),
            ("POST", "/uploads", {"video_id": "x", "video_url": "y", "title": "z"}),
            ("POST", "/files", {"file_type": "music", "filename": "x", "file_path": "y"}),
        ):
            document = {**document, "lease": lease}
            late = queue.request(method, f"/api/builds/1{path}", token=token, json=document)
            assert (late.status_code, late.json()["errors"]) == (409, [held])
        assert build(queue, 1) == before
        for kind in ("files", "uploads"):
            assert queue.request("GET", f"/api/builds/1/{kind}").json()["rows"] == []
