"""The Python functions of `presentation_jobs`, and programs that know only the earlier table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from loaders import open_database, presentation_jobs
from loaders.connections import connect
from loaders.errors import Conflict, DuplicateKey


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "presentation_jobs.db"
    open_database("presentation_jobs", file).close()
    return file


@pytest.fixture
def db(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(path)) as opened:
        yield opened


def test_a_job_as_the_earlier_system_writes_it(db: sqlite3.Connection) -> None:
    job_data = {
        "job_id": "a",
        "status": "queued",
        "progress": 0.0,
        "created_at": datetime(2025, 11, 10, 9, 0, tzinfo=UTC),
        "created_files": [],
    }
    job = presentation_jobs.create(db, job_data)
    assert job == {
        **dict.fromkeys(presentation_jobs.JOBS.columns),
        **job_data,
        "created_at": "2025-11-10T09:00:00.000Z",
        "attempts": 0,
        "config": None,
        "priority": 0,
        "run_after": None,
    }
    assert presentation_jobs.get(db, "a") == job
    running = presentation_jobs.update(db, "a", status="processing", progress=33.3)
    assert running is not None
    assert (running["progress"], running["attempts"]) == (33.3, 1)
    done = presentation_jobs.update(
        db,
        "a",
        status="completed",
        progress=1.0,
        video_url="https://x/a.mp4",
        created_files=["a.png"],
    )
    assert done is not None
    assert (done["progress"], done["created_files"]) == (100.0, ["a.png"])
    assert done["completed_at"] is not None
    assert [job["job_id"] for job in presentation_jobs.get_all(db)] == ["a"]
    assert presentation_jobs.get_all(db, status="queued") == []
    assert presentation_jobs.delete(db, "a") is True
    assert presentation_jobs.delete(db, "a") is False


def test_defaults_and_changes_as_a_mapping(db: sqlite3.Connection) -> None:
    job = presentation_jobs.create(db, {"created_files": None})
    assert (job["status"], job["progress"], job["created_files"]) == ("queued", 0, [])
    changed = presentation_jobs.update(db, job["job_id"], {"error": "x", "job_id": "other"})
    assert changed is not None
    assert (changed["job_id"], changed["error"]) == (job["job_id"], "x")


def test_unknown_jobs_are_none(db: sqlite3.Connection) -> None:
    assert presentation_jobs.get(db, "a") is None
    assert presentation_jobs.update(db, "a", status="queued") is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"job_id": ""}, "presentation_jobs.job_id: must not be empty"),
        ({"job_id": 5}, "presentation_jobs.job_id: must be text, not 5"),
        ({"status": "Completed"}, "presentation_jobs.status: must be one of"),
        ({"progress": 100.5}, "presentation_jobs.progress: must be a number from 0 to 100"),
        ({"progress": "n/a"}, "presentation_jobs.progress: must be a number, not 'n/a'"),
        ({"created_files": 5}, "presentation_jobs.created_files: must be a JSON list"),
        ({"created_files": "not json"}, "presentation_jobs.created_files: is not valid JSON"),
        ({"size": 5}, 'presentation_jobs has no column "size"'),
    ],
)
def test_bad_values_are_named(db: sqlite3.Connection, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="^" + message):
        presentation_jobs.create(db, values)
    assert presentation_jobs.get_all(db) == []


def test_keys_and_moves(db: sqlite3.Connection) -> None:
    presentation_jobs.create(db, {"job_id": "a", "status": "completed"})
    with pytest.raises(DuplicateKey) as refused:
        presentation_jobs.create(db, {"job_id": "a"})
    assert str(refused.value) == 'job "a" already exists'
    with pytest.raises(Conflict) as forbidden:
        presentation_jobs.update(db, "a", status="processing")
    message = "presentation_jobs.status: cannot go from completed to processing"
    assert str(forbidden.value) == message


def test_a_program_of_the_earlier_system_goes_on(path: Path) -> None:
    """The statements that its SQLAlchemy model sends."""
    with closing(sqlite3.connect(path)) as old:
        old.execute(
            """
            insert into presentation_jobs (job_id, status, progress, error, video_url,
                thumbnail_url, slide_image_path, created_at, completed_at, last_heartbeat,
                created_files)
            values (?, 'queued', 0.0, null, null, null, null, ?, null, null, ?)
            """,
            ("a", "2025-11-10 09:00:00.000000", "null"),
        )
        old.execute(
            "update presentation_jobs set status = ?, last_heartbeat = ? where job_id = ?",
            ("processing", "2025-11-10 09:00:05.000000", "a"),
        )
        old.execute(
            """
            update presentation_jobs
            set status = ?, progress = ?, completed_at = ?, created_files = ?
            where job_id = ?
            """,
            ("completed", 100.0, "2025-11-10 09:01:00.000000", '["a.png"]', "a"),
        )
        old.commit()
        row = old.execute(
            "select status, created_at, completed_at, created_files from presentation_jobs"
        ).fetchone()
        assert row == (
            "completed",
            "2025-11-10 09:00:00.000000",
            "2025-11-10 09:01:00.000000",
            '["a.png"]',
        )
        old.execute("delete from presentation_jobs where created_at < ?", ("2025-11-11",))
        assert old.execute("select count(*) from presentation_jobs").fetchone() == (0,)
