"""Workers that stop, or are only slow, while the server recovers jobs."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import Any

from drill.case import Run, case
from drill.site import Site

QUEUES = {
    "builds": ("yt-builder.db", "jobs", "running"),
    "presentations": ("presentation_jobs.db", "presentation_jobs", "processing"),
}
OLD = "2020-01-01T00:00:00.000Z"
QUEUED = {"status": "queued"}
LOCAL = "2020-01-01T00:00:00"  # as earlier builders write times
WITHIN_SECONDS = 20


@case("silent workers: claimed jobs requeued, others left, late completions kept", quick=False)
def silent(run: Run) -> None:
    for folder in run.repeat(1):
        with run.serving(folder) as site:
            claimed = {name: claim(site, name) for name in QUEUES}
            other = {name: run_by_sql(site, name) for name in QUEUES}
            with site.watched():
                for name, job in claimed.items():
                    set_columns(site, name, job["job_id"], last_heartbeat=OLD)
                    wait_for(site, name, job["job_id"], "queued")
            site.restart()
            for name, (_, _, running) in QUEUES.items():
                assert status(site, name, other[name]) == running, "an earlier builder was stopped"
                set_columns(site, name, other[name], status="completed")
                late = {"status": "completed", "lease": claimed[name]["lease"]}
                path = f"/api/{name}/{claimed[name]['job_id']}"
                answer = site.request("PATCH", path, json=late, token=site.root)
                run.lost += answer.status_code != 200
                assert recovered(site, name) == (0, ["completed", "completed"])


def claim(site: Site, name: str) -> dict[str, Any]:
    assert site.request("POST", f"/api/{name}", json=QUEUED, token=site.root).status_code == 201
    answer = site.request("POST", f"/api/{name}/claim", json={"worker": "w"}, token=site.root)
    [job] = answer.json()["rows"]
    return dict(job)


def run_by_sql(site: Site, name: str) -> Any:
    """A job that another program runs, by its own local times."""
    [job] = site.request("POST", f"/api/{name}", json=QUEUED, token=site.root).json()["rows"]
    columns = {"status": QUEUES[name][2], "created_at": LOCAL, "last_heartbeat": LOCAL}
    started = {"started_at": LOCAL} if name == "builds" else {}
    set_columns(site, name, job["job_id"], **columns, **started)
    return job["job_id"]


def set_columns(site: Site, name: str, key: Any, **columns: str) -> None:
    file, table, _ = QUEUES[name]
    changes = ", ".join(f"{column} = :{column}" for column in columns)
    with closing(sqlite3.connect(site.data_dir / file, timeout=30)) as connection:
        sql = f"update {table} set {changes} where job_id = :key"
        connection.execute(sql, {**columns, "key": key})
        connection.commit()


def status(site: Site, name: str, key: Any) -> str:
    [job] = site.request("GET", f"/api/{name}/{key}").json()["rows"]
    return str(job["status"])


def wait_for(site: Site, name: str, key: Any, wanted: str) -> None:
    end = time.monotonic() + WITHIN_SECONDS
    while status(site, name, key) != wanted:
        assert time.monotonic() < end, f"{name} {key} is still {status(site, name, key)}"


def recovered(site: Site, name: str) -> tuple[int, list[str]]:
    """What `dailies recover` finds afterwards, and the outcome of every attempt."""
    done = site.dailies("recover", QUEUES[name][0].removesuffix(".db"), "--stale-minutes", "0")
    with closing(sqlite3.connect(site.data_dir / QUEUES[name][0])) as connection:
        outcomes = connection.execute("select outcome from job_attempts order by id").fetchall()
    return done.returncode, [outcome for (outcome,) in outcomes]


@case("a background task that fails: the server goes on and says so", quick=False)
def failing(run: Run) -> None:
    for folder in run.repeat(1):
        with run.serving(folder) as site:
            with closing(sqlite3.connect(site.data_dir / "yt-builder.db")) as connection:
                connection.execute("drop table job_states")
            end = time.monotonic() + WITHIN_SECONDS
            with site.watched(), site.writing() as acknowledged:
                while (health := site.request("GET", "/-/health")).status_code == 200:
                    assert time.monotonic() < end, "health did not notice"
                while len(acknowledged) < 10:
                    pass
            assert "Recovery of builds failed" in health.text, health.text
            run.lost += site.missing(acknowledged)
