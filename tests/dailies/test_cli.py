"""The command line as people use it: exit status, what it prints where, and never a traceback."""

from __future__ import annotations

import json
import os
import pty
import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from legacy import unpack
from server_process import COMMAND, RunDailies

JOBS_FOR_SECONDS = 250_000  # progress shows after one
MANY_OLD_JOBS = """
with recursive numbers (number) as (
  select 1
  union all
  select number + 1
  from numbers
  where number < :jobs
)
insert into jobs
select 'job' || number, 'Job', json_object('job_name', 'Job')
from numbers
"""

DOCUMENTED = (
    "build", "check", "import", "export", "verify", "info", "backup", "restore", "vacuum", "token",
    "serve",
)  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_command_has_help(run_dailies: RunDailies, name: str) -> None:
    done = run_dailies(name, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(("Usage: dailies", "Usage: python -m dailies.cli.main"))


def document(done: subprocess.CompletedProcess[str]) -> Any:
    """The one JSON document on standard output."""
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


def test_a_file_goes_in_and_comes_out(run_dailies: RunDailies, tmp_path: Path) -> None:
    source = unpack("campaigns.yaml", tmp_path)
    report = run_dailies("import", "campaigns", source, "--json")
    assert report.returncode == 1
    result = document(report)
    assert list(result) == [
        "ok", "failed", "found", "imported", "updated", "skipped", "errors", "backup",
    ]  # fmt: skip
    assert (result["ok"], result["imported"], result["failed"]) == (False, 571, 5)
    assert set(result["errors"][0]) == {"source", "position", "id", "reason"}
    assert run_dailies("check", "campaigns").returncode == 0
    assert run_dailies("export", "campaigns", tmp_path / "out.yaml").returncode == 0
    verified = run_dailies("verify", "campaigns", tmp_path / "out.yaml", "--json")
    assert (verified.returncode, document(verified)["ok"]) == (0, True)
    assert run_dailies("verify", "campaigns", source).returncode == 1


def test_an_old_file_is_upgraded_where_it_lies(run_dailies: RunDailies, data_dir: Path) -> None:
    unpack("campaigns_v2.db", data_dir).rename(data_dir / "campaigns.db")
    assert (
        document(run_dailies("info", "campaigns", "--json"))["databases"][0]["earlier_storage"]
        == "SQLite"
    )
    pending = run_dailies("check", "campaigns")
    assert pending.returncode == 1
    assert (
        "pending (m001_create_jobs, m002_keep_answers): run `dailies build campaigns`"
        in pending.stderr
    )
    built = document(run_dailies("build", "campaigns", "--json"))["databases"][0]
    assert (built["ok"], built["created"], built["migrations"]) == (
        True,
        False,
        ["m001_create_jobs", "m002_keep_answers"],
    )
    assert Path(built["backup"]).exists()
    checked = run_dailies("check", "campaigns")
    assert checked.returncode == 1
    assert "set_aside: 3 of jobs" in checked.stderr


def test_rows_that_a_restored_dump_renumbered(run_dailies: RunDailies, data_dir: Path) -> None:
    """The search index refers to row numbers, and a dump does not keep them."""
    run_dailies("build", "campaigns", "--sample")
    with closing(sqlite3.connect(data_dir / "campaigns.db")) as connection:
        connection.executescript(
            """
            begin;
            update write_context set paused = 2;
            update jobs set rowid = rowid + 100;
            update write_context set paused = 0;
            commit;
            """
        )
    stale = run_dailies("check", "campaigns")
    assert stale.returncode == 1
    assert "search index jobs_fts does not agree with its table" in stale.stderr
    assert "repaired search index jobs_fts" in run_dailies("build", "campaigns").stderr
    assert run_dailies("check", "campaigns").returncode == 0


def test_what_an_old_system_left_is_imported_once(
    run_dailies: RunDailies, tmp_path: Path, data_dir: Path
) -> None:
    source = unpack("campaigns_main_sorted.yaml", tmp_path)
    first = document(run_dailies("build", "campaigns", "--json", CAMPAIGNS_YAML_PATH=str(source)))
    assert first["databases"][0]["imported"]["imported"] == 60
    again = document(run_dailies("build", "campaigns", "--json", CAMPAIGNS_YAML_PATH=str(source)))
    assert again["databases"][0]["imported"] is None
    assert (data_dir / "campaigns.db").exists()


def test_samples_are_added_once(run_dailies: RunDailies) -> None:
    first = document(run_dailies("build", "campaigns", "--sample", "--json"))["databases"][0]
    assert first["sample_rows"] > 5
    again = document(run_dailies("build", "campaigns", "--sample", "--json"))["databases"][0]
    assert again["sample_rows"] == 0


def test_reset_needs_a_yes_and_keeps_a_backup(run_dailies: RunDailies) -> None:
    run_dailies("build", "campaigns", "--sample")
    refused = run_dailies("build", "campaigns", "--reset")
    assert refused.returncode == 2
    assert "say --yes as well" in refused.stderr
    done = document(run_dailies("build", "campaigns", "--reset", "--yes", "--json"))["databases"][0]
    assert done["created"] is True
    with closing(sqlite3.connect(done["backup"])) as backup:
        assert backup.execute("select count(*) from jobs").fetchone()[0] > 5


def test_backup_and_restore(run_dailies: RunDailies, data_dir: Path, tmp_path: Path) -> None:
    run_dailies("build", "campaigns", "--sample")
    [backup] = document(run_dailies("backup", "--to", tmp_path / "kept", "--json"))[
        "backups"
    ].values()
    with closing(sqlite3.connect(data_dir / "campaigns.db")) as connection:
        connection.execute("delete from jobs")
        connection.commit()
    restored = document(run_dailies("restore", "campaigns", backup, "--json"))
    with closing(sqlite3.connect(data_dir / "campaigns.db")) as connection:
        assert connection.execute("select count(*) from jobs").fetchone()[0] > 5
    with closing(sqlite3.connect(restored["kept"])) as connection:
        assert connection.execute("select count(*) from jobs").fetchone()[0] == 0


def test_restore_takes_one_sound_regular_file_only(
    run_dailies: RunDailies, data_dir: Path, tmp_path: Path
) -> None:
    run_dailies("build", "campaigns", "--sample")
    before = (data_dir / "campaigns.db").read_bytes()
    link = tmp_path / "link.db"
    link.symlink_to(data_dir / "campaigns.db")
    (tmp_path / "text.db").write_text("no database")
    translated = {
        link: "is no regular file",
        tmp_path: "is no regular file",
        tmp_path / "text.db": "is not a SQLite file",
        tmp_path / "none.db": "No such file",
    }
    for file, message in translated.items():
        refused = run_dailies("restore", "campaigns", file)
        assert refused.returncode == 1
        assert message in refused.stderr
    assert (data_dir / "campaigns.db").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["build", "nothing"], 2, '"nothing" is no database: choose from campaigns'),
        (["import", "campaigns"], 2, "Missing argument"),
        (["import", "campaigns", "none.yaml"], 1, "No such file or directory"),
        (["import", "campaigns", "none.yaml", "--map", "x"], 2, "--map takes COLUMN=FIELD"),
        (["import", "campaigns", "none.yaml", "--table", "secrets"], 1, 'has no table "secrets"'),
        (["build", "--timezone", "Mars/Base"], 2, 'unknown time zone "Mars/Base"'),
        (["token"], 2, "name an ACTOR"),
        (["token", "--revoke", "none"], 1, "none"),
        (["restore", "campaigns"], 2, "Missing argument"),
        (["verify", "campaigns", "none.yaml"], 2, "does not exist"),
    ],
)
def test_mistakes_are_explained(
    run_dailies: RunDailies, arguments: list[str], status: int, message: str
) -> None:
    done = run_dailies(*arguments)
    assert (done.returncode, "Traceback" in done.stderr) == (status, False)
    assert message in done.stderr


