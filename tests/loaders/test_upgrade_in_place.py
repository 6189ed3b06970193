"""An upgrade works in the old file itself: whether killed, refused or done, nothing is mixed."""

from __future__ import annotations

import json
import math
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from legacy import rows, unpack

from loaders import checks, upgrade
from loaders.connections import connect

OLD_JOBS = """
create table jobs (
  id TEXT PRIMARY KEY, job_name TEXT NOT NULL, product TEXT, enabled BOOLEAN DEFAULT 1,
  language TEXT DEFAULT 'English', created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, data TEXT NOT NULL
)
"""
MANY = 1000  # some batches, and more than the small cache of the tests below
UPGRADE = """
import os, signal, sys
from pathlib import Path
from loaders import upgrade

path, steps = Path(sys.argv[1]), int(sys.argv[2])
upgrade.BULK_CACHE_KIB = 500  # so that pages are written long before the end
original = upgrade.connect
def connect(path):
    connection = original(path)
    left = [steps]
    def tick():
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0
    connection.set_progress_handler(tick, 20_000)
    return connection
upgrade.connect = connect
upgrade.build("campaigns", path)
"""
NEVER = 0


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    """Jobs of some pages each, with gaps in their row numbers, every tenth drifted or ill."""
    path = tmp_path / "campaigns.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(OLD_JOBS)
        connection.executemany(
            "insert into jobs (rowid, id, job_name, product, data) values (?, ?, ?, ?, ?)",
            (
                (number * 7 - 500, f"job{number}", f"Job {number}", product(number), data(number))
                for number in range(MANY)
            ),
        )
        connection.commit()
    return path


def product(number: int) -> str:
    return "Drifted" if number % 10 == 3 else "Tea"


def data(number: int) -> str:
    job = {
        "id": f"job{number}",
        "job_name": f"Job {number}",
        "product": "Tea",
        "\u00e9": "x" * 9000,
    }
    if number % 10 == 5:
        job["weight"] = math.nan
    if number % 10 == 6:
        job["hook"] = "a\0b \ud83d\ude00"
    return json.dumps(job)


def text_of(value: str | None) -> str | None:
    """A text as columns hold it: SQLite's JSON functions end it at a NUL."""
    return value.partition("\0")[0] if value else value


