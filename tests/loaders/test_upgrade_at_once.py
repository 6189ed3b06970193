"""Programs and threads that start at once on one file: one upgrades it, all find it done."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from legacy import rows, unpack

from loaders import backups, checks, folder_lock, open_database, upgrade
from loaders.connections import connect

AT_ONCE = 4
ROUNDS = 5
OLD = "campaigns_option3.db"
# Tells that it is ready, then builds each file that it is given the path of.
BUILD = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from loaders import upgrade

print("ready", flush=True)
for line in sys.stdin:
    answer = asdict(upgrade.build("campaigns", Path(line.removesuffix("\\n"))))
    print(json.dumps(answer), flush=True)
"""


def unpack_dated(folder: Path) -> Path:
    """The old file, its one job without a date given one: else the upgrade would, its own."""
    folder.mkdir()
    path = unpack(OLD, folder)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("update jobs set created_at = '2025-01-01' where created_at is null")
        connection.commit()
    return path


BuildAtOnce = Callable[[Path], list[dict[str, Any]]]


@contextmanager
def in_threads() -> Iterator[BuildAtOnce]:
    start = threading.Barrier(AT_ONCE)

    def build(path: Path) -> dict[str, Any]:
        start.wait()
        return asdict(upgrade.build("campaigns", path))

    with ThreadPoolExecutor(AT_ONCE) as threads:
        yield lambda path: list(threads.map(build, [path] * AT_ONCE))


@contextmanager
def in_processes() -> Iterator[BuildAtOnce]:
    with ExitStack() as stack:
        errors = stack.enter_context(tempfile.TemporaryFile("w+"))
        running = [stack.enter_context(program(BUILD, stderr=errors)) for _ in range(AT_ONCE)]

        def build(path: Path) -> list[dict[str, Any]]:
            for process in running:
                print(path, file=process.stdin, flush=True)
            return [json.loads(process.stdout.readline()) for process in running]

        yield build
        for process in running:
            process.communicate(timeout=120)
        errors.seek(0)
        assert errors.read() == ""


@contextmanager
def program(text: str, *args: str, **options: Any) -> Iterator[Any]:
    """A program that runs and is ready; it is told to end by the end of its input."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", text, *args]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, **options) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process


@pytest.fixture(params=[in_threads, in_processes], ids=lambda way: way.__name__)
def build_at_once(request: pytest.FixtureRequest) -> Iterator[BuildAtOnce]:
    with request.param() as build:
        yield build


def backups_in(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if "backup" in file.name)


def content(path: Path) -> dict[str, Any]:
    """Whole rows; the histories without the time of the build and the file's own secrets."""
    return {
        "schema": rows(path, "select type, name, sql from sqlite_master order by type, name"),
        "jobs": rows(path, "select rowid, * from jobs order by rowid"),
        "history": rows(
            path, "select id, job_id, version, operation, data from job_history order by id"
        ),
        "aside": rows(path, "select table_name, row_key, content from set_aside order by rowid"),
        "migrations": rows(path, "select name from _sqlite_migrations order by name"),
    }


def assert_one_did_it(answers: list[dict[str, Any]]) -> dict[str, Any]:
    [did] = [answer for answer in answers if answer["migrations"]]
    others = [answer for answer in answers if answer is not did]
    assert len(others) == AT_ONCE - 1
    for other in others:
        assert (other["created"], other["migrations"], other["backup"]) == (False, [], None)
    return did


@pytest.mark.process
def test_one_upgrades_an_old_file(tmp_path: Path, build_at_once: BuildAtOnce) -> None:
    single = unpack_dated(tmp_path / "single")
    upgrade.build("campaigns", single)
    expected = content(single)
    for number in range(ROUNDS):
        folder = tmp_path / str(number)
        path = unpack_dated(folder)
        before = rows(path, "select rowid, * from jobs order by rowid")
        did = assert_one_did_it(build_at_once(path))
        assert not did["created"]
        assert [str(file) for file in backups_in(folder)] == [did["backup"]]
        assert rows(Path(did["backup"]), "select rowid, * from jobs order by rowid") == before
        assert content(path) == expected
        assert rows(path, "pragma integrity_check") == [{"integrity_check": "ok"}]
        assert [line for line in checks.check("campaigns", path) if "set_aside" not in line] == []
        assert {file.name.removeprefix(OLD) for file in folder.iterdir()} <= {
            "",
            "-wal",
            "-shm",
            Path(did["backup"]).name.removeprefix(OLD),
        }


