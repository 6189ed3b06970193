"""Claims, heartbeats, recovery and cleanup of both job queues."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from empty_databases import create_at

from loaders import presentation_jobs, upgrade, yt_builder
from loaders.connections import connect
from loaders.errors import Conflict, NotFound
from loaders.queues.queue import JobQueue
from loaders.queues.recovery import Recovered
from loaders.times import now

OLD = "2020-01-01T00:00:00.000Z"
BUILDS, PRESENTATIONS = yt_builder.BUILDS, presentation_jobs.PRESENTATIONS
QUEUES = {"yt-builder": BUILDS, "presentation_jobs": PRESENTATIONS}
CLAIM_ALL = """
import sys
from loaders.{module} import {queue} as queue
from loaders.connections import connect
db = connect(sys.argv[1])
while job := queue.claim(db, sys.argv[2]):
    print(job["job_id"], flush=True)
"""


@pytest.fixture(params=QUEUES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def queue(name: str) -> JobQueue:
    return QUEUES[name]


@pytest.fixture
def path(name: str, tmp_path: Path) -> Path:
    return create_at(name, tmp_path / "jobs.db")


@pytest.fixture
def db(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(path)) as opened:
        yield opened


def add(db: sqlite3.Connection, queue: JobQueue, job_id: int, **columns: Any) -> Any:
    """A queued job; returns its key."""
    values = {"job_id": job_id, "status": "queued", **columns}
    if queue is PRESENTATIONS:
        values["job_id"] = str(job_id)
    return queue.add(db, values)["job_id"]


def change(db: sqlite3.Connection, queue: JobQueue, job_id: Any, **columns: Any) -> None:
    """Write columns by SQL, as another program would."""
    changes = ", ".join(f"{name} = :{name}" for name in columns)
    db.execute(
        f"update {queue.table.name} set {changes} where job_id = :key", {**columns, "key": job_id}
    )


def get(db: sqlite3.Connection, queue: JobQueue, job_id: Any) -> dict[str, Any]:
    return queue.get(db, job_id)


def test_the_oldest_is_claimed_first(db: sqlite3.Connection, queue: JobQueue) -> None:
    newest = add(db, queue, 1)
    change(db, queue, newest, created_at="2025-11-02 03:00:00")
    oldest = add(db, queue, 2)
    change(db, queue, oldest, created_at="2025-11-02T01:00:00.000Z")
    middle = add(db, queue, 3)
    change(db, queue, middle, created_at="2025-11-02T04:00:00+02:00")
    claimed = [queue.claim(db, "w") for _ in range(4)]
    assert [job and job["job_id"] for job in claimed] == [oldest, middle, newest, None]
    first = claimed[0]
    assert (first["status"], first["worker"]) == (queue.running, "w")
    assert (first["attempts"], len(first["lease"])) == (1, 32)
    assert first["last_heartbeat"] is not None


def test_a_claim_obeys_priority_and_run_after(db: sqlite3.Connection, queue: JobQueue) -> None:
    low = add(db, queue, 1, priority=-1)
    add(db, queue, 2, priority=9, run_after="2999-01-01T00:00:00Z")
    usual = add(db, queue, 3)
    high = add(db, queue, 4, priority=5, run_after="2020-01-01T00:00:00+02:00")
    claimed = [queue.claim(db, "w") for _ in range(4)]
    assert [job and job["job_id"] for job in claimed] == [high, usual, low, None]
    assert claimed[0]["run_after"] == "2019-12-31T22:00:00.000Z"


@pytest.mark.parametrize("worker", ["", "  ", None, 5])
def test_a_claim_needs_a_worker(db: sqlite3.Connection, queue: JobQueue, worker: Any) -> None:
    with pytest.raises(ValueError, match=r"^worker: must be a name"):
        queue.claim(db, worker)


@pytest.mark.process
def test_processes_never_get_the_same_job(
    db: sqlite3.Connection, path: Path, queue: JobQueue
) -> None:
    keys = [add(db, queue, number) for number in range(1, 61)]
    program = CLAIM_ALL.format(
        module="yt_builder" if queue is BUILDS else "presentation_jobs",
        queue="BUILDS" if queue is BUILDS else "PRESENTATIONS",
    )
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path), f"w{number}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    claimed = [line for worker in workers for line in worker.communicate()[0].split()]
    assert [worker.returncode for worker in workers] == [0] * 4
    assert sorted(claimed, key=int) == [str(key) for key in keys]


def test_a_heartbeat_keeps_the_lease(db: sqlite3.Connection, queue: JobQueue) -> None:
    job_id = add(db, queue, 1)
    lease = queue.claim(db, "w")["lease"]
    change(db, queue, job_id, last_heartbeat=OLD)
    job = queue.heartbeat(db, job_id, lease=lease, progress=40, current_step="mixing")
    assert (job["progress"], job["current_step"]) == (40, "mixing")
    assert job["last_heartbeat"] > OLD
    assert queue.heartbeat(db, job_id)["progress"] == 40
    assert queue.lease_of(db, job_id) == lease
    with pytest.raises(ValueError, match="progress: must be a"):
        queue.heartbeat(db, job_id, lease=lease, progress=101)


def test_a_lost_lease_is_a_conflict(db: sqlite3.Connection, queue: JobQueue) -> None:
    job_id = add(db, queue, 1)
    late = queue.claim(db, "w")["lease"]
    assert queue.recover(db, stale_minutes=0) == Recovered(queued=[job_id])
    with pytest.raises(Conflict) as refused:
        queue.heartbeat(db, job_id, lease=late)
    assert str(refused.value) == f"job {job_id} is queued, not {queue.running}"
    present = queue.claim(db, "w")["lease"]
    before = get(db, queue, job_id)
    with pytest.raises(Conflict) as refused:
        queue.heartbeat(db, job_id, lease=late, progress=90, worker="w")
    assert str(refused.value) == f"job {job_id} is held by another claim, of worker w"
    assert get(db, queue, job_id) == before
    assert queue.lease_of(db, job_id) == present != late


def test_a_heartbeat_for_no_job_is_refused(db: sqlite3.Connection, queue: JobQueue) -> None:
    with pytest.raises(NotFound, match=r'^There is no job "5"$'):
        queue.heartbeat(db, 5)


def test_silent_jobs_wait_again_and_fail_in_the_end(
    db: sqlite3.Connection, queue: JobQueue
) -> None:
    job_id = add(db, queue, 1)
    for attempt in (1, 2):
        assert queue.claim(db, "w")["attempts"] == attempt
        change(db, queue, job_id, last_heartbeat=OLD)
        assert queue.recover(db, stale_minutes=10) == Recovered(queued=[job_id])
        assert get(db, queue, job_id)["status"] == "queued"
        assert get(db, queue, job_id)["worker"] is None
    assert queue.claim(db, "w")["attempts"] == 3
    change(db, queue, job_id, last_heartbeat=OLD)
    assert queue.recover(db, stale_minutes=10, actor="recover") == Recovered(failed=[job_id])
    job = get(db, queue, job_id)
    assert (job["status"], job["error"]) == ("failed", "no heartbeat for 10 minutes, 3 attempts")
    last = db.execute("select actor, detail from job_events order by id desc limit 1").fetchone()
    assert last == ("recover", "no heartbeat for 10 minutes, 3 attempts")
    attempts = db.execute("select outcome, error from job_attempts order by id").fetchall()
    assert attempts == [
        ("queued", "no heartbeat for 10 minutes"),
        ("queued", "no heartbeat for 10 minutes"),
        ("failed", "no heartbeat for 10 minutes, 3 attempts"),
    ]


def test_a_retry_by_hand_gives_new_attempts(db: sqlite3.Connection, queue: JobQueue) -> None:
    job_id = add(db, queue, 1, status="failed")
    for retried in range(2):
        change(db, queue, job_id, status="queued")
        for attempt in range(1, 4):
            claimed = queue.claim(db, "w")
            assert claimed is not None
            assert claimed["attempts"] == retried * 3 + attempt
            done = Recovered(failed=[job_id]) if attempt == 3 else Recovered(queued=[job_id])
            assert queue.recover(db, stale_minutes=0) == done
        assert get(db, queue, job_id)["error"] == "no heartbeat for 0 minutes, 3 attempts"


def test_a_run_that_no_claim_began_becomes_an_attempt(
    db: sqlite3.Connection, queue: JobQueue
) -> None:
    """As of an earlier system: what a retry clears in the job is kept, and is no claim."""
    ended = {"created_at": OLD, queue.finished: "2020-01-01T01:00:00.000Z"}
    left = {"error": "no disk\nat all", "progress": 40, "current_step": "mixing"}
    job_id = add(db, queue, 1, status="failed", **ended, **left)
    change(db, queue, job_id, status="queued")
    assert queue.claim(db, "w")["attempts"] == 1
    change(db, queue, job_id, progress=60, current_step="cutting")
    assert queue.recover(db, stale_minutes=0) == Recovered(queued=[job_id])
    job = get(db, queue, job_id)
    assert {name: job[name] for name in (*left, queue.finished)} == {
        "error": None, "progress": 0, "current_step": None, queue.finished: None,
    }  # fmt: skip
    columns = "worker, started_at, ended_at, outcome, error, progress, current_step"
    first, second = map(
        tuple, db.execute(f"select {columns} from job_attempts order by id").fetchall()
    )
    assert first == (None, OLD, ended[queue.finished], "failed", *left.values())
    assert second[0] == "w"
    assert second[3:] == ("queued", "no heartbeat for 0 minutes", 60, "cutting")


def test_only_silent_jobs_are_recovered(db: sqlite3.Connection, queue: JobQueue) -> None:
    for number in range(1, 4):
        add(db, queue, number)
    alive = queue.claim(db, "w")["job_id"]
    silent = queue.claim(db, "w")["job_id"]
    change(db, queue, silent, last_heartbeat="2020-01-01 00:00:00")
    never = add(db, queue, 4, status=queue.running, created_at=OLD)
    assert queue.recover(db, stale_minutes=10) == Recovered(queued=[silent, never])
    assert get(db, queue, alive)["status"] == queue.running
    assert queue.recover(db, stale_minutes=10) == Recovered()


@pytest.mark.parametrize("heartbeat", ["2999-01-01T00:00:00.000Z", "2999-01-01 00:00:00", 4e12])
def test_a_heartbeat_of_a_clock_that_was_ahead_counts_as_none(
    db: sqlite3.Connection, queue: JobQueue, heartbeat: Any
) -> None:
    long_ago, just_now = (add(db, queue, number) for number in (1, 2))
    for _ in range(2):
        queue.claim(db, "w")
    change(db, queue, long_ago, last_heartbeat=heartbeat, created_at=OLD)
    change(db, queue, just_now, last_heartbeat=heartbeat)
    if queue.started:  # which a running job keeps
        change(db, queue, just_now, created_at=OLD)
        db.execute("update job_attempts set started_at = ? where job_id = ?", (OLD, long_ago))
        change(db, queue, long_ago, started_at=OLD)
    assert queue.recover(db, stale_minutes=10) == Recovered(queued=[long_ago])


def test_jobs_of_programs_without_heartbeats_are_recovered_on_demand_only(
    db: sqlite3.Connection, queue: JobQueue
) -> None:
    """An earlier builder that is silent for hours, with local times, finishes its build."""
    inserted = add(db, queue, 1, status=queue.running, created_at=OLD)
    updated = add(db, queue, 2)
    change(db, queue, updated, status=queue.running)
    change(db, queue, updated, progress=40, last_heartbeat="2020-01-01 00:00:00")
    beating = add(db, queue, 3)
    change(db, queue, beating, status=queue.running)
    queue.heartbeat(db, beating)
    claimed = add(db, queue, 4)
    queue.claim(db, "w")
    assert queue.recover_supervised(db) == Recovered()
    for job_id in (beating, claimed):
        change(db, queue, job_id, last_heartbeat=OLD)
    assert queue.recover_supervised(db) == Recovered(queued=[beating, claimed])
    change(db, queue, inserted, status="completed")
    assert queue.recover(db) == Recovered(queued=[updated])
    change(db, queue, updated, status="completed")  # its program knows nothing of the recovery
    outcomes = db.execute("select job_id, outcome from job_attempts order by id").fetchall()
    assert outcomes == [
        (inserted, "completed"), (updated, "completed"), (beating, "queued"), (claimed, "queued"),
    ]  # fmt: skip


def test_local_times_of_earlier_programs_are_signs_of_life(
    db: sqlite3.Connection, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAILIES_TIMEZONE", "America/New_York")
    (here,) = db.execute("select strftime('%Y-%m-%d %H:%M:%f', 'now', '-5 hours')").fetchone()
    job_id = add(db, queue, 1)
    queue.claim(db, "w")
    change(db, queue, job_id, last_heartbeat=here)
    assert queue.recover(db, stale_minutes=90) == Recovered()


@pytest.mark.parametrize("minutes", [-1, True, "10", float("nan")])
def test_a_span_that_is_none(db: sqlite3.Connection, queue: JobQueue, minutes: Any) -> None:
    with pytest.raises(ValueError, match=r"^stale_minutes: must be a number, 0 or more"):
        queue.recover(db, stale_minutes=minutes)


def test_old_finished_jobs_go(db: sqlite3.Connection, queue: JobQueue) -> None:
    finished = queue.finished
    kept = [add(db, queue, 1), add(db, queue, 2, status="completed")]
    for number, ended in enumerate(
        ["2020-01-01T00:00:00.000Z", "2020-01-01 12:00:00", "1577836800"], start=3
    ):
        change(db, queue, add(db, queue, number, status="completed"), **{finished: ended})
    assert queue.count_old(db, 30) == 3
    assert queue.cleanup(db, 30) == 3
    assert queue.count_old(db, 30) == 0
    assert [get(db, queue, key)["job_id"] for key in kept] == kept
    assert queue.cleanup(db, 36_500) == 0


def test_abandoned_presentations_go(tmp_path: Path) -> None:
    upgrade.build("presentation_jobs", tmp_path / "jobs.db")
    with closing(connect(tmp_path / "jobs.db")) as db:
        rows = {
            "abandoned": {"created_at": OLD},
            "recent heartbeat": {"created_at": OLD, "last_heartbeat": now()},
            "clock ahead": {"created_at": OLD, "last_heartbeat": "2999-01-01T00:00:00Z"},
            "silent": {"created_at": OLD, "last_heartbeat": OLD, "status": "processing"},
            "new": {},
            "odd": {"created_at": OLD, "completed_at": OLD, "status": "processing"},
        }
        for job_id, columns in rows.items():
            presentation_jobs.create(db, {"job_id": job_id, **columns})
        assert PRESENTATIONS.count_old(db, 7) == 4
        assert presentation_jobs.delete_old_jobs(db) == 4
        left = {job["job_id"] for job in presentation_jobs.get_all(db)}
        assert left == {"recent heartbeat", "new"}


def test_unfinished_builds_stay(tmp_path: Path) -> None:
    upgrade.build("yt-builder", tmp_path / "jobs.db")
    with closing(connect(tmp_path / "jobs.db")) as db:
        yt_builder.add_job(db, {"status": "queued", "created_at": OLD})
        yt_builder.add_job(db, {"status": "queued", "finished_at": OLD})
        assert yt_builder.cleanup_old_jobs(db, 0) == 0
