"""Canned queries of both job queues against what Python makes of the same rows."""

from __future__ import annotations

import json
import re
import sqlite3
import statistics
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from in_process import serving
from legacy import unpack

from dailies.canned_queries import CannedQuery, read_queries
from dailies.cli import samples
from loaders import presentation_jobs, upgrade, yt_builder
from loaders.connections import connect

QUERIES = {
    (query.database, query.name): query
    for query in read_queries(Path(__file__).parent.parent.parent / "canned_queries")
}
OURS = [key for key in QUERIES if key[0] in ("yt-builder", "presentation_jobs")]
TABLES = {"yt-builder": "jobs", "presentation_jobs": "presentation_jobs"}
PARAMETERS = ("limit", "job_id", "minutes", "days")
GROWING = re.compile(r"SCAN (jobs|job_files|job_times|youtube_uploads|presentation_jobs)\Z")

Rows = list[dict[str, Any]]


class Source:
    """A database file, what its queries give, and its rows."""

    def __init__(self, name: str, connection: sqlite3.Connection) -> None:
        self.name = name
        self.connection = connection

    def ask(self, query: str, **parameters: Any) -> Rows:
        values = {**dict.fromkeys(PARAMETERS, ""), **parameters}
        return self.rows(QUERIES[self.name, query].sql, values)

    def rows(self, sql: str, values: dict[str, Any] | None = None) -> Rows:
        return [dict(row) for row in self.connection.execute(sql, values or {})]

    def jobs(self) -> Rows:
        return self.rows(f"select * from {TABLES[self.name]}")


