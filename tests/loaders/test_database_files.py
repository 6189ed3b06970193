"""How database files are created, backed up, restored and refused."""

from __future__ import annotations

import gzip
import lzma
import shutil
import sqlite3
import stat
from collections import namedtuple
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from server_process import RunDailies

from dailies.cli import build as building
from loaders import backups, checks, open_database, upgrade
from loaders.migrations import runner
from loaders.restore import restore

LEGACY = Path(__file__).parents[1] / "data" / "legacy"
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database `trends` with 30 topics."""
    file = tmp_path / "data" / "trends.db"
    with closing(open_database("trends", file)) as db:
        db.conn.executemany(
            "insert into trending_topics (topic, source) values (?, 'x')",
            [(f"topic {number}",) for number in range(30)],
        )
    return file


def execute(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_created_is_private(
    run_dailies: RunDailies, data_dir: Path, tmp_path: Path
) -> None:
    data_dir.rmdir()
    with closing(open_database("trends")) as db:
        db.conn.execute("select 1 from trending_topics")
        files = list(data_dir.iterdir())
        assert {file.name for file in files} == {f"trends.db{end}" for end in ("", "-wal", "-shm")}
        assert {mode_of(file) for file in files} == {0o600}
    assert mode_of(data_dir) == 0o700
    execute(data_dir / "trends.db", "drop index idx_trending_topics_source")
    run_dailies("build", "trends")
    run_dailies("backup", "--to", tmp_path / "deep" / "backups")
    made = [*data_dir.glob("*.backup-*"), *(tmp_path / "deep" / "backups").iterdir()]
    assert [mode_of(file) for file in made] == [0o600, 0o600]
    assert mode_of(tmp_path / "deep") == mode_of(tmp_path / "deep" / "backups") == 0o700


def test_permissions_that_the_user_gave_stay(path: Path, tmp_path: Path) -> None:
    backup = shutil.copy(path, tmp_path / "backup.db")
    path.chmod(0o640)
    path.parent.chmod(0o755)
    restore("trends", path, Path(backup))
    assert (mode_of(path), mode_of(path.parent)) == (0o640, 0o755)


NEWER = (
    "has the schema m099_future of a newer version of Dailies, while this one knows "
    f"{runner.names('trends')[-1]}: install the newer version"
)


def test_a_file_of_a_newer_version_is_refused(
    run_dailies: RunDailies, data_dir: Path, tmp_path: Path
) -> None:
    run_dailies("build")
    path = data_dir / "trends.db"
    execute(
        path,
        """
        insert into _sqlite_migrations (migration_set, name, applied_at)
        values ('trends', 'm099_future', '2030-01-01')
        """,
    )
    before = path.read_bytes()
    (tmp_path / "topics.json").write_text('[{"topic": "Tea", "source": "x"}]')
    for command in (
        ["build", "trends"],
        ["check", "trends"],
        ["info", "trends"],
        ["vacuum", "trends"],
        ["import", "trends", "topics.json"],
        ["export", "trends", "out.json"],
        ["backup", "trends", "--to", "backups"],
        ["build", "trends", "--reset", "--yes"],
    ):
        done = run_dailies(*command)
        assert (done.returncode, NEWER in done.stdout + done.stderr) == (1, True), command
    with pytest.raises(ValueError, match=NEWER):
        restore("trends", tmp_path / "other.db", path)
    assert path.read_bytes() == before
    assert not (tmp_path / "other.db").exists()


@pytest.mark.parametrize("packed", [True, False])
def test_a_packed_backup_is_restored(path: Path, tmp_path: Path, packed: bool) -> None:
    backup = tmp_path / "backup.db.gz"
    content = path.read_bytes()
    backup.write_bytes(gzip.compress(content) if packed else content)
    execute(path, "delete from trending_topics")
    kept = restore("trends", path, backup)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("select count(*) from trending_topics").fetchone() == (30,)
    assert kept is not None
    assert sorted(path.parent.iterdir()) == [path, kept]


@pytest.mark.parametrize(
    ("end", "message"), [(-9, "cannot be unpacked"), (None, "is not a SQLite file")]
)
def test_a_packed_file_that_is_refused(
    path: Path, tmp_path: Path, end: int | None, message: str
) -> None:
    before = path.read_bytes()
    (tmp_path / "backup.gz").write_bytes(gzip.compress(b"text" * 99)[:end])
    with pytest.raises(ValueError, match=message):
        restore("trends", path, tmp_path / "backup.gz")
    assert (list(path.parent.iterdir()), path.read_bytes()) == ([path], before)


def test_a_log_left_by_another_file_is_not_merged(path: Path, tmp_path: Path) -> None:
    backup = Path(shutil.copy(path, tmp_path / "backup.db"))
    with closing(open_database("trends", path)) as db:
        db.conn.execute("update trending_topics set topic = 'later'")
        log = path.with_name("trends.db-wal")
        content = log.read_bytes()
    path.unlink()
    log.write_bytes(content)
    kept = restore("trends", path, backup)
    assert kept is not None
    assert kept.with_name(f"{kept.name}-wal").read_bytes() == content
    with closing(sqlite3.connect(path)) as connection:
        topics = connection.execute("select count(*) from trending_topics where topic = 'later'")
        assert topics.fetchone() == (0,)


def test_backup_and_restore_ask_the_same(path: Path, tmp_path: Path) -> None:
    """An index that lacks a row is found by a full check only."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        change = "update sqlite_master set sql = ? where name = 'idx_search_history_source'"
        [sql] = connection.execute(
            "select sql from sqlite_master where name = 'idx_search_history_source'"
        ).fetchone()
        connection.execute("pragma writable_schema = on")
        connection.execute(change, (f"{sql} where 0",))
        connection.execute("pragma writable_schema = reset")
        connection.execute("insert into search_history (query, source) values ('tea', 'x')")
        connection.execute("pragma writable_schema = on")
        connection.execute(change, (sql,))
    message = "row 1 missing from index idx_search_history_source"
    with pytest.raises(ValueError, match=message):
        backups.back_up_file("trends", path, tmp_path / "backups")
    with pytest.raises(ValueError, match=message):
        restore("trends", tmp_path / "other.db", path)
    assert list((tmp_path / "backups").iterdir()) == []


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    path = tmp_path / "campaigns.db"
    path.write_bytes(lzma.decompress((LEGACY / "campaigns_v1.db.xz").read_bytes()))
    return path


