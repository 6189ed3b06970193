"""The command line as people use it: exit status, what it prints where, and never a traceback."""

from __future__ import annotations

import io
import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing, redirect_stderr
from pathlib import Path
from typing import Any

import pytest
from legacy import unpack
from server_process import COMMAND, RunDailies

from dailies.cli import progress
from dailies.cli.main import main

DOCUMENTED = (
    "build", "check", "import", "export", "verify", "info", "backup", "restore", "vacuum", "token",
    "serve",
)  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_command_has_help(run_dailies: RunDailies, name: str) -> None:
    done = run_dailies(name, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: dailies")


def document(done: subprocess.CompletedProcess[str]) -> Any:
    """The one JSON document on standard output."""
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


def test_a_file_goes_in_and_comes_out(run_dailies: RunDailies, tmp_path: Path) -> None:
    source = unpack("campaigns_main_sorted.yaml", tmp_path)
    with source.open("a") as file:
        file.write("- {id: nameless}\n")
    report = run_dailies("import", "campaigns", source, "--json")
    assert report.returncode == 1
    result = document(report)
    assert list(result) == [
        "ok", "found", "imported", "updated", "skipped", "failed", "errors", "backup",
    ]  # fmt: skip
    assert (result["ok"], result["imported"], result["failed"]) == (False, 60, 1)
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
    assert "pending (m001_create, " in pending.stdout
    built = document(run_dailies("build", "campaigns", "--json"))["databases"][0]
    assert (built["ok"], built["created"], built["migrations"][0]) == (
        True,
        False,
        "m001_create",
    )
    assert Path(built["backup"]).exists()
    checked = run_dailies("check", "campaigns")
    assert checked.returncode == 1
    assert "set_aside: 3 of jobs" in checked.stdout


def test_a_stale_search_index_is_rebuilt(run_dailies: RunDailies, data_dir: Path) -> None:
    run_dailies("build", "campaigns", "--sample")
    with closing(sqlite3.connect(data_dir / "campaigns.db")) as connection:
        connection.execute("insert into jobs_fts (jobs_fts) values ('delete-all')")
        connection.commit()
    stale = run_dailies("check", "campaigns")
    assert stale.returncode == 1
    assert "search index jobs_fts does not agree with its table" in stale.stdout
    assert "repaired search index jobs_fts" in run_dailies("build", "campaigns").stdout
    assert run_dailies("check", "campaigns").returncode == 0


def test_what_an_old_system_left_is_imported_once(
    run_dailies: RunDailies, tmp_path: Path, data_dir: Path
) -> None:
    source = unpack("campaigns_main_sorted.yaml", tmp_path)
    first = document(run_dailies("build", "campaigns", "--json", CAMPAIGNS_YAML_PATH=str(source)))
    imported = first["databases"][0]["imported"]
    assert imported["imported"] == 60
    assert Path(imported["backup"]).read_bytes() == source.read_bytes()
    assert Path(imported["backup"]).parent == tmp_path
    again = document(run_dailies("build", "campaigns", "--json", CAMPAIGNS_YAML_PATH=str(source)))
    assert again["databases"][0]["imported"] is None
    assert (data_dir / "campaigns.db").exists()


def test_a_folder_of_an_old_system_is_kept_without_its_other_files(
    run_dailies: RunDailies, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    (config / "jobs").mkdir(parents=True)
    (config / "jobs" / "a.yaml").write_text("id: a\njob_name: A\n")
    (config / "jobs" / "gone.yaml").symlink_to(tmp_path / "nowhere")
    (config / "jobs_manifest.yaml").write_text("a: {file_path: jobs/a.yaml}\n")
    (config / "video.mp4").write_bytes(b"large")
    (config / "cache").mkdir()
    built = document(run_dailies("build", "campaigns", "--json", CAMPAIGNS_YAML_PATH=str(config)))
    imported = built["databases"][0]["imported"]
    assert (imported["imported"], imported["failed"]) == (1, 1)
    backup = Path(imported["backup"])
    kept = sorted(str(path.relative_to(backup)) for path in backup.rglob("*") if path.is_file())
    assert kept == ["jobs/a.yaml", "jobs_manifest.yaml"]


def test_samples_are_added_once(run_dailies: RunDailies) -> None:
    first = document(run_dailies("build", "campaigns", "--sample", "--json"))["databases"][0]
    assert first["sample_rows"] > 5
    again = document(run_dailies("build", "campaigns", "--sample", "--json"))["databases"][0]
    assert again["sample_rows"] == 0


def test_reset_needs_a_yes_and_keeps_a_backup(run_dailies: RunDailies) -> None:
    run_dailies("build", "campaigns", "--sample")
    refused = run_dailies("build", "campaigns", "--reset")
    assert refused.returncode == 2
    assert "add --yes to confirm" in refused.stderr
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
    }
    for file, message in translated.items():
        refused = run_dailies("restore", "campaigns", file)
        assert refused.returncode == 1
        assert message in refused.stderr
    assert (data_dir / "campaigns.db").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["build", "nothing"], 2, 'unknown database "nothing": choose from campaigns'),
        (["import", "campaigns"], 2, "Missing argument"),
        (["restore", "campaigns", "none.db"], 2, "Error: none.db: No such file or directory"),
        (["import", "campaigns", "none.yaml"], 2, "Error: none.yaml: No such file or directory"),
        (["import", "campaigns", "none.yaml", "--map", "x"], 2, "--map needs COLUMN=FIELD"),
        (["import", "campaigns", "none.yaml", "--table", "secrets"], 1, 'has no table "secrets"'),
        (["build", "--timezone", "Mars/Base"], 2, 'unknown time zone "Mars/Base"'),
        (["token"], 2, "give one of ACTOR"),
        (["token", "--revoke", "none"], 1, "none"),
        (["restore", "campaigns"], 2, "Missing argument"),
        (["verify", "campaigns", "none.yaml"], 2, "No such file"),
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


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run_on_terminal(*args: str | Path) -> str:
    """What a terminal shows as standard error."""
    with redirect_stderr(Terminal()) as terminal, pytest.raises(SystemExit):
        main(list(map(str, args)))
    return terminal.getvalue()


