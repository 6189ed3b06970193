"""Files that are moved, deleted or replaced under a server."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from datasette.app import Datasette
from empty_databases import create_databases
from in_process import asking, serving
from jobs_client import token_of

from dailies.storage import reopening
from loaders import campaigns, checks, open_database

GONE = "is gone: it was moved or deleted. Put it back"
REPLACED = "was replaced while it was open: open it again"


@pytest.fixture
def datasette(data_dir: Path) -> Datasette:
    create_databases()
    with serving() as datasette:
        yield datasette


@pytest.fixture
async def client(datasette: Datasette) -> AsyncIterator[httpx2.AsyncClient]:
    async with asking(datasette, None) as client:
        client.headers |= token_of("root")
        await reopening.open_for_writing(datasette)
        for number in range(3):
            assert (await add(client, f"before{number}")).status_code == 201
        yield client


async def add(client: httpx2.AsyncClient, key: str) -> httpx2.Response:
    return await client.post("/api/campaigns", json={"id": key, "job_name": "Spring"})


def ids(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        return [key for (key,) in connection.execute("select id from jobs order by id")]


BEFORE = ["before0", "before1", "before2"]


def delete(path: Path) -> None:
    path.unlink()


def move(path: Path) -> None:
    path.rename(path.with_name("moved.db"))


def rename_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("renamed"))


def replace(path: Path) -> None:
    other = path.with_name("other.db")
    with closing(open_database("campaigns", other)) as db:
        campaigns.add_job(db, {"id": "other", "job_name": "Other"})
    other.replace(path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [(delete, GONE), (move, GONE), (rename_folder, GONE), (replace, REPLACED)],
)
async def test_nothing_is_read_or_written_any_more(
    datasette: Datasette,
    client: httpx2.AsyncClient,
    data_dir: Path,
    change: Callable[[Path], None],
    reason: str,
) -> None:
    change(data_dir / "campaigns.db")
    row = {"row": {"id": "row", "job_name": "Row"}}
    requests = [
        ("POST", "/api/campaigns", {"id": "after", "job_name": "After"}),
        ("POST", "/campaigns/jobs/-/insert", row),
        ("GET", "/api/campaigns", None),
        ("GET", "/campaigns/jobs.json", None),
        ("GET", "/campaigns/recent_jobs.json", None),
    ]
    if change is rename_folder:  # the tokens are gone, too
        requests = [request for request in requests if request[0] == "GET"]
        client.headers.pop("Authorization")
    for method, path, body in requests:
        answer = await client.request(method, path, json=body)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1"), answer.text
        assert answer.json()["error"].endswith(reason)
    others = "/metrics/video_metrics.json", "/_memory/topic_engagement.json", "/"
    if change is not rename_folder:
        assert [(await client.get(path)).status_code for path in others] == [200] * 3
        assert (data_dir / "campaigns.db").exists() == (change is replace)
    await reopening.finish(datasette)
    if change is replace:
        assert ids(data_dir / "campaigns.db") == ["other"]
    if change is move:
        (data_dir / "campaigns.db-wal").unlink()
        assert ids(data_dir / "moved.db") == BEFORE
    if change is rename_folder:
        assert ids(data_dir.with_name("renamed") / "campaigns.db") == BEFORE


async def test_a_new_file_is_served(
    datasette: Datasette, client: httpx2.AsyncClient, data_dir: Path
) -> None:
    path = data_dir / "campaigns.db"
    replace(path)
    await reopening.reopen(datasette)
    assert (await add(client, "after")).status_code == 201
    assert [row["id"] for row in (await client.get("/api/campaigns")).json()["rows"]] == [
        "after",
        "other",
    ]
    shutil.copy(path, data_dir / "kept.db")
    (data_dir / "text").write_text("no database")
    (data_dir / "text").replace(path)
    await reopening.reopen(datasette)
    refused = await add(client, "refused")
    assert (refused.status_code, refused.json()["error"]) == (
        503,
        "The database campaigns is not available: its file is not a SQLite file",
    )
    path.unlink()
    await reopening.reopen(datasette)
    assert (await add(client, "refused")).json()["error"].endswith("its file is missing")
    (data_dir / "kept.db").replace(path)
    await reopening.reopen(datasette)
    assert (await add(client, "last")).status_code == 201
    assert (await client.get("/_memory/topic_engagement.json")).status_code == 200
    assert checks.check("campaigns", path) == []


async def test_a_file_that_comes_back_is_served(
    datasette: Datasette, client: httpx2.AsyncClient, data_dir: Path
) -> None:
    path = data_dir / "campaigns.db"
    away = path.with_name("away.db")
    path.rename(away)
    assert (await add(client, "lost")).status_code == 503
    away.rename(path)
    await reopening.reopen(datasette)
    assert (await add(client, "new")).status_code == 201
    assert ids(path) == [*BEFORE, "new"]


async def test_a_newer_version_upgrades_the_file(
    datasette: Datasette, client: httpx2.AsyncClient, data_dir: Path
) -> None:
    await reopening.reopen(datasette)
    assert (await add(client, "known")).status_code == 201
    with closing(sqlite3.connect(data_dir / "campaigns.db")) as connection:
        connection.execute(
            """
            insert into _sqlite_migrations (migration_set, name, applied_at)
            values ('campaigns', 'm099_future', '2030-01-01')
            """
        )
        connection.commit()
    await reopening.reopen(datasette)
    refused = await add(client, "refused")
    assert refused.status_code == 503
    assert "has the schema m099_future of a newer version of Dailies" in refused.json()["error"]


async def test_a_file_served_beside_them(data_dir: Path, tmp_path: Path) -> None:
    create_databases()
    path = tmp_path / "notes.db"

    def make(text: str) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("create table notes (text)")
            connection.execute("insert into notes values (?)", (text,))
            connection.commit()

    make("old")
    with serving(files=[str(path)]) as datasette:
        async with asking(datasette, None) as client:
            assert (await client.get("/notes/notes.json")).json()["rows"][0]["text"] == "old"
            path.unlink()
            gone = await client.get("/notes/notes.json")
            assert (gone.status_code, gone.json()["error"].endswith(GONE)) == (503, True)
            assert (await client.get("/metrics/video_metrics.json")).status_code == 200
            make("new")
            await reopening.reopen(datasette)
            assert (await client.get("/notes/notes.json")).json()["rows"][0]["text"] == "new"


def test_a_database_in_use_by_a_program(tmp_path: Path) -> None:
    path = tmp_path / "campaigns.db"
    job = {"id": "a", "job_name": "Spring"}
    with closing(open_database("campaigns", path)) as db:
        campaigns.add_job(db, job)
        os.rename(path, tmp_path / "moved.db")  # noqa: PTH104
        for work in (campaigns.list_jobs, lambda db: campaigns.add_job(db, job)):
            with pytest.raises(ValueError, match=GONE):
                work(db)
    assert not path.exists()
    with closing(sqlite3.connect(tmp_path / "moved.db")) as moved:
        assert moved.execute("select id from jobs").fetchall() == [("a",)]
    (tmp_path / "campaigns.db-wal").write_bytes(b"transactions")
    with pytest.raises(ValueError, match="is gone, but its log is there"):
        open_database("campaigns", path)
    assert not path.exists()
