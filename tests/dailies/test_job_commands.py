"""`dailies jobs ...` offers the operations of the API on the command line."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from server_process import RunDailies

from loaders import campaigns, open_database, presentation_jobs, yt_builder

JOBS = [
    {"id": "a", "job_name": "Autumn", "product": "Tea", "language": "German"},
    {"id": "b", "job_name": "Spring", "product": "Tea", "language": "English"},
    {"id": "c", "job_name": "Winter", "product": "Skis", "language": "English"},
]


@pytest.fixture
def stored(data_dir: Path) -> None:
    with closing(open_database("campaigns")) as db:
        campaigns.bulk_add_jobs(db, JOBS)
    with closing(open_database("yt-builder")) as db:
        for status in ("queued", "failed", "completed"):
            yt_builder.add_job(db, {"status": status, "config": {"title": f"{status} one"}})
    with closing(open_database("presentation_jobs")) as db:
        presentation_jobs.create(db, {"job_id": "p", "status": "failed"})


@pytest.fixture
def run(run_dailies: RunDailies, stored: None) -> Any:
    def run_jobs(*words: str, status: int = 0) -> Any:
        done = run_dailies("jobs", *words, "--json")
        assert done.returncode == status, done.stderr
        return json.loads(done.stdout)

    return run_jobs


def keys(document: Any) -> list[Any]:
    return [row.get("id", row.get("job_id")) for row in document["rows"]]


def test_list_filters_and_searches(run: Any) -> None:
    assert sorted(keys(run("list", "campaigns"))) == ["a", "b", "c"]
    assert keys(run("list", "campaigns", "--where", "language=German")) == ["a"]
    assert keys(run("list", "campaigns", "-q", "tea", "--where", "language=English")) == ["b"]
    assert keys(run("list", "yt-builder", "-q", "failed one")) == [2]
    assert keys(run("list", "yt-builder", "--limit", "1")) == [3]
    wrong = run("list", "campaigns", "--where", "colour=red", status=1)
    assert wrong["error"].startswith('unknown parameter "colour": use one of id, job_name, product')


def test_show_and_history(run: Any) -> None:
    assert run("show", "presentation_jobs", "p")["rows"][0]["status"] == "failed"
    assert run("show", "yt-builder", "x", status=1)["error"] == 'There is no job "x"'
    [event] = run("history", "yt-builder", "2")["rows"]
    assert (event["status_from"], event["status_to"]) == (None, "failed")
    [version] = run("history", "campaigns", "a")["rows"]
    assert (version["version"], version["data"]) == (1, JOBS[0])
    missing = run("history", "campaigns", "nobody", status=1)
    assert missing["error"] == 'There was never a job "nobody"'


def test_delete_many_and_undo(run: Any) -> None:
    before = run("list", "campaigns", "--where", "product=Tea")["rows"]
    wanted = ("delete", "campaigns", "--where", "product=Tea")
    assert run(*wanted, "--dry-run")["matched"] == 2
    assert len(run("list", "campaigns")["rows"]) == 3
    done = run(*wanted)
    assert (done["matched"], done["changed"], done["left"]) == (2, 2, 0)
    assert keys(run("list", "campaigns")) == ["c"]
    assert sorted(keys(run("trash"))) == ["a", "b"]
    assert {row["actor"] for row in run("trash")["rows"]} == {"command line"}
    assert run("undo", done["undo"])["changed"] == 2
    after = run("list", "campaigns", "--where", "product=Tea")["rows"]
    times = ("created_at", "updated_at")
    assert {row["id"]: {k: row[k] for k in row if k not in times} for row in after} == {
        row["id"]: {k: row[k] for k in row if k not in times} for row in before
    }
    assert keys(run("trash")) == []


def test_duplicate_and_restore(run: Any) -> None:
    [copy] = run("duplicate", "a")["rows"]
    assert (copy["job_name"], copy["product"]) == ("Autumn (Copy)", "Tea")
    run("delete", "campaigns", "--where", "id=a")
    [back] = run("restore", "a")["rows"]
    assert back["job_name"] == "Autumn"
    again = run("restore", "a", status=1)
    assert again["error"] == 'The job "a" is not deleted: name the version to restore'
    [first] = run("restore", "a", "--version", "1")["rows"]
    assert first["language"] == "German"


def test_retry_and_cancel(run: Any) -> None:
    done = run("retry", "yt-builder", "-q", "one")
    assert (done["matched"], done["changed"], done["left"]) == (3, 1, 2)
    done = run("cancel", "yt-builder", "--where", "status=queued")
    assert (done["matched"], done["changed"]) == (2, 2)
    [event, *_] = run("history", "yt-builder", "2")["rows"]
    assert (event["status_from"], event["status_to"], event["actor"]) == (
        "queued",
        "cancelled",
        "command line",
    )
    assert run("retry", "presentation_jobs", "--where", "job_id=p")["changed"] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("delete", "campaigns"), "at least one filter is required"),
        (("retry", "campaigns", "-q", "x"), "campaigns does not support retry"),
        (("cancel", "presentation_jobs", "-q", "x"), "presentation_jobs does not support cancel"),
        (("list", "campaigns", "--where", "x"), "--where needs COLUMN=VALUE"),
        (("list", "metrics"), 'unknown database "metrics"'),
    ],
)
def test_bad_usage(
    run_dailies: RunDailies, stored: None, words: tuple[str, ...], message: str
) -> None:
    done = run_dailies("jobs", *words)
    assert done.returncode == 2
    assert message in done.stderr


def test_without_json_results_are_lines(run_dailies: RunDailies, stored: None) -> None:
    done = run_dailies("jobs", "delete", "campaigns", "--where", "id=c")
    assert done.stdout.splitlines()[0] == "delete: 1 jobs match, 1 changed"
    assert done.stdout.splitlines()[1].startswith("to undo: dailies jobs undo ")
    assert done.stderr == ""