def test_a_refused_file_is_named_and_left_alone(run_dailies: RunDailies, data_dir: Path) -> None:
    (data_dir / "campaigns.db").write_text("jobs: []\n")
    done = run_dailies("build", "campaigns", "--json")
    assert done.returncode == 1
    [built] = document(done)["databases"]
    assert "campaigns.db is not a SQLite file: it was left as it is" in built["error"]
    assert (data_dir / "campaigns.db").read_text() == "jobs: []\n"


def test_moved_files_and_dot_env(run_dailies: RunDailies, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "any name.sqlite"
    done = document(run_dailies("build", "campaigns", "--json", CAMPAIGNS_DB_PATH=str(moved)))
    assert done["databases"][0]["path"] == str(moved)
    assert moved.exists()


def test_tokens_are_listed_without_their_secret_and_revoked(run_dailies: RunDailies) -> None:
    made = document(run_dailies("token", "worker", "--can", "create-job", "--json"))
    listed = run_dailies("token", "--list", "--json")
    assert made["token"] not in listed.stdout
    [token] = document(listed)["tokens"]
    assert (token["id"], token["actor"], token["can"]) == (made["id"], "worker", ["create-job"])
    assert run_dailies("token", "--revoke", made["id"]).returncode == 0
    [revoked] = document(run_dailies("token", "--list", "--json"))["tokens"]
    assert revoked["revoked_at"] is not None


def test_the_same_commands_belong_to_sqlite_utils(data_dir: Path) -> None:
    done = subprocess.run(
        [COMMAND.with_name("sqlite-utils"), "dailies", "build", "campaigns", "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert json.loads(done.stdout)["ok"] is True
    inserted = subprocess.run(
        [COMMAND.with_name("sqlite-utils"), "insert", data_dir / "campaigns.db", "jobs", "-"],
        input='[{"id": "flat", "job_name": "Flat row", "product": "P"}]',
        text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert inserted.returncode == 0
    with closing(sqlite3.connect(data_dir / "campaigns.db")) as connection:
        [(data,)] = connection.execute("select data from jobs")
    assert json.loads(data)["product"] == "P"


def test_long_work_shows_progress_on_a_terminal(data_dir: Path, tmp_path: Path) -> None:
    source = tmp_path / "jobs.ndjson"
    with source.open("w") as file:
        for number in range(JOBS_FOR_SECONDS):
            file.write(json.dumps({"id": str(number), "job_name": f"Job {number}"}) + "\n")
    status, output = run_on_terminal("import", "campaigns", source)
    assert status == 0
    assert b"campaigns: " in output
    assert b" rows" in output
    assert f"{JOBS_FOR_SECONDS} found, {JOBS_FOR_SECONDS} imported".encode() in output


def test_an_upgrade_shows_progress_on_a_terminal(data_dir: Path) -> None:
    with closing(sqlite3.connect(data_dir / "campaigns.db")) as connection:
        connection.execute("create table jobs (id TEXT PRIMARY KEY, job_name TEXT, data TEXT)")
        connection.execute(MANY_OLD_JOBS, {"jobs": JOBS_FOR_SECONDS})
        connection.commit()
    status, output = run_on_terminal("build")
    assert status == 0
    upgraded = output.index(b"campaigns: upgraded")
    assert re.search(rb"campaigns  \[#+-*\] +\d+%", output[:upgraded])
    assert b"[#" not in output[upgraded:]  # five new databases take no second


def run_on_terminal(*args: str | Path) -> tuple[int, bytes]:
    """Exit status and all that a terminal shows."""
    leader, follower = pty.openpty()
    with subprocess.Popen([COMMAND, *args], stdout=follower, stderr=follower) as running:
        os.close(follower)
        output = b""
        while chunk := read_terminal(leader):
            output += chunk
        return running.wait(), output


def read_terminal(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other end is closed
        return b""
