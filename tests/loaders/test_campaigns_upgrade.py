"""Old campaigns files are adopted whole: nothing lost, nothing refused, nothing changed twice."""

from __future__ import annotations

import json
import math
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from legacy import rows, unpack

from loaders import checks, open_database, upgrade
from loaders.campaigns.normal_form import FIELDS, normalized
from loaders.connections import connect

OLD_FILES = (
    "campaigns_v1.db",
    "campaigns_v1_half_migrated.db",
    "campaigns_option3.db",
    "campaigns_v2.db",
    "campaigns_v2_dump_restored.db",
    "campaigns_migrated_from_yaml.db",
    "campaigns_empty_but_reported_success.db",
)
FAST = ("campaigns_option3.db", "campaigns_v2.db")


def mended(text: str) -> Any:
    """The document as the contract says it is kept: NaN and infinities null, surrogates U+FFFD."""
    document = json.loads(text, parse_constant=lambda _: None)
    return json.loads(json.dumps(document), object_hook=without_surrogates)


def without_surrogates(mapping: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if isinstance(value, str)
        else value
        for key, value in mapping.items()
    }


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in OLD_FILES
    ],
)
def upgraded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[dict[str, Any]], Path]:
    """The jobs of an old file, and the file after its upgrade, to be read."""
    path = unpack(request.param, tmp_path_factory.mktemp("upgraded"))
    before = rows(path, "select * from jobs order by rowid")
    upgrade.build("campaigns", path)
    return before, path


def test_every_old_job_is_there_with_all_it_said(
    upgraded: tuple[list[dict[str, Any]], Path],
) -> None:
    before, path = upgraded
    after = rows(path, "select * from jobs order by rowid")
    assert [job["id"] for job in after] == [job["id"] for job in before]
    for old, new in zip(before, after, strict=True):
        expected = normalized(mended(old["data"]))
        if str(expected.get("id")) != old["id"]:
            expected["id"] = old["id"]
        assert json.loads(new["data"]) == expected
    with closing(connect(path)) as connection:
        assert checks.stale_search_indexes(connection, "campaigns") == []


def test_columns_follow_data_and_old_values_stay_in_the_history(
    upgraded: tuple[list[dict[str, Any]], Path],
) -> None:
    before, path = upgraded
    projection = rows(path, "select * from jobs_projection order by job_rowid")
    after = rows(path, "select * from jobs order by rowid")
    history = {
        row["job_id"]: row for row in rows(path, "select * from job_versions where version = 1")
    }
    for old, new, projected in zip(before, after, projection, strict=True):
        first = json.loads(history[new["id"]]["data"])
        for field in FIELDS:
            if field.kind != "time":
                assert new[field.column] == projected[field.column]
            old_value = old.get(field.column)
            if field.kind == "text" and old_value not in (None, "", new[field.column]):
                assert first[field.column] == old_value


def test_what_was_no_json_is_set_aside_whole(tmp_path: Path) -> None:
    path = unpack("campaigns_v2.db", tmp_path)
    before = {row["id"]: row["data"] for row in rows(path, "select id, data from jobs")}
    upgrade.build("campaigns", path)
    aside = rows(
        path, "select table_name, row_key, reason, content from set_aside order by row_key"
    )
    assert [row["row_key"] for row in aside] == [
        "beeba4e145ea43eda28bf132edc5e433",
        "ea288db16f4d4612b57ee04327f4b898",
        "f1e23a9c20944ce2a1df556642e859df",
    ]
    for row in aside:
        assert row["table_name"] == "jobs"
        assert row["content"] == before[row["row_key"]]
    assert rows(path, "select count(*) as bad from jobs where not json_valid(data)") == [{"bad": 0}]


BLOBS = {
    "kept": b'{ "z": 1e5, "id": "kept", "job_name": "caf\xc3\xa9", "hook": "a\\u0000b" }',
    "not a number": b'{"job_name": "n", "score": NaN}',
    "no text": b"\xff\xfe\x00",
}


