"""The Python functions of `yt-builder`, and programs that know only the earlier system's tables."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from loaders import open_database, yt_builder
from loaders.connections import connect
from loaders.errors import Conflict, DuplicateKey

CONFIG = {"duration": 60, "title": "Ocean ☔", "nested": {"a": [1, {"b": None}]}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "yt-builder.db"
    open_database("yt-builder", file).close()
    return file


@pytest.fixture
def db(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(path)) as opened:
        yield opened


@pytest.fixture
def job_id(db: sqlite3.Connection) -> int:
    number = yt_builder.get_next_job_id(db)
    yt_builder.create_job(db, number, f"run-{number}-abc123", f"runs/run-{number}-abc123", CONFIG)
    return number


def test_a_job_as_the_earlier_system_describes_it(db: sqlite3.Connection, job_id: int) -> None:
    job = yt_builder.get_job(db, job_id)
    assert job is not None
    assert (job["status"], job["progress"], job["config"]) == ("preparing", 0, CONFIG)
    done = yt_builder.update_job_status(
        db, job_id, status="completed", progress=100, output_file="/path/to/output.mp4"
    )
    assert done is not None
    assert (done["status"], done["output_file"]) == ("completed", "/path/to/output.mp4")
    assert done["finished_at"] is not None
    config = yt_builder.update_job_config(db, job_id, {"fps": 60})
    assert config is not None
    assert config["config"] == {"fps": 60}


def test_the_calls_that_the_seed_prints(db: sqlite3.Connection, job_id: int) -> None:
    yt_builder.add_file(db, job_id, "videos", "video.mp4", "/path/to/video.mp4")
    yt_builder.add_file(db, job_id, "videos", "other.mp4", "/path/to/other.mp4")
    yt_builder.add_file(db, job_id, "music", "song.mp3", "/path/to/song.mp3")
    counts = {"videos": 2, "music": 1, "sounds": 0, "quotes": 0}
    assert yt_builder.get_file_counts(db, job_id) == counts
    listed = yt_builder.get_job_files(db, job_id, file_type="videos")
    assert [file["filename"] for file in listed] == ["video.mp4", "other.mp4"]
    assert yt_builder.delete_file(db, job_id, "videos", "video.mp4") is True
    assert yt_builder.delete_file(db, job_id, "videos", "video.mp4") is False
    yt_builder.add_youtube_upload(
        db,
        job_id=job_id,
        video_id="dQw4w9WgXcQ",
        video_url="https://youtube.com/watch?v=dQw4w9WgXcQ",
        title="My Video",
        description="Description",
        privacy="private",
        tags=["tag1", "tag2"],
        category="22",
    )
    uploads = yt_builder.get_youtube_uploads(db, job_id=job_id)
    assert uploads == yt_builder.get_youtube_uploads(db)
    assert (uploads[0]["video_id"], uploads[0]["tags"]) == ("dQw4w9WgXcQ", ["tag1", "tag2"])
    assert [job["job_id"] for job in yt_builder.get_all_jobs(db, limit=100)] == [job_id]
    assert yt_builder.cleanup_old_jobs(db, days=30) == 0


def test_a_file_of_the_same_name_is_replaced(db: sqlite3.Connection, job_id: int) -> None:
    first = yt_builder.add_file(db, job_id, "videos", "mp4", "a/mp4")
    second = yt_builder.add_file(db, job_id, "videos", "mp4", "b/mp4")
    assert second["file_path"] == "b/mp4"
    assert second["id"] == first["id"]
    assert len(yt_builder.get_job_files(db, job_id)) == 1


def test_unknown_jobs_are_none(db: sqlite3.Connection) -> None:
    for number in (1, 2**70, -1):
        assert yt_builder.get_job(db, number) is None
        assert yt_builder.update_job_status(db, number, "queued") is None
        assert yt_builder.delete_job(db, number) is False
        assert yt_builder.get_file_counts(db, number) == dict.fromkeys(yt_builder.FILE_TYPES, 0)


def test_what_is_not_given_is_made_up(db: sqlite3.Connection) -> None:
    first, second = yt_builder.create_job(db), yt_builder.create_job(db)
    assert (first["job_id"], second["job_id"]) == (1, 2)
    assert first["run_id"].startswith("run-1-")
    assert first["run_dir"] == f"runs/{first['run_id']}"


def test_a_number_is_never_given_twice(db: sqlite3.Connection) -> None:
    yt_builder.create_job(db, 7, "run-7-a", "runs/run-7-a")
    assert yt_builder.delete_job(db, 7)
    assert yt_builder.get_next_job_id(db) == 8
    assert yt_builder.get_next_job_id(db) == 9
    assert yt_builder.create_job(db)["job_id"] == 10


def test_threads_get_numbers_of_their_own(path: Path) -> None:
    def create(_: int) -> int:
        with closing(connect(path)) as own:
            return int(yt_builder.create_job(own)["job_id"])

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(create, range(40)))
    assert sorted(numbers) == list(range(1, 41))


def test_a_key_that_exists(db: sqlite3.Connection, job_id: int) -> None:
    with pytest.raises(DuplicateKey) as refused:
        yt_builder.create_job(db, job_id, "another", "runs")
    assert str(refused.value) == f"job {job_id} (another) already exists"
    assert isinstance(refused.value, sqlite3.IntegrityError)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"status": "paused"}, "jobs.status: must be one of"),
        ({"status": None}, "NOT NULL constraint failed: jobs.status"),
        ({"status": 1}, "jobs.status: must be text, not 1"),
        ({"progress": 101}, "jobs.progress: must be a whole number from 0 to 100, not 101"),
        ({"progress": 0.5}, "jobs.progress: must be a whole number from 0 to 100, not 0.5"),
        ({"progress": float("nan")}, "jobs.progress: is out of range: nan"),
        ({"progress": 2**70}, "jobs.progress: is out of range"),
        ({"progress": True}, "jobs.progress: must be a number, not True"),
        ({"config": [1]}, "jobs.config: must be a JSON object"),
        ({"config": {"a": float("inf")}}, "jobs.config: is not valid JSON"),
        ({"config": {"a": {1}}}, "jobs.config: is not valid JSON"),
        ({"config": {"a": "\ud83d"}}, "jobs.config: holds half of a character"),
        ({"error": "\ud83d"}, "jobs.error: holds half of a character"),
        ({"created_at": "soon"}, "jobs.created_at: must be a time"),
        ({"created_at": 5}, "jobs.created_at: must be a time"),
        ({"colour": "red"}, 'jobs has no column "colour"'),
    ],
)
def test_bad_values_are_named(
    db: sqlite3.Connection, job_id: int, changes: dict[str, Any], message: str
) -> None:
    before = yt_builder.get_job(db, job_id)
    with pytest.raises(ValueError, match="^" + message.replace("(", r"\(")):
        yt_builder.update_job(db, job_id, changes)
    assert yt_builder.get_job(db, job_id) == before


def test_children_of_no_job_are_refused(db: sqlite3.Connection) -> None:
    with pytest.raises(ValueError, match=r"^job_files.job_id: there is no such job, not 5$"):
        yt_builder.add_file(db, 5, "videos", "a", "b")
    with pytest.raises(ValueError, match=r"^youtube_uploads.job_id: there is no such job, not 5$"):
        yt_builder.add_youtube_upload(db, 5, "v", "u", "t")


def test_a_forbidden_change_of_status_is_a_conflict(db: sqlite3.Connection, job_id: int) -> None:
    yt_builder.update_job_status(db, job_id, "completed")
    with pytest.raises(Conflict) as refused:
        yt_builder.update_job_status(db, job_id, "running")
    assert str(refused.value) == "jobs.status: cannot go from completed to running"


def test_times_are_kept_as_instants(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAILIES_TIMEZONE", "America/New_York")
    job = yt_builder.add_job(db, {"created_at": "2025-11-01T20:00:00"})
    assert job["created_at"] == "2025-11-02T00:00:00.000Z"
    job = yt_builder.add_job(db, {"created_at": datetime(2025, 7, 1, 8, 30)})  # noqa: DTZ001
    assert job["created_at"] == "2025-07-01T12:30:00.000Z"


def test_the_newest_jobs_by_instant(db: sqlite3.Connection) -> None:
    for number, created in enumerate(
        ["2025-11-02 01:00:00", "2025-11-02T00:30:00+00:00", "1762041600", "later"], start=1
    ):
        db.execute(
            "insert into jobs (job_id, run_id, run_dir, created_at) values (?, ?, 'r', ?)",
            (number, f"run-{number}", created),
        )
    assert [job["job_id"] for job in yt_builder.get_all_jobs(db)] == [1, 2, 3, 4]
    assert [job["job_id"] for job in yt_builder.get_all_jobs(db, limit=2)] == [1, 2]
    assert yt_builder.get_all_jobs(db, status="queued") == []


def test_the_actor_is_in_the_events(db: sqlite3.Connection) -> None:
    job = yt_builder.create_job(db, actor="ada")
    yt_builder.update_job_status(db, job["job_id"], "queued", actor="bob")
    yt_builder.delete_job(db, job["job_id"], actor="cleo")
    actors = db.execute("select actor from job_events order by id").fetchall()
    assert actors == [("ada",), ("bob",), ("cleo",)]
    assert db.execute("select actor from write_context").fetchall() == [(None,)]


def test_a_program_of_the_earlier_system_goes_on(path: Path) -> None:
    """Its own statements, with foreign keys off and times of the local clock."""
    with closing(sqlite3.connect(path)) as old:
        old.executescript(
            """
            create table if not exists jobs (
                job_id integer primary key, run_id text not null unique, run_dir text not null,
                status text not null, progress integer default 0, current_step text, config text,
                output_file text, error text, created_at text not null, started_at text,
                finished_at text
            );
            create index if not exists idx_jobs_status on jobs(status);
            create index if not exists idx_jobs_created on jobs(created_at desc);
            """
        )
        number = old.execute("select max(job_id) from jobs").fetchone()[0] or 0
        job_id = number + 1
        old.execute(
            """
            insert into jobs (job_id, run_id, run_dir, status, progress, config, created_at)
            values (?, ?, ?, 'preparing', 0, ?, ?)
            """,
            (job_id, "run-1-aa", "runs/run-1-aa", json.dumps(None), datetime.now().isoformat()),  # noqa: DTZ005
        )
        for name in ("a.mp4", "a.mp4", "b.mp4"):
            old.execute(
                """
                insert or replace into job_files
                    (job_id, file_type, filename, file_path, uploaded_at)
                values (?, 'videos', ?, ?, ?)
                """,
                (job_id, name, f"runs/run-1-aa/videos/{name}", datetime.now().isoformat()),  # noqa: DTZ005
            )
        began = datetime(2025, 11, 2, 1, 40)  # noqa: DTZ001
        for minutes, progress in enumerate((10, 50, 90)):
            old.execute(
                """
                update jobs set status = ?, progress = ?, current_step = ?, started_at = ?
                where job_id = ?
                """,
                ("running", progress, "", (began + timedelta(minutes=minutes)).isoformat(), job_id),
            )
        for status, error in (("cancelled", None), ("failed", "Process exited with code -15")):
            old.execute(
                "update jobs set status = ?, error = ?, finished_at = ? where job_id = ?",
                (status, error, "2025-11-02T01:44:00", job_id),
            )
        old.commit()
        row = old.execute("select status, progress, started_at, finished_at from jobs").fetchone()
        assert row == ("failed", 90, "2025-11-02T01:40:00", "2025-11-02T01:44:00")
        moves = old.execute("select status_to from job_events order by id").fetchall()
        assert moves == [("preparing",), ("running",), ("cancelled",), ("failed",)]
        assert old.execute("select count(*) from job_files").fetchone() == (2,)
        old.execute("delete from jobs where job_id = ?", (job_id,))
        old.commit()
        assert old.execute("select count(*) from job_files").fetchone() == (0,)
