"""Many workers of several servers and programs over the same files: no job is given out twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import httpx2
import pytest
from empty_databases import create_databases
from jobs_client import clearing
from server_process import CLIENT, ServerProcess

from dailies.api.resources import Resource
from dailies.auth import tokens
from loaders import presentation_jobs, yt_builder
from loaders.connections import connect
from loaders.registry import database_path

JOBS = 120
SERVERS = 2
WORKERS_OF_EACH = 4
PROGRAMS = 2
QUEUES = ("yt-builder", "presentation_jobs")
QUEUE_MODULES: dict[str, ModuleType] = {"builds": yt_builder, "presentations": presentation_jobs}


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[list[ServerProcess], Callable[[], None]]]:
    """Servers of the same files for all tests, and a function that empties the queues."""
    data_dir = tmp_path_factory.mktemp("claims") / "data"
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAILIES_DATA_DIR", str(data_dir))
        create_databases(QUEUES)
        clear = clearing(database_path(name) for name in QUEUES)
        yield [stack.enter_context(ServerProcess(data_dir)) for _ in range(SERVERS)], clear


@pytest.fixture
def servers(running: tuple[list[ServerProcess], Callable[[], None]]) -> list[ServerProcess]:
    servers, clear = running
    clear()
    return servers


@pytest.fixture
def token(running: Any) -> str:
    return tokens.create("worker")[1]


def fill(server: ServerProcess, queue: Resource, token: str) -> list[Any]:
    """Queued jobs, the oldest of which were stored last; their keys, oldest first."""
    newest = datetime(2025, 1, 1, tzinfo=UTC)
    created = [(newest - timedelta(hours=number)).isoformat() for number in range(JOBS)]
    jobs = [{"status": "queued", "created_at": time} for time in created]
    answer = server.request("POST", f"/api/{queue.name}", json=jobs, token=token)
    assert answer.status_code == 201, answer.text
    return [row["job_id"] for row in reversed(answer.json()["rows"])]


def claim_over_http(server: ServerProcess, queue: Resource, token: str, worker: str) -> list[Any]:
    found = []
    headers = {"Authorization": f"Bearer {token}"}
    with httpx2.Client(base_url=server.url, headers=headers, **CLIENT) as client:
        while True:
            answer = client.post(f"/api/{queue.name}/claim", json={"worker": worker})
            if answer.status_code == 204:
                return found
            assert answer.status_code == 200, answer.text
            [row] = answer.json()["rows"]
            assert row["worker"] == worker
            found.append(row["job_id"])


def claim_in_python(queue: Resource, worker: str) -> list[Any]:
    found = []
    with closing(connect(database_path(queue.database))) as connection:
        while job := QUEUE_MODULES[queue.name].claim(connection, worker):
            found.append(job["job_id"])
    return found


def test_no_job_is_given_out_twice(
    servers: list[ServerProcess], token: str, queue: Resource
) -> None:
    oldest_first = fill(servers[0], queue, token)
    with ThreadPoolExecutor(SERVERS * WORKERS_OF_EACH + PROGRAMS) as threads:
        claims = [
            threads.submit(claim_over_http, server, queue, token, f"{server.port}-{number}")
            for server in servers
            for number in range(WORKERS_OF_EACH)
        ]
        claims += [
            threads.submit(claim_in_python, queue, f"python-{number}") for number in range(PROGRAMS)
        ]
        claimed = [claim.result() for claim in claims]
    place = {job_id: number for number, job_id in enumerate(oldest_first)}
    assert sorted(place[job_id] for found in claimed for job_id in found) == list(range(JOBS))
    for found in claimed:
        assert found == sorted(found, key=place.__getitem__)
    listed = servers[1].request("GET", f"/api/{queue.name}?_size=1000").json()["rows"]
    workers = {row["job_id"]: row["worker"] for row in listed}
    assert len(workers) == JOBS
    assert None not in workers.values()


def test_each_claim_is_a_lease_of_its_own(
    servers: list[ServerProcess], token: str, queue: Resource
) -> None:
    fill(servers[0], queue, token)

    def claim(number: int) -> dict[str, Any]:
        server = servers[number % SERVERS]
        path = f"/api/{queue.name}/claim"
        answer = server.request("POST", path, json={"worker": "same name"}, token=token)
        found: dict[str, Any] = answer.json()["rows"][0]
        return found

    with ThreadPoolExecutor(8) as threads:
        jobs = list(threads.map(claim, range(24)))
    leases = {job["lease"]: job["job_id"] for job in jobs}
    assert len(leases) == len(set(leases.values())) == 24
    first, second = jobs[:2]
    path = f"/api/{queue.name}/{first['job_id']}/heartbeat"
    stolen = servers[1].request("POST", path, json={"lease": second["lease"]}, token=token)
    assert stolen.status_code == 409
    own = servers[1].request("POST", path, json={"lease": first["lease"]}, token=token)
    assert own.status_code == 200


def test_an_acknowledged_write_survives_a_crash(
    servers: list[ServerProcess], token: str, queue: Resource
) -> None:
    server, other = servers
    fill(server, queue, token)

    def work(number: int) -> tuple[Any, int] | None:
        """Claim a job and tell how far it is: what was acknowledged."""
        try:
            path = f"/api/{queue.name}"
            claimed = server.request("POST", f"{path}/claim", json={"worker": "w"}, token=token)
            [job] = claimed.json()["rows"]
            said = {"progress": number, "lease": job["lease"]}
            beat = server.request(
                "POST", f"{path}/{job['job_id']}/heartbeat", json=said, token=token
            )
        except httpx2.TransportError:
            return None
        assert beat.status_code == 200
        return job["job_id"], number

    with ThreadPoolExecutor(4) as threads:
        tasks = [threads.submit(work, number) for number in range(1, 80)]
        tasks[8].result()
        server.kill9()
        acknowledged = dict(filter(None, (task.result() for task in tasks)))
    assert 0 < len(acknowledged) < len(tasks)
    rows = other.request("GET", f"/api/{queue.name}?_size=1000").json()["rows"]
    found = {row["job_id"]: row for row in rows}
    assert len(found) == JOBS
    assert {name: found[name]["progress"] for name in acknowledged} == acknowledged
    assert {found[name]["worker"] for name in acknowledged} == {"w"}
    server.start()
    assert server.request("GET", f"/api/{queue.name}?_size=1000").json()["rows"] == rows
