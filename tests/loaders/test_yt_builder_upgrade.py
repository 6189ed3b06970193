"""Old `yt-builder.db` files are adopted whole; files of strangers are set aside."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from legacy import rows, unpack

from loaders import checks, upgrade, yt_builder
from loaders.connections import connect

CHILDREN = ("job_files", "youtube_uploads")
NEW_COLUMNS = {
    "worker": None,
    "last_heartbeat": None,
    "attempts": 0,
    "priority": 0,
    "run_after": None,
}
NEW_YORK = "America/New_York"

OLD_JOB = """
insert into jobs (job_id, run_id, run_dir, status, created_at, started_at, finished_at)
values (:job_id, :run_id, :run_dir, 'queued', :created_at, :started_at, :finished_at)
"""
OLD_FILE = """
insert into job_files (job_id, file_type, filename, file_path, uploaded_at)
values (:job_id, 'videos', :filename, :file_path, :uploaded_at)
"""


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    return unpack("yt-builder.db", tmp_path)


@pytest.fixture
def small_file(tmp_path: Path) -> Path:
    """The author's own file, without its rows."""
    path = unpack("yt-builder_real_author.db", tmp_path)
    change(path, "delete from jobs")
    change(path, "delete from job_files")
    return path


def change(path: Path, sql: str, values: dict[str, Any] | None = None) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(sql, values or {})
        connection.commit()


def add_job(path: Path, job_id: int, **columns: Any) -> None:
    run = f"run-{job_id}-aa"
    values = {
        "job_id": job_id,
        "run_id": run,
        "run_dir": f"runs/{run}",
        "created_at": "2025-11-18T10:00:00",
        "started_at": None,
        "finished_at": None,
    }
    change(path, OLD_JOB, {**values, **columns})


def add_file(path: Path, filename: str, **columns: Any) -> None:
    values = {
        "job_id": 1,
        "filename": filename,
        "file_path": f"uploads/{filename}",
        "uploaded_at": "2025-11-18T10:30:00",
    }
    change(path, OLD_FILE, {**values, **columns})


def set_aside(path: Path) -> dict[str, str]:
    """Name of each file that was set aside, and why."""
    found = rows(path, "select content, reason from set_aside order by id")
    return {json.loads(row["content"])["filename"]: row["reason"] for row in found}


def test_every_job_stays_as_it_was(old_file: Path) -> None:
    before = rows(old_file, "select * from jobs order by job_id")
    assert len(before) == 300
    upgrade.build("yt-builder", old_file)
    assert rows(old_file, "select * from jobs order by job_id") == [
        {**row, **NEW_COLUMNS} for row in before
    ]


def test_every_child_is_where_it_belongs_or_set_aside_whole(old_file: Path) -> None:
    before = {table: rows(old_file, f"select * from {table} order by id") for table in CHILDREN}
    upgrade.build("yt-builder", old_file)
    for table in CHILDREN:
        kept = rows(old_file, f"select * from {table} order by id")
        aside = rows(old_file, f"select * from set_aside where table_name = '{table}'")
        moved = [json.loads(row["content"]) for row in aside]
        assert sorted(kept + moved, key=lambda row: row["id"]) == before[table]
        assert [row["row_key"] for row in aside] == [str(row["id"]) for row in moved]
    counts = rows(
        old_file,
        "select table_name, reason, count(*) as rows from set_aside group by 1, 2 order by 1, 2",
    )
    assert [tuple(row.values()) for row in counts] == [
        ("job_files", "it is under another run's folder than its job's", 6),
        ("job_files", "its job is gone", 354),
        ("youtube_uploads", "it was there before its job, whose number another job had", 1),
        ("youtube_uploads", "its job is gone", 20),
    ]


def test_a_reused_number_shows_no_stranger(old_file: Path) -> None:
    upgrade.build("yt-builder", old_file)
    with closing(connect(old_file)) as connection:
        assert yt_builder.get_job_files(connection, 293) == []
        assert yt_builder.get_youtube_uploads(connection, 293) == []


def test_numbers_go_on_behind_the_last_that_was_given(old_file: Path) -> None:
    upgrade.build("yt-builder", old_file)
    with closing(connect(old_file)) as connection:
        assert yt_builder.get_next_job_id(connection) == 366


