"""What `dailies serve` does with its options before it serves."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pytest
from datasette.app import Datasette
from in_process import ROOT, WORKER, asking, metadata, serving
from server_process import RunDailies

from dailies import background, server
from dailies.api.resources import BUILDS
from dailies.background import Task, failures, run_once
from dailies.health import look
from dailies.recovery import recover
from loaders import open_database, yt_builder

WRONG = {
    "--nope": "No such option '--nope'.",
    "--setting nope": "requires 2 arguments",
    "missing.db": "missing.db does not exist",
    "notes.txt": "notes.txt is not a SQLite file",
    "data": "data is a folder: name the database files in it",
    "old.db": "old.db is a campaigns database of Dailies, of which not everything may be read: "
    "set CAMPAIGNS_DB_PATH to serve it",
    "--plugins-dir data": "--plugins-dir cannot be used here: the plugins of Dailies check",
    "--template-dir data": "--template-dir cannot be used here: the pages of Dailies need",
    "--reload": "--reload cannot be used here: Dailies does not restart itself",
    "-c missing.yml": "File 'missing.yml' does not exist",
    "-c list.yml": "list.yml must hold a mapping, such as `title: ...`",
    "-c broken.yml": "broken.yml is no YAML or JSON",
}


@pytest.mark.parametrize("options", WRONG)
def test_wrong_options_are_refused_before_anything_is_built(
    data_dir: Path, run_dailies: RunDailies, options: str
) -> None:
    folder = data_dir.parent
    open_database("campaigns", folder / "old.db").close()
    for name, text in {"notes.txt": "notes", "list.yml": "[1]", "broken.yml": "a: [b"}.items():
        (folder / name).write_text(text)
    result = run_dailies("serve", *options.split())
    assert (result.returncode, result.stdout) == (2, "")
    assert WRONG[options] in result.stderr
    assert list(data_dir.iterdir()) == []


# Settings of the user's own


def merged(tmp_path: Path, *texts: str) -> dict[str, Any]:
    paths = []
    for number, text in enumerate(texts):
        paths.append(tmp_path / f"{number}.yml")
        paths[-1].write_text(text)
    return server.configuration(paths)


def test_own_settings_are_merged_over_ours(tmp_path: Path) -> None:
    ours = metadata()
    nothing = "permissions:\ndatabases: {campaigns: , trends: {tables: {set_aside: {allow: }}}}"
    assert merged(tmp_path) == merged(tmp_path, "") == merged(tmp_path, nothing) == ours
    with pytest.raises(click.UsageError, match=r'^the configuration has no mapping under "tables"'):
        merged(tmp_path, "databases: {campaigns: {tables: [jobs]}}")
    both = merged(tmp_path, "title: Mine\nsettings: {default_page_size: 7}", '{"title": "Later"}')
    assert both == {
        **ours,
        "title": "Later",
        "settings": {**ours["settings"], "default_page_size": 7},
    }


def test_rules_are_replaced_and_not_extended(tmp_path: Path) -> None:
    own = """
    permissions: {execute-sql: {id: alice}}
    databases: {campaigns: {tables: {
      set_aside: {allow: {role: staff}}, jobs: {permissions: {create-job: {id: bob}}}}}}
    """
    both, ours = merged(tmp_path, own), metadata()
    tables, before = both["databases"]["campaigns"]["tables"], ours["databases"]["campaigns"]
    assert both["permissions"] == {**ours["permissions"], "execute-sql": {"id": "alice"}}
    assert tables["set_aside"]["allow"] == {"role": "staff"}
    assert tables["jobs"]["permissions"] == {
        **before["tables"]["jobs"]["permissions"],
        "create-job": {"id": "bob"},
    }
    assert both["databases"]["trends"] == ours["databases"]["trends"]


async def test_what_ours_closes_stays_closed(samples: Path, tmp_path: Path) -> None:
    own = "title: Mine\ndatabases: {trends: {allow: {id: worker}}}"
    with serving(config=merged(tmp_path, own)) as datasette:
        async with asking(datasette, None) as client:
            expected = {
                "/": 200, "/campaigns/jobs.json": 200, "/campaigns/set_aside.json": 403,
                "/campaigns/-/query.json?sql=select+1": 403, "/trends.json": 403,
                "/trends/trending_topics.json": 403,
            }  # fmt: skip
            found = {path: (await client.get(path)).status_code for path in expected}
            assert found == expected
        async with asking(datasette, WORKER) as client:
            assert (await client.get("/trends/trending_topics.json")).status_code == 200


# Files of the user's own


@pytest.fixture(scope="module")
def beside(
    tmp_path_factory: pytest.TempPathFactory,
    shared_samples: Path,
) -> Iterator[tuple[Datasette, Path]]:
    """An instance with a file of the user's own, which is called like one of ours."""
    file = tmp_path_factory.mktemp("own") / "trends.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("create table notes (id integer primary key, text)")
        connection.execute("insert into notes (text) values ('hello')")
        connection.commit()
    with serving(files=[str(file)], config={**metadata(), "permissions": {"*": True}}) as datasette:
        datasette.root_enabled = True
        yield datasette, file


