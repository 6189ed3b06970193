"""Database files that are moved, deleted, replaced or damaged, and disks that are full."""

from __future__ import annotations

import itertools
import lzma
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from cli_runner import run_in_process

from drill.case import Run, case
from drill.site import Site, running
from loaders import campaigns, open_database
from loaders import restore as restoring
from loaders.backups import back_up_file
from loaders.restore import restore

NAME = "campaigns.db"
WITHIN_SECONDS = 15
OLD_FILE = Path(__file__).parent.parent / "tests" / "data" / "legacy" / "trends.db.xz"
CALLS = "link,linkat,rename,renameat,unlink,unlinkat,ftruncate,fsync,fdatasync,pwrite64"
RESTORE = """
import sys
from pathlib import Path
from loaders.restore import restore
restore("campaigns", Path(sys.argv[1]), Path(sys.argv[2]))
"""


def make(path: Path, prefix: str, jobs: int = 30) -> Path:
    """A campaigns database with so many jobs."""
    with closing(open_database("campaigns", path)) as db:
        campaigns.bulk_add_jobs(db, [{"id": f"{prefix}{n}", "job_name": "x"} for n in range(jobs)])
    return path


def ids(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)], path
        return {key for (key,) in connection.execute("select id from jobs")}


def status_of_write(site: Site, key: str) -> int:
    job = {"id": key, "job_name": "x"}
    return site.request("POST", "/api/campaigns", token=site.root, json=job).status_code