def test_numbers_of_deleted_jobs_count(small_file: Path) -> None:
    add_file(small_file, "a.mp4", job_id=41, file_path="/srv/runs/run-41-0a1b/videos/a.mp4")
    add_file(small_file, "b.mp4", job_id=999_999, file_path="runs/none/b.mp4")
    upgrade.build("yt-builder", small_file)
    with closing(connect(small_file)) as connection:
        assert yt_builder.get_next_job_id(connection) == 42


def test_a_second_run_changes_nothing(old_file: Path) -> None:
    upgrade.build("yt-builder", old_file)
    content = old_file.read_bytes()
    again = upgrade.build("yt-builder", old_file)
    assert (again.migrations, again.backup) == ([], None)
    assert old_file.read_bytes() == content


def test_credentials_stay_and_nothing_else_of_them(old_file: Path) -> None:
    before = rows(old_file, "select * from youtube_credentials")
    upgrade.build("yt-builder", old_file)
    assert rows(old_file, "select * from youtube_credentials") == before
    assert old_file.read_bytes().count(b"ya29.FAKE-SECRET-DO-NOT-SERVE") == 1
    found = checks.examine("yt-builder", old_file).notes
    assert "table youtube_credentials: not created by Dailies" in found


def test_check_names_what_was_set_aside(old_file: Path) -> None:
    upgrade.build("yt-builder", old_file)
    found = "\n".join(checks.check("yt-builder", old_file))
    assert "set_aside: 354 of job_files (its job is gone): 1, 2" in found
    assert "FAKE" not in found


def test_the_authors_own_file(tmp_path: Path) -> None:
    path = unpack("yt-builder_real_author.db", tmp_path)
    before = {table: rows(path, f"select * from {table}") for table in ("jobs", *CHILDREN)}
    upgrade.build("yt-builder", path)
    assert rows(path, "select * from jobs") == [{**row, **NEW_COLUMNS} for row in before["jobs"]]
    assert {table: rows(path, f"select * from {table}") for table in CHILDREN} == {
        table: before[table] for table in CHILDREN
    }
    assert checks.check("yt-builder", path) == []


def test_whose_a_file_is(small_file: Path) -> None:
    add_job(small_file, 1)
    add_job(small_file, 2, run_dir="/srv/alpha")
    paths = {
        "own": "runs/run-1-aa/videos/own",
        "own below another name": "runs/run-1-aa/run-9-zz/own",
        "own elsewhere": "/old/disk/run-1-aa/videos/own",
        "own, from Windows": "runs\\run-1-aa\\videos\\own",
        "nobody's": "uploads/clip.mp4",
        "out of the folder": "runs/run-1-aa/sounds/../../etc/passwd.mp3",
        "of a dead run": "runs/run-1-bb/videos/secret",
        "of a dead run, from Windows": "C:\\runs\\run-1-bb\\videos\\secret",
        "of another run": "/srv/alpha/videos/secret",
        "of another run, by dots": "runs/run-1-aa/../run-2-bb/secret",
    }
    for name, path in paths.items():
        add_file(small_file, name, file_path=path)
    add_file(small_file, "older", uploaded_at="2025-11-18T09:59:59")
    add_file(small_file, "older, with a zone", uploaded_at="2025-11-18T11:00:00+02:00")
    add_file(small_file, "of that moment", uploaded_at="2025-11-18T10:00:00")
    add_file(small_file, "at no time", uploaded_at="yesterday")
    upgrade.build("yt-builder", small_file)
    elsewhere = "it is under another run's folder than its job's"
    older = "it was there before its job, whose number another job had"
    assert set_aside(small_file) == {
        "of a dead run": elsewhere,
        "of a dead run, from Windows": elsewhere,
        "of another run": elsewhere,
        "of another run, by dots": elsewhere,
        "older": older,
        "older, with a zone": older,
    }