async def test_extra_files_are_served_beside_ours(beside: tuple[Datasette, Path]) -> None:
    datasette, file = beside
    async with asking(datasette, None) as client:
        rows = (await client.get("/trends_2/notes.json?_shape=array")).json()
        assert rows == [{"id": 1, "text": "hello"}]
        assert len((await client.get("/trends/trending_topics.json")).json()["rows"]) > 0
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("insert into notes (text) values ('later')")
            connection.commit()
        assert (await client.get("/trends_2/notes.json?_extra=count")).json()["count"] == 2
        for path in ("/", "/trends_2", "/trends_2/notes", "/trends_2/notes/1", "/-/databases"):
            assert (await client.get(path)).status_code == 200, path


async def test_extra_files_are_only_read(beside: tuple[Datasette, Path]) -> None:
    datasette, file = beside
    before = file.read_bytes()
    async with asking(datasette, ROOT) as client:
        for path, body in {
            "/trends_2/notes/-/insert": {"row": {"text": "x"}},
            "/trends_2/notes/-/upsert": {"rows": [{"id": 1, "text": "x"}]},
            "/trends_2/notes/1/-/update": {"update": {"text": "x"}},
            "/trends_2/notes/1/-/delete": {},
            "/trends_2/notes/-/drop": {"confirm": True},
            "/trends_2/-/create": {"table": "x", "row": {"id": 1}},
            "/trends_2/-/execute-write": {"sql": "delete from notes"},
        }.items():
            answer = await client.post(path, json=body)
            assert 400 <= answer.status_code < 500, (path, answer.status_code, answer.text)
            assert answer.json()["ok"] is False
    assert file.read_bytes() == before
    assert not list(file.parent.glob("*-journal"))


# Work in the background


@pytest.fixture
def quiet(samples: Path) -> Iterator[Datasette]:
    with serving() as datasette:
        yield datasette


@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(3), MemoryError(), KeyError(1)])
async def test_work_that_raises_is_tried_again(quiet: Datasette, error: BaseException) -> None:
    raised: list[BaseException] = [error]

    async def work(_: Datasette) -> None:
        if raised:
            raise raised[0]

    task = Task("Sweeping", 5, work)
    await quiet.invoke_startup()
    await run_once(quiet, task)
    message = f"Sweeping failed: {type(error).__name__}: {error}"
    assert await look(quiet) == [message]
    raised.clear()
    await run_once(quiet, task)
    assert (failures(quiet), await look(quiet)) == ({}, [])


async def test_recovery_of_leased_jobs(quiet: Datasette) -> None:
    await quiet.invoke_startup()
    old = "2020-01-01T00:00:00.000Z"
    with closing(open_database("yt-builder")) as db:
        db.execute("delete from jobs")
        for number in (1, 2):
            yt_builder.BUILDS.add(db, {"job_id": number, "status": "queued"})
        yt_builder.BUILDS.claim(db, "w")
        db.execute("update jobs set status = 'running' where job_id = 2")
        await recover(quiet, BUILDS)
        db.execute("update jobs set last_heartbeat = ?", [old])
        before = db.execute("select count(*) from job_changes").fetchone()
        assert before == db.execute("select count(*) from job_changes").fetchone()
        await recover(quiet, BUILDS)
        jobs = db.execute("select job_id, status from jobs order by job_id").fetchall()
        assert jobs == [(1, "queued"), (2, "running")]
        [event] = db.execute("select actor, detail from job_events order by id desc limit 1")
        assert event == ("recover", "no heartbeat for 10 minutes")
        db.execute("alter table job_times rename to hidden")
        db.execute("drop table job_states")
    await run_once(quiet, Task("Recovery", 5, lambda one: recover(one, BUILDS)))
    assert await look(quiet) == ["Recovery failed: OperationalError: no such table: job_states"]


async def test_health(quiet: Datasette) -> None:
    async with asking(quiet, None) as client:
        answer = await client.get("/-/health")
        assert (answer.status_code, answer.json()) == (
            200, {"ok": True, "health": "ok", "status": 200},
        )  # fmt: skip
        assert (await client.post("/-/health")).status_code == 405


def test_only_serve_starts_work_in_the_background() -> None:
    assert not background.enabled.is_set()


def test_arguments_of_datasette(data_dir: Path) -> None:
    arguments = server.parse("0.0.0.0", 81, [], ["--static", "x:static", "--setting", "a", "1"])  # noqa: S104
    assert (arguments["host"], arguments["port"], arguments["cors"]) == ("0.0.0.0", 81, True)  # noqa: S104
    assert [mount for mount, _ in arguments["static"]] == ["static", "x"]
    assert json.loads(arguments["config"].read()) == metadata()
    with pytest.raises(click.UsageError):
        server.parse("127.0.0.1", 81, [], ["--port"])