def test_an_import_shows_progress_on_a_terminal(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SHOW_AFTER", -1)
    source = tmp_path / "jobs.ndjson"
    source.write_text("".join(f'{{"id": "{n}", "job_name": "Job"}}\n' for n in range(3)))
    assert "\rcampaigns: 1 rows" in run_on_terminal("import", "campaigns", source)


def test_an_upgrade_shows_progress_on_a_terminal(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SHOW_AFTER", -1)
    unpack("campaigns_v2.db", data_dir).rename(data_dir / "campaigns.db")
    assert re.search(r"campaigns  \[#+-*\] +\d+%", run_on_terminal("build", "campaigns"))


def test_short_work_shows_no_progress(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SHOW_AFTER", 600)
    assert run_on_terminal("build", "campaigns") == ""


@pytest.mark.process
def test_help_is_fast(data_dir: Path) -> None:
    """Slow libraries are imported by the commands that need them."""
    slow = "datasette", "sqlite_utils", "PIL", "pydantic", "yaml", "dailies.api", "dotenv"
    code = f"import sys, dailies.cli.main; print([m for m in {slow!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_verify_any_table(run_dailies: RunDailies, samples: Path, tmp_path: Path) -> None:
    file = tmp_path / "videos.json"
    table = ("--table", "video_metadata")
    assert run_dailies("export", "metrics", file, *table).returncode == 0
    assert run_dailies("verify", "metrics", file, *table).stdout.endswith(" compared, all equal\n")


def test_results_go_to_standard_output(run_dailies: RunDailies) -> None:
    built = run_dailies("build", "campaigns")
    assert built.stdout.startswith("campaigns: created ")
    assert run_dailies("check", "campaigns").stdout == "campaigns: no problems found\n"
    made = run_dailies("token", "worker")
    assert re.fullmatch(r"dly_\S+\n", made.stdout)
    assert re.fullmatch(r"token \S+ for worker: it is shown only once\n", made.stderr)
    assert (built.stderr, built.returncode) == ("", 0)


def test_a_process_ends_with_a_status_and_no_traceback(
    run_process: RunDailies, data_dir: Path
) -> None:
    (data_dir / "campaigns.db").write_text("no database")
    for arguments, status in {
        ("info", "trends"): 0,
        ("vacuum", "campaigns"): 1,
        ("vacuum", "nothing"): 2,
    }.items():
        done = run_process(*arguments)
        assert done.returncode == status
        assert "Traceback" not in done.stderr
        assert bool(done.stderr) == (status != 0)
