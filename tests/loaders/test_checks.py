"""What `dailies check` reports, and which files are refused."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from dailies.cli import build as building
from loaders import campaigns, checks, open_database, schema, upgrade
from loaders.database_file import create_file
from loaders.registry import database_path
from loaders.restore import restore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An empty database `trends`."""
    file = tmp_path / "trends.db"
    upgrade.build("trends", file)
    return file


def execute(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def test_a_new_file_is_sound(path: Path) -> None:
    before = path.read_bytes()
    assert checks.examine("trends", path) == checks.Findings([], [])
    assert path.read_bytes() == before


def test_a_file_that_does_not_exist(tmp_path: Path) -> None:
    path = tmp_path / "trends.db"
    assert checks.check("trends", path) == [f"{path} does not exist: run `dailies build trends`"]
    assert not path.exists()


def test_objects_of_the_user_are_notes(path: Path) -> None:
    execute(
        path,
        """
        create table mine (id integer primary key, text);
        create virtual table mine_fts using fts5 (text, content="mine");
        create view my_view as select 1;
        create index my_index on search_history (query, source);
        create trigger my_trigger after insert on mine begin select 1; end;
        alter table search_history add column remark text;
        """,
    )
    assert checks.examine("trends", path) == checks.Findings(
        problems=[],
        notes=[
            "column search_history.remark: not created by Dailies",
            "table mine: not created by Dailies",
            "table mine_fts: not created by Dailies",
            "view my_view: not created by Dailies",
            "index my_index: not created by Dailies",
            "trigger my_trigger: not created by Dailies",
        ],
    )
    execute(path, "insert into mine values (1, 'not indexed')")
    assert checks.check("trends", path) == []


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("drop index idx_search_history_source", "index idx_search_history_source is missing"),
        ("drop table search_history", "table search_history is missing"),
        ("drop table set_aside", "table set_aside is missing"),
        (
            "alter table search_history drop column result_count",
            "table search_history was altered",
        ),
        (
            """
            create trigger extra after delete on search_history begin
              delete from trending_topics_fts where rowid = old.id;
            end
            """,
            "trigger extra writes to a search index of Dailies",
        ),
    ],
)
def test_our_objects_are_problems(path: Path, damage: str, problem: str) -> None:
    execute(
        path,
        """
        drop index idx_search_history_source;
        drop trigger if exists search_history_ai;
        drop trigger if exists search_history_au;
        drop trigger if exists search_history_bi_rules;
        drop trigger if exists search_history_bu_rules;
        """
        if "drop column" in damage
        else "",
    )
    execute(path, damage)
    assert f"{problem}: run `dailies build trends`" in checks.check("trends", path)
    upgrade.build("trends", path)
    assert checks.check("trends", path) == []


def test_missing_rows_of_the_schema_come_back(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    upgrade.build("yt-builder", path)
    moves = "select count(*) from job_status_moves"
    with closing(sqlite3.connect(path)) as connection:
        expected = connection.execute(moves).fetchone()
    execute(
        path,
        """
        drop trigger write_context_bd;
        delete from write_context;
        drop table job_status_moves;
        """,
    )
    assert "table job_status_moves is missing: run `dailies build yt-builder`" in checks.check(
        "yt-builder", path
    )
    upgrade.build("yt-builder", path)
    assert checks.check("yt-builder", path) == []
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(moves).fetchone() == expected


def write_text(path: Path) -> None:
    path.write_text("no database")


def make_foreign(path: Path) -> None:
    path.unlink()
    execute(path, "create table recipes (id)")


def make_other(path: Path) -> None:
    path.unlink()
    upgrade.build("metrics", path)


def overwrite_page(path: Path) -> None:
    """Damage the root page of a table, in a file that a repair is due for."""
    execute(
        path,
        "drop index idx_trending_topics_source; vacuum; pragma journal_mode = delete",
    )
    with closing(sqlite3.connect(path)) as connection:
        root = connection.execute(
            "select rootpage from sqlite_master where name = 'search_history'"
        ).fetchone()[0]
        size = connection.execute("pragma page_size").fetchone()[0]
    content = bytearray(path.read_bytes())
    content[(root - 1) * size : (root - 1) * size + 100] = b"\xff" * 100
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (write_text, "is not a SQLite file"),
        (make_foreign, "holds other tables than trends"),
        (make_other, "is a metrics database, not trends"),
        (overwrite_page, "is damaged"),
    ],
)
def test_files_that_are_refused(
    path: Path, spoil: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    spoil(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"{message}.*: it was left as it is"):
        upgrade.build("trends", path)
    assert any(message in line for line in checks.check("trends", path))
    other = tmp_path / "other.db"
    with pytest.raises(ValueError, match=message):
        restore("trends", other, path)
    assert path.read_bytes() == before
    assert not other.exists()


def test_restore_refuses_while_the_file_is_open(path: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    upgrade.build("trends", backup)
    before = path.read_bytes()
    with closing(open_database("trends", path).conn) as connection:
        connection.execute("select * from trending_topics").fetchall()
        with pytest.raises(ValueError, match="is in use: stop the server first"):
            restore("trends", path, backup)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir() if "restoring" in file.name] == []
    kept = restore("trends", path, backup)
    assert kept is not None
    assert checks.check("trends", path) == []


def test_a_current_file_is_recognized_quickly(path: Path) -> None:
    schema.reference("trends")
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    with closing(sqlite3.connect(path)) as connection:
        connection.set_progress_handler(count, 100)
        assert not checks.needs_work("trends", connection)
    assert steps < 100


def test_reset_refuses_while_the_file_is_open(data_dir: Path) -> None:
    path = data_dir / "trends.db"
    with closing(open_database("trends").conn) as connection:
        connection.execute("select * from trending_topics").fetchall()
        report = building.build("trends", reset=True)
        assert report.error == f"trends: {path} is in use: stop the server first"
    assert building.build("trends", reset=True).created
    assert len(list(data_dir.glob("*.backup-*"))) == 1


@pytest.mark.process
def test_looking_at_a_file_keeps_the_locks_of_this_process(data_dir: Path) -> None:
    """Closing a file ends them: another program would then delete the log that is in use."""
    db = open_database("campaigns")
    campaigns.add_job(db, {"id": "first", "job_name": "x"})
    path = database_path("campaigns")
    for look in (checks.inspect, lambda _, path: create_file(path)):
        look("campaigns", path)
        program = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('select * from jobs')"
        subprocess.run([sys.executable, "-c", program, path], check=True)
        assert path.with_name("campaigns.db-wal").exists()
    campaigns.add_job(db, {"id": "second", "job_name": "x"})
    assert campaigns.job_exists(open_database("campaigns"), "second")