def wait_for(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_SECONDS
    while not done():
        assert time.monotonic() < deadline, "it did not happen in time"


def moved(folder: Path) -> Path:
    away = folder / "moved.db"
    (folder / "data" / NAME).rename(away)
    return away


def deleted(folder: Path) -> None:
    (folder / "data" / NAME).unlink()


def replaced(folder: Path) -> None:
    make(folder / "other.db", "other").replace(folder / "data" / NAME)


def folder_renamed(folder: Path) -> Path:
    (folder / "data").rename(folder / "renamed")
    (folder / "data").mkdir()
    return folder / "renamed" / NAME


CHANGES = (moved, deleted, replaced, folder_renamed)


@case("file moved, deleted, replaced, or its folder renamed under a server")
def changed(run: Run) -> None:
    for folder in run.repeat(5):
        for change in (replaced,) if run.quick else CHANGES:
            part = folder / change.__name__
            part.mkdir()
            with run.serving(part) as site:
                change_file(run, site, part, change)


def change_file(run: Run, site: Site, folder: Path, change: Callable[[Path], Path | None]) -> None:
    path = folder / "data" / NAME
    with site.writing() as acknowledged, site.watched("/metrics/video_metrics.json"):
        wait_for(lambda: len(acknowledged) >= 20)
        kept = change(folder)
        before = len(acknowledged)
        if change is replaced:
            wait_for(lambda: status_of_write(site, "after") == 201)
            wait_for(lambda: len(acknowledged) > before + 5)
        else:
            assert status_of_write(site, "after") in (401, 503)
    if kept is not None:
        wait_for(lambda: not log_of(folder / "data" / NAME))
        run.lost += site.missing(acknowledged, kept)
    if change is replaced:
        site.stop()
        found = ids(path)
        assert {f"other{n}" for n in range(30)} | {"after"} <= found
        run.lost += site.missing(acknowledged[before + 5 :], path)
        old = {f"other{n}" for n in range(30)} | {"after"}
        assert found - old <= set(acknowledged[before - 1 :]), "the old log was merged"
        site.start()
    else:
        assert not path.exists(), "the server made a new file"


def log_of(path: Path) -> int:
    log = path.with_name(f"{path.name}-wal")
    return log.stat().st_size if log.exists() else 0


@case("restore and build --reset under a server, then without it")
def restored(run: Run) -> None:
    for folder in run.repeat(5):
        backup = make(folder / "backup.db", "backup")
        with run.serving(folder) as site:
            commands = [["restore", "campaigns", str(backup)]]
            if not run.quick:
                commands.append(["build", "campaigns", "--reset", "--yes"])
            with site.writing() as acknowledged, site.watched():
                for command in commands:
                    done = site.dailies(*command)
                    assert done.returncode == 1, done.stdout
                    assert "is in use: stop the server first" in done.stdout + done.stderr
            run.lost += site.missing(acknowledged)
            site.stop()
            kept = restore("campaigns", folder / "data" / NAME, backup)
            assert kept is not None
            run.lost += site.missing(acknowledged, kept)
            assert site.missing([f"backup{n}" for n in range(30)]) == 0
            site.start()


def with_log(folder: Path) -> Path:
    """A folder with a database whose rows are in its log, as a killed program leaves it."""
    with closing(open_database("campaigns", folder / "source.db")) as db:
        campaigns.bulk_add_jobs(db, [{"id": f"old{n}", "job_name": "x"} for n in range(30)])
        old = folder / "old"
        old.mkdir()
        for suffix in ("", "-wal"):
            shutil.copy(f"{folder / 'source.db'}{suffix}", old / f"{NAME}{suffix}")
    return old


def whole(path: Path) -> None:
    """The old or the new file is there, and the old one is kept if it is the new one."""
    old, new = ({f"{prefix}{n}" for n in range(30)} for prefix in ("old", "new"))
    found = ids(path)
    assert found in (old, new, set()), f"{len(found)} jobs"
    if found != old:
        beside = (*path.parent.glob("*.replaced-*Z"), *path.parent.glob("*.backup-*Z"))
        assert [ids(file) for file in beside] == [old]


@case("restore and build --reset killed at each call of Python to the system")
def killed(run: Run) -> None:
    for folder in run.repeat(1):
        old, backup = with_log(folder), make(folder / "new.db", "new")
        works: list[Callable[[Path], object]] = [
            lambda path, backup=backup: restore("campaigns", path, backup),
            lambda path: restoring.reset("campaigns", path),
        ]
        for work in works:
            step, ended = 0, False
            while not ended:
                step += 5 if run.quick else 1
                target = folder / "target"
                shutil.copytree(old, target)
                ended = kill_at(step, lambda w=work, t=target: w(t / NAME))
                whole(target / NAME)
                if not ended:
                    restore("campaigns", target / NAME, backup)
                    assert not list(target.glob("*.partial*")), "partial files were left"
                shutil.rmtree(target)
                run.tries += 1


def kill_at(step: int, work: Callable[[], object]) -> bool:
    """Do the work in a process that ends at this step; True if it was done before."""
    child = os.fork()
    if child == 0:
        steps = itertools.count()

        def count(_event: str, _arguments: object) -> None:
            if next(steps) == step:  # to kill is a step, too
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        work()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
    return status == 0


@case("restore killed at each system call that writes", quick=False)
def traced(run: Run) -> None:
    if shutil.which("strace") is None:
        run.notes.append("not tried: there is no strace here")
        return
    for folder in run.repeat(1):
        old, backup = with_log(folder), make(folder / "new.db", "new")
        for call in range(1, 200):
            target = folder / "target"
            shutil.copytree(old, target)
            inject = f"inject={CALLS}:signal=SIGKILL:when={call}"
            trace = ["strace", "-f", "-o", str(folder / "trace"), "-e", inject]
            python = [sys.executable, "-B", "-c", RESTORE, str(target / NAME), str(backup)]
            ended = subprocess.run([*trace, *python], cwd=Path(__file__).parent.parent).returncode
            whole(target / NAME)
            shutil.rmtree(target)
            run.tries += 1
            if ended == 0:
                return


@case("backup of a file that is written all the time")
def written(run: Run) -> None:
    for folder in run.repeat(1):
        path = make(folder / NAME, "old", 10)
        add_megabytes(path, 30 if run.quick else 1000)
        with adding(path) as added:
            wait_for(lambda: len(added) > 5)
            before, start = len(added), time.monotonic()
            copy = back_up_file("campaigns", path, folder / "backups")
            run.notes.append(f"{time.monotonic() - start:.1f} s, {len(added) - before} jobs added")
        run.lost += len(set(added[:before]) - ids(copy)) + len(set(added) - ids(path))
        restore("campaigns", folder / "restored.db", copy)


@contextmanager
def adding(path: Path) -> Iterator[list[str]]:
    """Have a thread add jobs all the time; the list of their ids."""
    ended, added = threading.Event(), []

    def add() -> None:
        with closing(open_database("campaigns", path)) as db:
            while not ended.wait(0.005):
                key = f"new{len(added)}"
                campaigns.add_job(db, {"id": key, "job_name": "x"})
                added.append(key)

    yield from running(add, ended, added)


def add_megabytes(path: Path, megabytes: int) -> None:
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute("create table filler (content)")
        for _ in range(megabytes):
            connection.execute("insert into filler values (zeroblob(1000000))")


@contextmanager
def small_disk(run: Run, folder: Path, *options: str) -> Iterator[Path | None]:
    """A file system of its own; None where this account may not mount one."""
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", ",".join(("mode=700", *options)), "none", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        run.notes.append("not tried: mounting is not allowed here")
        yield None
        return
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@case("full disk during restore, reset, import, backup and upgrade")
def full(run: Run) -> None:
    for folder in run.repeat(1):
        with small_disk(run, folder, "size=6m") as disk:
            if disk is None:
                return
            old, backup = with_log(folder), make(folder / "new.db", "new")
            (folder / "jobs.json").write_text(f'[{{"id": "old1", "job_name": "{"y" * 10**6}"}}]')
            commands: list[list[str | Path]] = [
                ["restore", "campaigns", backup],
                ["build", "campaigns", "--reset", "--yes"],
                ["backup", "campaigns", "--to", disk / "backups"],
                ["import", "campaigns", "--on-conflict", "update", folder / "jobs.json"],
            ]
            for command in commands:
                for free in (0, 200_000) if run.quick else range(0, 400_000, 20_000):
                    run_on_full_disk(run, disk, old, free, command)
            legacy = folder / "legacy"
            legacy.mkdir()
            (legacy / "trends.db").write_bytes(lzma.decompress(OLD_FILE.read_bytes()))
            for free in (0, 1_000_000) if run.quick else range(0, 4_000_000, 100_000):
                run_on_full_disk(run, disk, legacy, free, ["build", "trends"])


def run_on_full_disk(run: Run, disk: Path, old: Path, free: int, command: list[str | Path]) -> None:
    """Run a command with so many bytes free: if it fails, nothing has changed."""
    data = disk / "data"
    before = content_of(shutil.copytree(old, data))
    shutil.rmtree(data)
    shutil.copytree(old, data)
    fill(disk, free)
    done = run_in_process(data, *command)
    (disk / "filler").unlink()
    output = done.stdout + done.stderr
    assert done.returncode in (0, 1), output
    assert "damaged" not in output, output
    if done.returncode:
        assert "disk" in output, output
        assert content_of(data) == before
        left = [file.name for file in disk.rglob("*.partial*")]
        assert not left, f"{command[0]} with {free:,} bytes free left {left}"
    shutil.rmtree(data)
    shutil.rmtree(disk / "backups", ignore_errors=True)
    run.tries += 1


def content_of(data: Path) -> list[str]:
    """Every row of the campaigns, or of the trends of an earlier system."""
    [path] = data.glob("*.db")
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def fill(disk: Path, free: int) -> None:
    """Leave so many bytes on the disk."""
    size = max(0, shutil.disk_usage(disk).free - free)
    (disk / "filler").write_bytes(b"\0" * size)


@case("commands that read, and a server, on a read-only disk")
def read_only(run: Run) -> None:
    for folder in run.repeat(1):
        with small_disk(run, folder) as disk:
            if disk is None:
                return
            data = disk / "data"
            assert run_in_process(data, "build", "--sample").returncode == 0
            done = run_in_process(data, "export", "campaigns", folder / "jobs.yaml")
            assert done.returncode == 0, done.stderr
            token = run_in_process(data, "token", "root").stdout.strip()
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
            reading: list[list[str | Path]] = [
                ["check"],
                ["info"],
                ["export", "metrics", folder / "metrics.json"],
                ["verify", "campaigns", folder / "jobs.yaml"],
                ["backup", "--to", folder / "backups"],
            ]
            for command in reading:
                done = run_in_process(data, *command)
                assert done.returncode == 0, f"{command}: {done.stdout} {done.stderr}"
                run.tries += 1
            for command in [["vacuum", "trends"], ["import", "campaigns", folder / "jobs.yaml"]]:
                done = run_in_process(data, *command)
                assert done.returncode == 1, command
                assert "read-only" in done.stderr, done.stderr
            if not run.quick:
                serve_read_only(run, folder, data, token)


def serve_read_only(run: Run, folder: Path, data: Path, token: str) -> None:
    with run.serving(folder, DAILIES_DATA_DIR=str(data)) as site:
        for path in ("/", "/campaigns/jobs.json", "/api/campaigns", "/_memory/topic_engagement"):
            assert site.request("GET", path).status_code == 200, path
        job = {"id": "new", "job_name": "x"}
        refused = site.request("POST", "/api/campaigns", token=token, json=job)
        assert refused.json()["error"] == "The database is read-only"
        assert refused.status_code == 503
        run.tries += 1


@case("one damaged file beside five sound ones")
def damaged(run: Run) -> None:
    for folder in run.repeat(1):
        data = folder / "data"
        assert run_in_process(data, "build").returncode == 0
        content = bytearray((data / "trends.db").read_bytes())
        content[4096:] = b"\xff" * (len(content) - 4096)
        (data / "trends.db").write_bytes(content)
        (data / "metrics.db").write_text("no database")
        for command in (["check"], ["info"], ["vacuum"], ["build"], ["backup", "--to", "copies"]):
            done = run_in_process(data, *command)
            output = done.stdout + done.stderr
            assert done.returncode == 1, output
            assert "trends.db is damaged" in output, output
            assert "metrics.db is not a SQLite file" in output, output
            run.tries += 1
        assert len(list((folder / "copies").iterdir())) == 4