def test_an_upgrade_asks_for_room_first(old_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size, before = old_file.stat().st_size, old_file.read_bytes()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 4 * size - 1))
    message = f"has {4 * size - 1:,} bytes of free disk space and needs {4 * size:,}"
    with pytest.raises(ValueError, match=message):
        upgrade.build("campaigns", old_file)
    assert (list(old_file.parent.iterdir()), old_file.read_bytes()) == ([old_file], before)


def test_a_second_try_uses_the_backup_of_the_first(
    old_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = old_file.with_name("campaigns.db.backup-20261120T000000Z.x.partial")
    left.write_bytes(b"of a run that was killed")

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(upgrade, "migrate", fail)
        for _ in range(3):
            with pytest.raises(sqlite3.OperationalError, match="full"):
                upgrade.build("campaigns", old_file)
    [first] = old_file.parent.glob("*backup*")
    result = upgrade.build("campaigns", old_file)
    assert result.backup == str(first)
    assert sorted(file.name for file in old_file.parent.iterdir()) == [old_file.name, first.name]
    with closing(sqlite3.connect(first)) as backup:
        assert backup.execute("select count(*) from jobs").fetchone()[0] > 0


def damage_page(part: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            name = f"trending_topics_fts_{part}"
            [page] = connection.execute(
                "select rootpage from sqlite_master where name = ?", (name,)
            ).fetchone()
        content = bytearray(path.read_bytes())
        content[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
        path.write_bytes(content)

    return damage


def run(script: str) -> Callable[[Path], None]:
    return lambda path: execute(path, script)


def damage_and_drop(path: Path) -> None:
    execute(path, "drop index idx_search_history_source; drop trigger trending_topics_ai")
    damage_page("data")(path)


@pytest.mark.parametrize(
    ("damage", "repaired"),
    [
        *((damage_page(part), ["search index trending_topics_fts"]) for part in ("data", "idx")),
        *((damage_page(part), ["search index trending_topics_fts"]) for part in ("content",)),
        (run("delete from trending_topics_fts_data"), ["search index trending_topics_fts"]),
        (run("delete from trending_topics_fts where rowid = 3"), ["trending_topics_fts"]),
        (run("insert into trending_topics_fts values ('stray')"), ["trending_topics_fts"]),
        (
            damage_and_drop,
            [
                "index idx_search_history_source",
                "table trending_topics_fts",
                "trigger trending_topics_ai",
            ],
        ),
    ],
)
def test_a_damaged_search_index_is_rebuilt(
    run_dailies: RunDailies,
    path: Path,
    damage: Callable[[Path], None],
    repaired: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRENDS_DB_PATH", str(path))
    damage(path)
    assert "run `dailies build trends`" in checks.check("trends", path)[0]
    report = building.build("trends")
    assert (report.error, report.repaired) == (None, repaired)
    assert checks.check("trends", path) == []
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        found = connection.execute(
            "select rowid from trending_topics_fts where trending_topics_fts match '\"topic 3\"'"
        )
        assert found.fetchall() == [(4,)]
    assert building.build("trends").repaired == []


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("yt-builder", "delete from job_times", "job_times does not agree with the jobs"),
        ("presentation_jobs", "update job_times set priority = 7", "job_times does not agree"),
        ("campaigns", "delete from job_counts", "job_counts does not agree with jobs"),
        ("campaigns", "delete from job_history", "job_history has no version of a job"),
        ("metrics", "delete from video_platforms", "does not show the newest snapshot"),
    ],
)
def test_a_build_derives_again_what_triggers_would_have(
    samples: Path, name: str, damage: str, message: str
) -> None:
    path = samples / f"{name}.db"
    execute(path, damage)
    assert message in checks.check(name, path)[0]
    report = building.build(name)
    assert (report.error, len(report.repaired)) == (None, 1)
    assert report.backup is not None
    assert [line for line in checks.check(name, path) if "run `dailies build" in line] == []