def test_a_blob_of_json_becomes_the_same_text(tmp_path: Path) -> None:
    path = unpack("campaigns_option3.db", tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        connection.executemany(
            "insert into jobs (id, job_name, data) values (?, 'n', ?)", BLOBS.items()
        )
        connection.execute("update jobs set job_name = 'café' where id = 'kept'")
        connection.commit()
    upgrade.build("campaigns", path)
    kinds = rows(path, "select distinct typeof(data) as kind from jobs")
    assert kinds == [{"kind": "text"}]
    found = {row["id"]: row["data"] for row in rows(path, "select id, data from jobs")}
    assert found["kept"] == BLOBS["kept"].decode()
    assert json.loads(found["not a number"])["score"] is None
    assert json.loads(found["no text"])["job_name"] == "n"
    aside = {row["row_key"]: row["content"] for row in rows(path, "select * from set_aside")}
    assert "kept" not in aside
    assert aside["not a number"] == BLOBS["not a number"].decode()
    assert aside["no text"] == BLOBS["no text"]
    assert rows(path, "select data from job_versions where job_id = 'kept' and version = 1") == [
        {"data": found["kept"]}
    ]
    assert not [line for line in checks.check("campaigns", path) if "agree" in line]


@pytest.mark.parametrize("name", ["campaigns_v2.db", "campaigns_option3.db"])
def test_a_second_run_changes_nothing(tmp_path: Path, name: str) -> None:
    path = unpack(name, tmp_path)
    first = upgrade.build("campaigns", path)
    content = path.read_bytes()
    second = upgrade.build("campaigns", path)
    assert first.migrations == ["m001_create", "m002_parts_of_words", "m003_list_indexes"]
    assert second.migrations == []
    assert second.backup is None
    assert path.read_bytes() == content


def test_the_backup_is_the_old_file(tmp_path: Path) -> None:
    path = unpack("campaigns_v2.db", tmp_path)
    before = rows(path, "select rowid, * from jobs order by rowid")
    backup = Path(str(upgrade.build("campaigns", path).backup))
    assert backup.name.startswith("campaigns.db.backup-2") or backup.name.startswith(
        "campaigns_v2.db.backup-2"
    )
    assert rows(backup, "select rowid, * from jobs order by rowid") == before
    assert backup.stat().st_mode & 0o777 == 0o600


def test_a_wal_beside_the_file_belongs_to_it(tmp_path: Path) -> None:
    (tmp_path / "running").mkdir()
    running = unpack("campaigns_v2.db", tmp_path / "running")
    with closing(sqlite3.connect(running, isolation_level=None)) as program:
        program.execute("pragma journal_mode = wal")
        for number in range(40):
            program.execute(
                "insert into jobs (id, job_name, data) values (?, ?, ?)",
                (f"late{number}", "late", json.dumps({"id": f"late{number}", "job_name": "late"})),
            )
        for file in running.parent.iterdir():
            shutil.copy(file, tmp_path / file.name.replace("campaigns_v2", "campaigns"))
    upgrade.build("campaigns", tmp_path / "campaigns.db")
    assert rows(tmp_path / "campaigns.db", "select count(*) as jobs from jobs") == [{"jobs": 601}]


def test_search_finds_what_is_there_and_nothing_else(tmp_path: Path) -> None:
    """The old triggers left the words of deleted jobs behind."""
    path = unpack("campaigns_v2_dump_restored.db", tmp_path)
    with closing(open_database("campaigns", path)) as db:
        found = {job["id"] for job in db["jobs"].search("charger")}
        words = ("job_name", "product", "persona", "setting", "emotion", "hook", "brand_name")
        held = {
            job["id"]
            for job in db["jobs"].rows
            if any("charger" in str(job[word] or "").lower() for word in words)
        }
    assert found == held != set()


def test_tables_columns_and_triggers_of_others_stay(tmp_path: Path) -> None:
    path = unpack("campaigns_option3.db", tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            """
            alter table jobs add column rating REAL;
            update jobs set rating = 4.5;
            create table notes (id integer primary key, text);
            insert into notes (text) values ('mine');
            create view loud as select upper(job_name) as name from jobs;
            create index my_index on jobs (rating);
            create trigger my_trigger after insert on jobs begin
              insert into notes (text) values (new.id);
            end;
            """
        )
    upgrade.build("campaigns", path)
    with closing(connect(path)) as connection:
        connection.execute("insert into jobs (id, job_name) values ('new', 'n')")
        notes = connection.execute("select text from notes").fetchall()
        assert notes == [("mine",), ("new",)]
        ratings = connection.execute("select distinct rating from jobs order by rating desc")
        assert ratings.fetchall() == [(4.5,), (None,)]
        assert connection.execute("select count(*) from loud").fetchone() == (112,)
        found = checks.examine("campaigns", path).notes
    assert "table notes: not created by Dailies" in found
    assert "column jobs.rating: not created by Dailies" in found


def test_times_without_a_zone_are_of_the_configured_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAILIES_TIMEZONE", "America/New_York")
    path = unpack("campaigns_v2.db", tmp_path)
    upgrade.build("campaigns", path)
    found = rows(path, "select created_at, data ->> '$.created_at' as said from jobs")
    summer = [job for job in found if str(job["said"]).startswith("2025-07")]
    assert summer
    for job in summer:
        hour = int(job["said"][11:13]) + 4
        assert int(job["created_at"][11:13]) == hour % 24
        assert job["created_at"].endswith("Z")
    assert not [line for line in checks.check("campaigns", path) if "agree" in line]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"jobs:\n- id: a\n", "is not a SQLite file: it was left as it is"),
        (b"SQLite format 3\x00" + b"\xff" * 4096, "is not a SQLite file"),
    ],
)
def test_what_is_no_database_is_refused_untouched(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "campaigns.db"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        upgrade.build("campaigns", path)
    assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["campaigns.db"]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("create table jobs (job_id integer primary key, run_id text)", "is a yt-builder database"),
        ("create table presentation_jobs (job_id, status)", "is a presentation_jobs database"),
        ("create table recipes (id)", "holds other tables than campaigns"),
    ],
)
def test_another_database_is_refused_untouched(tmp_path: Path, sql: str, message: str) -> None:
    path = tmp_path / "campaigns.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(sql)
    content = path.read_bytes()
    with pytest.raises(ValueError, match=message):
        upgrade.build("campaigns", path)
    assert path.read_bytes() == content