def start_upgrade(path: Path, steps: int, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", UPGRADE, str(path), str(steps)]
    return subprocess.run(command, check=False, capture_output=True, text=True, **options)


def everything(path: Path) -> list[dict[str, Any]]:
    return rows(path, "select rowid, * from jobs order by rowid")


def files_of(path: Path) -> list[Path]:
    """The database and what SQLite keeps beside it, but no backup."""
    return [file for file in path.parent.glob(f"{path.name}*") if "backup" not in file.name]


def test_every_job_moves_whatever_batch_it_is_in(old_file: Path) -> None:
    before = everything(old_file)
    upgrade.build("campaigns", old_file)
    after = everything(old_file)
    assert [(row["rowid"], row["id"]) for row in after] == [
        (row["rowid"], row["id"]) for row in before
    ]
    for number, row in enumerate(after):
        expected = json.loads(data(number), parse_constant=lambda _: None)
        assert json.loads(row["data"]) == expected
        assert (row["product"], row["hook"]) == ("Tea", text_of(expected.get("hook")))
    history = rows(
        old_file,
        """
        select job_id, version, operation, data ->> '$.product' as product
        from job_versions
        order by id
        """,
    )
    drifted = [number for number in range(MANY) if product(number) == "Drifted"]
    assert len(history) == MANY + len(drifted)
    for number in drifted:
        versions = [tuple(row.values())[1:] for row in history if row["job_id"] == f"job{number}"]
        assert versions == [(1, "insert", "Drifted"), (2, "update", "Tea")]
    assert len(rows(old_file, "select 1 from set_aside")) == MANY / 10
    assert [line for line in checks.check("campaigns", old_file) if "set_aside" not in line] == []


@pytest.mark.process
@pytest.mark.parametrize("steps", [4, 8, 12, 16])
def test_a_run_killed_while_it_writes_leaves_the_old_file(old_file: Path, steps: int) -> None:
    before = everything(old_file)
    size = old_file.stat().st_size
    assert start_upgrade(old_file, steps).returncode == -signal.SIGKILL
    journal = old_file.with_name("campaigns.db-journal")
    assert journal.stat().st_size > 0
    assert old_file.stat().st_size > size
    copies = old_file.parent / "copies"
    copies.mkdir()
    for file in (old_file, journal):
        shutil.copy(file, copies)
    assert everything(copies / "campaigns.db") == before
    upgrade.build("campaigns", old_file)
    assert len(everything(old_file)) == MANY
    assert not journal.exists()


@pytest.mark.process
def test_a_full_disk_leaves_the_old_file(old_file: Path) -> None:
    before = everything(old_file)
    room = old_file.stat().st_size + 2_000_000
    full = start_upgrade(
        old_file,
        NEVER,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
    )
    assert full.returncode == 1
    assert "sqlite3.OperationalError: disk I/O error" in full.stderr
    assert everything(old_file) == before
    assert start_upgrade(old_file, NEVER).returncode == 0
    assert len(everything(old_file)) == MANY


def plant_in_free_pages(connection: sqlite3.Connection) -> None:
    """More of them than the upgrade has use for."""
    connection.execute(
        "insert into jobs (id, job_name, data) values ('gone', 'n', ?)",
        (json.dumps({"hook": "SENTINEL" * 4_000_000}),),
    )
    connection.commit()
    connection.execute("delete from jobs where id = 'gone'")


def plant_between_rows(connection: sqlite3.Connection) -> None:
    connection.execute("create index idx_jobs_product on jobs (product)")
    connection.executemany(
        "insert into jobs (id, job_name, product, data) values (?, 'n', ?, '{}')",
        [(f"small{number}", f"SENTINEL{number}") for number in range(300)],
    )
    connection.commit()
    connection.execute("delete from jobs where id glob 'small*[1-9]'")
    connection.execute("update jobs set product = 'Tea' where id glob 'small*'")


def plant_in_a_table_of_others(connection: sqlite3.Connection) -> None:
    connection.execute("create table notes (id integer primary key, text)")
    connection.executemany(
        "insert into notes (text) values (?)", [(f"SENTINEL{n}",) for n in range(300)]
    )
    connection.commit()
    connection.execute("delete from notes where id % 10 <> 0")
    connection.execute("update notes set text = 'mine'")


PLANTS = [plant_in_free_pages, plant_between_rows, plant_in_a_table_of_others]


@pytest.mark.parametrize("elsewhere_open", [False, True])
@pytest.mark.parametrize("plant", PLANTS)
def test_nothing_that_was_deleted_lingers(
    old_file: Path, plant: Callable[[sqlite3.Connection], None], elsewhere_open: bool
) -> None:
    with closing(sqlite3.connect(old_file)) as connection:
        connection.execute("pragma secure_delete = off")
        if elsewhere_open:
            connection.execute("pragma journal_mode = wal")
        plant(connection)
        connection.commit()
        if not elsewhere_open:
            connection.close()
        assert any(b"SENTINEL" in file.read_bytes() for file in files_of(old_file))
        upgrade.build("campaigns", old_file)
    assert [file for file in files_of(old_file) if b"SENTINEL" in file.read_bytes()] == []
    assert rows(old_file, "pragma journal_mode") == [{"journal_mode": "wal"}]


def test_a_file_that_another_program_writes_is_refused(old_file: Path) -> None:
    before = everything(old_file)
    with closing(sqlite3.connect(old_file, isolation_level=None)) as other:
        other.execute("begin exclusive")
        with pytest.raises(ValueError, match="is in use by another program"):
            upgrade.build("campaigns", old_file)
    assert everything(old_file) == before
    assert files_of(old_file) == [old_file]


def test_moving_jobs_is_no_change_to_the_triggers_of_others(old_file: Path) -> None:
    with closing(sqlite3.connect(old_file)) as connection:
        connection.executescript(
            """
            create table notes (text);
            create trigger gone after delete on jobs begin
              insert into notes values (old.id);
            end;
            create trigger changed after update on jobs begin
              insert into notes values (old.id);
            end;
            """
        )
    upgrade.build("campaigns", old_file)
    assert rows(old_file, "select text from notes") == []
    with closing(connect(old_file)) as connection:
        connection.execute("delete from jobs where id = 'job1'")
    assert rows(old_file, "select text from notes") == [{"text": "job1"}]


@pytest.mark.parametrize("name", ["campaigns_v1_half_migrated.db", "campaigns_v2.db"])
def test_an_upgraded_file_is_made_like_a_new_one(tmp_path: Path, name: str) -> None:
    old, new = unpack(name, tmp_path), tmp_path / "new.db"
    upgrade.build("campaigns", old)
    upgrade.build("campaigns", new)
    schema = "select type, name, tbl_name, sql from sqlite_master order by name"
    assert rows(old, schema) == rows(new, schema)
    for table in ("jobs", "job_history"):
        columns = f"select * from pragma_table_xinfo('{table}')"
        assert rows(old, columns) == rows(new, columns)


def test_columns_that_json_has_no_word_for_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "campaigns.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(OLD_JOBS)
        connection.execute(
            "insert into jobs values ('a', 'n', x'ff00', 9e999, 'English', null, null, '{}')"
        )
        connection.execute(
            "insert into jobs values ('b', 'n', x'ff00', -9e999, 'English', null, null, 'no JSON')"
        )
        connection.commit()
    upgrade.build("campaigns", path)
    first = {
        row["job_id"]: json.loads(row["data"])
        for row in rows(path, "select job_id, data from job_versions where version = 1")
    }
    assert first["a"]["product"] == first["b"]["product"] == {"!!binary": "/wA="}
    assert first["a"]["enabled"] == {"!!float": ".inf"}
    assert first["b"]["enabled"] == {"!!float": "-.inf"}


@pytest.mark.parametrize(
    ("name", "file"), [("campaigns", "campaigns_v2.db"), ("yt-builder", "yt-builder.db")]
)
def test_how_far_it_is_goes_up_to_the_end(tmp_path: Path, name: str, file: str) -> None:
    shares: list[float] = []
    path = unpack(file, tmp_path)
    upgrade.build(name, path, lambda done, total: shares.append(done / total))
    assert shares == sorted(shares)
    assert shares[0] < shares[-1] == 1.0