@pytest.fixture(params=["sample", "legacy"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def opened(name: str, kind: str, folder: Path) -> Iterator[Source]:
    path = unpack(f"{name}.db", folder) if kind == "legacy" else folder / f"{name}.db"
    upgrade.build(name, path)
    with closing(connect(path)) as connection:
        if kind == "sample":
            samples.add(name, connection)
        connection.row_factory = sqlite3.Row
        yield Source(name, connection)


@pytest.fixture
def builds(kind: str, tmp_path: Path) -> Iterator[Source]:
    yield from opened("yt-builder", kind, tmp_path)


@pytest.fixture
def presentations(kind: str, tmp_path: Path) -> Iterator[Source]:
    yield from opened("presentation_jobs", kind, tmp_path)


@pytest.fixture(params=list(TABLES))
def source(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> Iterator[Source]:
    yield from opened(str(request.param), kind, tmp_path)


def moment(value: Any) -> datetime | None:
    if isinstance(value, int):
        return datetime.fromtimestamp(value, UTC)
    if value is None:
        return None
    read = datetime.fromisoformat(value)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def text(value: datetime) -> str:
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def percentile(values: list[float], share: float) -> float:
    place = (len(values) - 1) * share
    low = values[int(place)]
    high = values[min(int(place) + 1, len(values) - 1)]
    return low + (high - low) * (place - int(place))


def durations(jobs: Rows, start: str, end: str) -> list[float]:
    found = []
    for job in jobs:
        began, ended = moment(job[start]), moment(job[end])
        if job["status"] == "completed" and began and ended and ended >= began:
            found.append((ended - began).total_seconds())
    return sorted(found)


def assert_durations(found: Rows, seconds: list[float]) -> None:
    assert len(found) == 1
    assert list(found[0]) == ["jobs", "mean_seconds", "median_seconds", "p95_seconds"]
    assert found[0]["jobs"] == len(seconds) > 0
    for column, value in {
        "mean_seconds": statistics.mean(seconds),
        "median_seconds": statistics.median(seconds),
        "p95_seconds": percentile(seconds, 0.95),
    }.items():
        assert found[0][column] == pytest.approx(value, abs=0.002)


def test_jobs_by_status(source: Source) -> None:
    counts = Counter(job["status"] for job in source.jobs())
    assert source.ask("jobs_by_status") == [
        {"status": status, "jobs": jobs}
        for status, jobs in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


def test_recent_jobs(source: Source) -> None:
    jobs = sorted(
        source.jobs(), key=lambda job: (moment(job["created_at"]), job["job_id"]), reverse=True
    )
    newest = [job["job_id"] for job in jobs]
    assert [row["job_id"] for row in source.ask("recent_jobs")] == newest[:20]
    assert [row["job_id"] for row in source.ask("recent_jobs", limit="3")] == newest[:3]


def test_build_durations(builds: Source) -> None:
    seconds = durations(builds.jobs(), "started_at", "finished_at")
    assert_durations(builds.ask("build_durations"), seconds)


def test_durations(presentations: Source) -> None:
    seconds = durations(presentations.jobs(), "created_at", "completed_at")
    assert_durations(presentations.ask("durations"), seconds)


def test_durations_of_none(tmp_path: Path) -> None:
    upgrade.build("yt-builder", tmp_path / "yt-builder.db")
    with closing(connect(tmp_path / "yt-builder.db")) as connection:
        connection.row_factory = sqlite3.Row
        assert Source("yt-builder", connection).ask("build_durations") == [
            {"jobs": 0, "mean_seconds": None, "median_seconds": None, "p95_seconds": None}
        ]


def test_builds_by_day(builds: Source) -> None:
    days: dict[str, Counter[str]] = {}
    for job in builds.jobs():
        for event, column in {"created": "created_at", job["status"]: "finished_at"}.items():
            at = moment(job[column])
            if at and event in ("created", "completed", "failed"):
                days.setdefault(f"{at:%Y-%m-%d}", Counter())[event] += 1
    assert builds.ask("builds_by_day") == [
        {"day": day, **{event: days[day][event] for event in ("created", "completed", "failed")}}
        for day in sorted(days, reverse=True)
    ]


def test_failure_reasons(source: Source) -> None:
    ends = ("finished_at",) if source.name == "yt-builder" else ("completed_at", "last_heartbeat")
    seen: dict[str | None, list[datetime]] = {}
    for job in source.jobs():
        if job["status"] == "failed":
            times = (moment(job[column]) for column in (*ends, "created_at"))
            seen.setdefault(job["error"], []).append(next(time for time in times if time))
    found = source.ask("failure_reasons")
    assert [row["jobs"] for row in found] == sorted(map(len, seen.values()), reverse=True)
    assert {row["error"]: (row["jobs"], row["last_seen"][:19]) for row in found} == {
        error: (len(times), text(max(times))[:19]) for error, times in seen.items()
    }


def test_file_counts(builds: Source) -> None:
    types = yt_builder.FILE_TYPES
    files = builds.rows("select job_id, file_type from job_files")
    for job in builds.jobs():
        own = Counter(row["file_type"] for row in files if row["job_id"] == job["job_id"])
        counts = {file_type: own[file_type] for file_type in types}
        assert builds.ask("file_counts", job_id=str(job["job_id"])) == [counts]
    every = Counter(row["file_type"] for row in files)
    assert builds.ask("file_counts") == [{file_type: every[file_type] for file_type in types}]
    assert builds.ask("file_counts", job_id="none") == [dict.fromkeys(types, 0)]


def test_uploads_by_privacy(builds: Source) -> None:
    jobs: dict[str, list[int]] = {}
    for row in builds.rows("select privacy, job_id from youtube_uploads"):
        jobs.setdefault(row["privacy"], []).append(row["job_id"])
    found = builds.ask("uploads_by_privacy")
    assert {row["privacy"]: (row["uploads"], row["jobs"]) for row in found} == {
        privacy: (len(numbers), len(set(numbers))) for privacy, numbers in jobs.items()
    }


def test_uploads(builds: Source) -> None:
    uploads = sorted(
        builds.rows("select * from youtube_uploads"),
        key=lambda row: (moment(row["uploaded_at"]), row["id"]),
        reverse=True,
    )
    assert builds.ask("uploads") == uploads
    job_id = uploads[0]["job_id"]
    own = [row for row in uploads if row["job_id"] == job_id]
    assert builds.ask("uploads", job_id=str(job_id)) == own
    assert builds.ask("uploads", job_id="0") == []


def test_stale_jobs(source: Source) -> None:
    running = {"yt-builder": "running", "presentation_jobs": "processing"}[source.name]
    signs = {
        "yt-builder": ("last_heartbeat", "started_at", "created_at"),
        "presentation_jobs": ("last_heartbeat", "created_at"),
    }[source.name]
    module = {"yt-builder": yt_builder, "presentation_jobs": presentation_jobs}[source.name]
    last = {
        job["job_id"]: next(filter(None, (moment(job[sign]) for sign in signs)))
        for job in source.jobs()
        if job["status"] == running
    }
    found = source.ask("stale_jobs")
    assert {row["job_id"] for row in found} == set(last)
    age = datetime.now(UTC) - sorted(last.values())[len(last) // 2] if last else timedelta()
    minutes = int(age.total_seconds() // 60)
    older = {key for key, at in last.items() if at < datetime.now(UTC) - age}
    some = {row["job_id"] for row in source.ask("stale_jobs", minutes=str(minutes))}
    assert older <= some <= set(last)
    source.connection.row_factory = None
    recovered = module.recover(source.connection, stale_minutes=10)
    assert {*recovered.queued, *recovered.failed} == set(last)
    source.connection.row_factory = sqlite3.Row
    assert source.ask("stale_jobs", minutes="0") == []


def test_stale_jobs_by_minutes(tmp_path: Path) -> None:
    upgrade.build("yt-builder", tmp_path / "yt-builder.db")
    with closing(connect(tmp_path / "yt-builder.db")) as connection:
        for minutes in (5, 15, 90):
            heard = text(datetime.now(UTC) - timedelta(minutes=minutes, seconds=30))
            yt_builder.add_job(
                connection, {"status": "running", "run_id": str(minutes), "last_heartbeat": heard}
            )
        connection.row_factory = sqlite3.Row
        source = Source("yt-builder", connection)
        for asked, stale in {"": [90, 15], "0": [90, 15, 5], "60": [90], "100": []}.items():
            found = source.ask("stale_jobs", minutes=asked)
            assert [row["minutes_silent"] for row in found] == stale


@pytest.mark.parametrize("days", ["", "0", "100", "36500"])
def test_cleanup_preview_says_what_a_cleanup_deletes(source: Source, days: str) -> None:
    cleanups = {
        "yt-builder": yt_builder.cleanup_old_jobs,
        "presentation_jobs": presentation_jobs.delete_old_jobs,
    }
    preview = source.ask("cleanup_preview", days=days)
    kept = {job["job_id"] for job in source.jobs()} - {row["job_id"] for row in preview}
    arguments = [int(days)] if days else []
    assert cleanups[source.name](source.connection, *arguments) == len(preview)
    assert {job["job_id"] for job in source.jobs()} == kept


def test_cleanup_preview_counts_what_goes_too(builds: Source) -> None:
    files = Counter(row["job_id"] for row in builds.rows("select job_id from job_files"))
    uploads = Counter(row["job_id"] for row in builds.rows("select job_id from youtube_uploads"))
    found = builds.ask("cleanup_preview", days="0")
    ended = [job for job in builds.jobs() if job["finished_at"]]
    assert len(found) == len(ended) > 0
    for row in found:
        assert (row["files"], row["uploads"]) == (files[row["job_id"]], uploads[row["job_id"]])


@pytest.mark.parametrize("key", OURS, ids="-".join)
def test_no_query_scans_a_table(key: tuple[str, str], tmp_path: Path) -> None:
    upgrade.build(key[0], tmp_path / "jobs.db")
    with closing(connect(tmp_path / "jobs.db")) as connection:
        plan = connection.execute(
            f"explain query plan {QUERIES[key].sql}", dict.fromkeys(PARAMETERS, "")
        ).fetchall()
    assert [step for *_, step in plan if GROWING.search(step)] == []


async def test_datasette_answers_every_query(data_dir: Path) -> None:
    for name in TABLES:
        upgrade.build(name, unpack(f"{name}.db", data_dir))
    with serving() as datasette:
        await datasette.invoke_startup()
        for name, query in OURS:
            response = await datasette.client.get(f"/{name}/{query}.json")
            assert response.status_code == 200, response.text
            rows = json.loads(response.text, parse_constant=pytest.fail)["rows"]
            assert rows, query
            assert len({tuple(row) for row in rows}) == 1


def test_every_query_of_the_contract_is_there() -> None:
    named: dict[str, dict[str, CannedQuery]] = {}
    for (database, name), query in QUERIES.items():
        named.setdefault(database, {})[name] = query
    assert set(named["yt-builder"]) == {
        "jobs_by_status",
        "recent_jobs",
        "builds_by_day",
        "build_durations",
        "failure_reasons",
        "file_counts",
        "uploads_by_privacy",
        "uploads",
        "stale_jobs",
        "cleanup_preview",
    }
    assert set(named["presentation_jobs"]) == {
        "jobs_by_status",
        "recent_jobs",
        "durations",
        "failure_reasons",
        "stale_jobs",
        "cleanup_preview",
    }