def test_times_are_taken_in_the_configured_zone(
    old_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAILIES_TIMEZONE", NEW_YORK)
    change(old_file, "update jobs set created_at = '2025-07-01T12:00:00.123456' where job_id = 9")
    change(old_file, "update jobs set started_at = '2025-07-01 12:00:05' where job_id = 9")
    change(old_file, "update jobs set finished_at = '2025-07-01T12:00:09Z' where job_id = 9")
    upgrade.build("yt-builder", old_file)
    assert rows(old_file, "select created_at, started_at, finished_at from jobs limit 1") == [
        {
            "created_at": "2025-07-01T16:00:00.123Z",
            "started_at": "2025-07-01T16:00:05.000Z",
            "finished_at": "2025-07-01T12:00:09Z",
        }
    ]
    local = "select count(*) as local from jobs where created_at not like '%Z'"
    assert rows(old_file, local) == [{"local": 0}]


def test_the_hour_that_comes_twice(small_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clocks went back from 02:00 to 01:00 on 2 November 2025."""
    monkeypatch.setenv("DAILIES_TIMEZONE", NEW_YORK)
    add_job(
        small_file,
        1,
        created_at="2025-11-02T01:40:00",
        started_at="2025-11-02T01:10:00",
        finished_at="2025-11-02T01:50:00",
    )
    add_file(small_file, "after the change", uploaded_at="2025-11-02T01:05:00")
    add_file(small_file, "before midnight", uploaded_at="2025-11-01T23:00:00")
    upgrade.build("yt-builder", small_file)
    assert rows(small_file, "select created_at, started_at, finished_at from jobs") == [
        {
            "created_at": "2025-11-02T05:40:00.000Z",
            "started_at": "2025-11-02T06:10:00.000Z",
            "finished_at": "2025-11-02T06:50:00.000Z",
        }
    ]
    kept = rows(small_file, "select filename, uploaded_at from job_files")
    assert kept == [{"filename": "after the change", "uploaded_at": "2025-11-02T06:05:00.000Z"}]
    assert list(set_aside(small_file)) == ["before midnight"]


def test_broken_rows_stay_or_are_mended(small_file: Path) -> None:
    for number in range(1, 6):
        add_job(small_file, number)
    change(small_file, "update jobs set status = 'lost', progress = 'half' where job_id = 1")
    texts = {2: '{"a": NaN, "b": "\\ud83d"}', 3: "not json", 4: "null", 5: "[1]"}
    for number, text in texts.items():
        change(
            small_file,
            "update jobs set config = :text where job_id = :number",
            {"text": text, "number": number},
        )
    change(small_file, "alter table jobs add column colour text default 'red'")
    change(small_file, "create index by_colour on jobs (colour)")
    upgrade.build("yt-builder", small_file)
    stored = rows(small_file, "select status, progress, config, colour from jobs")
    assert [row["config"] for row in stored] == [
        None, '{"a": null, "b": "\ufffd"}', "{}", "null", "[1]",
    ]  # fmt: skip
    assert (stored[0]["status"], stored[0]["progress"]) == ("lost", "half")
    assert {row["colour"] for row in stored} == {"red"}
    aside = rows(small_file, "select row_key, content from set_aside")
    assert [(row["row_key"], row["content"]) for row in aside] == [("2", texts[2]), ("3", texts[3])]
    findings = checks.examine("yt-builder", small_file)
    found = findings.problems
    assert "jobs.config must be a JSON object: 5" in found
    assert "jobs.progress must be a whole number from 0 to 100: 1" in found
    assert "index by_colour: not created by Dailies" in findings.notes
    with closing(connect(small_file)) as connection:
        job = yt_builder.update_job(connection, 1, {"error": "found", "status": "lost"})
        assert job is not None
        assert (job["status"], job["error"]) == ("lost", "found")


def test_a_killed_upgrade_leaves_the_old_file(
    old_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [rows(old_file, f"select * from {table}") for table in ("jobs", *CHILDREN)]
    monkeypatch.setenv("DAILIES_TIMEZONE", "Nowhere/Land")
    with pytest.raises(ValueError, match=r'^unknown time zone "Nowhere/Land"'):
        upgrade.build("yt-builder", old_file)
    assert before == [rows(old_file, f"select * from {table}") for table in ("jobs", *CHILDREN)]
    names = rows(old_file, "select name from sqlite_master where name = 'set_aside'")
    assert names == []
