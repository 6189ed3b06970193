"""Old `presentation_jobs.db` files are adopted whole."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from legacy import rows, unpack

from loaders import checks, presentation_jobs, upgrade
from loaders.connections import connect

ALL = "select * from presentation_jobs order by rowid"
NEW_COLUMNS = {
    "worker": None, "attempts": 0, "current_step": None,
    "config": None, "priority": 0, "run_after": None,
}  # fmt: skip
LONG = "x" * 80


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    return unpack("presentation_jobs.db", tmp_path)


def test_every_row_stays_as_it_was(old_file: Path) -> None:
    before = rows(old_file, ALL)
    types = (
        "select typeof(created_at), typeof(created_files), typeof(progress) from presentation_jobs"
    )
    types_before = rows(old_file, types)
    assert len(before) == 200
    upgrade.build("presentation_jobs", old_file)
    mended = [
        {**row, **NEW_COLUMNS, **({"created_files": "[]"} if row["job_id"] == "shell-1" else {})}
        for row in before
    ]
    assert rows(old_file, ALL) == mended
    assert rows(old_file, types) == types_before


def test_what_is_no_json_is_set_aside(old_file: Path) -> None:
    upgrade.build("presentation_jobs", old_file)
    aside = rows(old_file, "select table_name, row_key, reason, content from set_aside")
    assert aside == [
        {
            "table_name": "presentation_jobs",
            "row_key": "shell-1",
            "reason": "created_files was no valid JSON; what could be read of it stays",
            "content": "not json",
        }
    ]


def test_check_names_what_is_odd(old_file: Path) -> None:
    upgrade.build("presentation_jobs", old_file)
    statuses = "queued, processing, completed, failed"
    assert checks.check("presentation_jobs", old_file)[1:] == [
        f"presentation_jobs.status must be one of {statuses}: shell-1, {LONG}",
        f"presentation_jobs.progress must be a number from 0 to 100: {LONG}",
        f"presentation_jobs.created_files must be a JSON list: {LONG}",
    ]


def test_every_row_is_read(old_file: Path) -> None:
    upgrade.build("presentation_jobs", old_file)
    with closing(connect(old_file)) as connection:
        jobs = presentation_jobs.get_all(connection)
    assert len(jobs) == 200
    files = {job["job_id"]: job["created_files"] for job in jobs}
    assert (files["shell-1"], files[LONG]) == ([], 5)


def test_an_odd_status_may_become_any_of_ours(old_file: Path) -> None:
    upgrade.build("presentation_jobs", old_file)
    with closing(connect(old_file)) as connection:
        job = presentation_jobs.update(connection, LONG, status="queued")
        assert job is not None
        assert job["status"] == "queued"
        with pytest.raises(ValueError, match=r"status: must be one of"):
            presentation_jobs.update(connection, LONG, status="Completed")


def test_times_are_taken_in_the_configured_zone(
    old_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAILIES_TIMEZONE", "America/New_York")
    first = rows(old_file, ALL)[0]
    assert first["created_at"].startswith("2025-11-01 1")
    odd = "select created_at from presentation_jobs where created_at not glob '????-??-?? *'"
    kept = rows(old_file, odd)
    upgrade.build("presentation_jobs", old_file)
    hour = int(first["created_at"][11:13]) + 4
    said = f"{first['created_at'][:10]}T{hour}{first['created_at'][13:23]}Z"
    assert rows(old_file, ALL)[0]["created_at"] == said
    assert [row for row in rows(old_file, odd) if row in kept] == kept


def test_a_second_run_changes_nothing(old_file: Path) -> None:
    upgrade.build("presentation_jobs", old_file)
    content = old_file.read_bytes()
    again = upgrade.build("presentation_jobs", old_file)
    assert (again.migrations, again.backup) == ([], None)
    assert old_file.read_bytes() == content


def test_the_empty_file_of_phase_1(tmp_path: Path) -> None:
    path = unpack("presentation_jobs_phase1.db", tmp_path)
    upgrade.build("presentation_jobs", path)
    assert checks.check("presentation_jobs", path) == []
    with closing(connect(path)) as connection:
        assert presentation_jobs.get_all(connection) == []
        assert presentation_jobs.create(connection, {"job_id": "a"})["status"] == "queued"