@pytest.mark.process
def test_one_creates_a_missing_file(tmp_path: Path, build_at_once: BuildAtOnce) -> None:
    single = tmp_path / "single.db"
    upgrade.build("campaigns", single)
    expected = content(single)
    for number in range(ROUNDS):
        path = tmp_path / str(number) / "campaigns.db"
        did = assert_one_did_it(build_at_once(path))
        assert did["created"]
        assert did["backup"] is None
        assert backups_in(path.parent) == []
        assert content(path) == expected
        assert checks.check("campaigns", path) == []


def test_all_who_open_an_old_file_at_once_can_write(tmp_path: Path) -> None:
    path = unpack(OLD, tmp_path)
    start = threading.Barrier(AT_ONCE)

    def write(number: int) -> None:
        start.wait()
        with closing(open_database("campaigns", path).conn) as connection:
            connection.execute(
                "insert into jobs (id, job_name) values (?, 'at once')", (f"new{number}",)
            )

    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(write, range(AT_ONCE)))
    written = rows(path, "select id from jobs where job_name = 'at once' order by id")
    assert [row["id"] for row in written] == [f"new{number}" for number in range(AT_ONCE)]


@contextmanager
def folder_taken(folder: Path) -> Iterator[None]:
    """Another program in it, which leaves at the end."""
    holder = """
import sys
from pathlib import Path
from loaders.folder_lock import exclusive

with exclusive(Path(sys.argv[1])):
    print("ready", flush=True)
    sys.stdin.read()
"""
    with program(holder, str(folder)):
        yield


@pytest.mark.process
def test_a_current_file_opens_while_the_folder_is_taken(tmp_path: Path) -> None:
    path = unpack(OLD, tmp_path)
    upgrade.build("campaigns", path)
    with folder_taken(tmp_path), ThreadPoolExecutor(1) as thread:
        opened = thread.submit(open_database, "campaigns", path)
        with closing(opened.result(timeout=60).conn) as connection:
            assert connection.execute("select count(*) from jobs").fetchone()[0] > 0


@pytest.mark.process
def test_an_old_file_waits_until_the_folder_is_free(tmp_path: Path) -> None:
    path = unpack(OLD, tmp_path)
    before = path.read_bytes()
    with ThreadPoolExecutor(1) as thread:
        with folder_taken(tmp_path):
            building = thread.submit(upgrade.build, "campaigns", path)
            with pytest.raises(TimeoutError):
                building.result(timeout=1)
            assert path.read_bytes() == before
        assert building.result(timeout=60).migrations


def test_a_refused_file_leaves_the_folder_free(tmp_path: Path) -> None:
    path = tmp_path / "campaigns.db"
    path.write_text("no database")
    for _ in range(2):
        with pytest.raises(ValueError, match="is not a SQLite file: it was left as it is"):
            upgrade.build("campaigns", path)


def test_a_folder_that_cannot_be_locked_is_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError("no locks available")

    monkeypatch.setattr(folder_lock.fcntl, "flock", refuse)
    assert upgrade.build("campaigns", unpack(OLD, tmp_path)).migrations


@pytest.mark.parametrize("hard_links", [True, False])
def test_backups_made_at_once_have_names_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool
) -> None:
    if not hard_links:

        def refuse(name: Path, target: Path) -> None:
            raise PermissionError("no hard links here")

        monkeypatch.setattr(Path, "hardlink_to", refuse)
    monkeypatch.setattr(backups, "file_stamp", lambda: "20250101T000000Z")
    path = unpack(OLD, tmp_path)
    strangers = tmp_path / f"{OLD}.backup-20250101T000000Z.partial"
    strangers.write_text("of a run that was killed")
    start = threading.Barrier(AT_ONCE)

    def back_up(_: int) -> Path:
        start.wait()
        with closing(connect(path)) as connection:
            return backups.back_up(connection, path)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        made = sorted(threads.map(back_up, range(AT_ONCE)))
    stem = f"{OLD}.backup-20250101T000000Z"
    assert [file.name for file in made] == [stem, f"{stem}-2", f"{stem}-3", f"{stem}-4"]
    assert backups_in(tmp_path) == sorted([*made, strangers])
    assert strangers.read_text() == "of a run that was killed"
    for file in made:
        assert file.stat().st_mode & 0o777 == 0o600
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