def test_a_damaged_table_is_refused_untouched(tmp_path: Path) -> None:
    path = unpack("campaigns_option3.db", tmp_path)
    content = bytearray(path.read_bytes())
    for page in range(20, 60):
        content[page * 4096 : page * 4096 + 64] = b"\xa5" * 64
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        upgrade.build("campaigns", path)
    assert path.read_bytes() == bytes(content)


KILLED_BUILD = """
import os, sqlite3, signal, sys
from pathlib import Path
from loaders import upgrade
import sqlite_utils

path, steps = Path(sys.argv[1]), int(sys.argv[2])
original = upgrade.connect
def connect(path):
    connection = original(path)
    left = [steps]
    def tick():
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0
    connection.set_progress_handler(tick, 20_000)
    return connection
upgrade.connect = connect
upgrade.build("campaigns", path)
"""


@pytest.mark.process
@pytest.mark.parametrize("steps", [0, 5, 20, 40, 80, 120, 160, 200, 300, 500])
def test_a_killed_run_leaves_the_old_file_or_the_new(tmp_path: Path, steps: int) -> None:
    path = unpack("campaigns_option3.db", tmp_path)
    before = rows(path, "select * from jobs order by rowid")
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_BUILD, str(path), str(steps)], check=False
    )
    assert killed.returncode in (0, -signal.SIGKILL)
    tables = {row["name"] for row in rows(path, "select name from sqlite_master")}
    if "_sqlite_migrations" not in tables:
        assert rows(path, "select * from jobs order by rowid") == before
        assert "jobs_new" not in tables
    upgrade.build("campaigns", path)
    assert len(rows(path, "select * from jobs")) == len(before)
    assert [problem for problem in checks.check("campaigns", path) if "integrity" in problem] == []


def test_rows_that_break_their_own_constraints_are_adopted(tmp_path: Path) -> None:
    """Written while the constraint was not looked at, or before it was there."""
    path = unpack("campaigns_option3.db", tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            """
            create table notes (id integer primary key, text text not null check (text <> 'bad'));
            pragma ignore_check_constraints = on;
            insert into notes (text) values ('bad'), ('good');
            """
        )
    upgrade.build("campaigns", path)
    assert rows(path, "select text from notes") == [{"text": "bad"}, {"text": "good"}]


def test_no_deleted_row_lingers_in_a_free_page(tmp_path: Path) -> None:
    path = unpack("campaigns_option3.db", tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma secure_delete = off")
        connection.execute(
            "insert into jobs (id, job_name, data) values ('gone', 'n', ?)",
            (json.dumps({"job_name": "SENTINEL-" + "x" * 9000}),),
        )
        connection.commit()
        connection.execute("delete from jobs where id = 'gone'")
        connection.commit()
    assert b"SENTINEL-" in path.read_bytes()
    upgrade.build("campaigns", path)
    for file in tmp_path.iterdir():
        if "backup" not in file.name:
            assert b"SENTINEL-" not in file.read_bytes()


def test_old_programs_keep_working(tmp_path: Path) -> None:
    """Seed 001's own statements on an adopted file."""
    path = unpack("campaigns_option3.db", tmp_path)
    upgrade.build("campaigns", path)
    job = {"id": "old-1", "job_name": "Old", "product": "P", "enabled": True, "score": math.pi}
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            """
            INSERT INTO jobs (id, job_name, product, persona, setting, emotion, hook,
                             elevenlabs_voice_id, language, brand_name, enabled, created_at, data)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            ("old-1", "Old", "P", "", "", "", "", "", "English", "", True, None, json.dumps(job)),
        )
        job["product"] = "Q"
        connection.execute(
            """
            UPDATE jobs SET
                job_name = ?, product = ?, persona = ?, setting = ?, emotion = ?,
                hook = ?, brand_name = ?, enabled = ?, updated_at = CURRENT_TIMESTAMP, data = ?
            WHERE id = ?
            """,
            ("Old", "Q", "", "", "", "", "", True, json.dumps(job), "old-1"),
        )
        connection.commit()
        stored = json.loads(
            connection.execute("SELECT data FROM jobs WHERE id = ?", ("old-1",)).fetchone()[0]
        )
        found = connection.execute(
            "SELECT data FROM jobs WHERE enabled = ? AND product LIKE ? ORDER BY created_at DESC",
            (True, "%Q%"),
        ).fetchall()
    assert {key: stored[key] for key in job} == job
    assert json.loads(found[0][0])["id"] == "old-1"
