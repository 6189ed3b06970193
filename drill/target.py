"""A server with secrets and traps in its files, which the cases of drill/security.py share."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
from in_process import paths, serving

from dailies.auth import tokens
from drill.site import Site
from loaders import campaigns, image_library, open_database, presentation_jobs, trends, yt_builder
from loaders.registry import DATABASES

SENTINEL = "FAKE-SECRET-DO-NOT-SERVE"
NAME = "NameOfAJob"
SECRETS = f"""
create table youtube_credentials (id integer primary key, credentials_json text);
insert into youtube_credentials (credentials_json) values ('{SENTINEL}');
create view v_credentials as select * from youtube_credentials;
create virtual table credentials_fts using fts5 (credentials_json);
insert into credentials_fts values ('{SENTINEL}');
alter table jobs add column oauth_refresh text;
update jobs set oauth_refresh = '{SENTINEL}';
create index idx_jobs_oauth on jobs (oauth_refresh);
insert into set_aside (table_name, row_key, reason, content)
values ('jobs', 'x', 'was no JSON', '{SENTINEL}');
analyze;
"""
VALUES = {
    "database": [*DATABASES, "_memory"],
    "table": ["jobs", "job_history", "set_aside", "youtube_credentials", "jobs_fts"],
    "query": ["recent_jobs"],
    "pks": ["spring"],
    "format": ["", ".json"],
    "key": ["spring"],
}
Actor = str | None


class Target(Site):
    """`listener` is at an address that rows of every database hold."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.images = folder / "images"
        self.images.mkdir()
        super().__init__(folder / "data", *options, DAILIES_IMAGES_DIR=str(self.images))
        plant(self)

    @property
    def trap(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}/trap.png"

    @contextmanager
    def environment(self) -> Iterator[None]:
        """Have functions of this process use the files of the server."""
        before = os.environ.get("DAILIES_DATA_DIR")
        os.environ["DAILIES_DATA_DIR"] = str(self.data_dir)
        try:
            yield
        finally:
            os.environ.pop("DAILIES_DATA_DIR")
            if before is not None:
                os.environ["DAILIES_DATA_DIR"] = before

    def revoke(self, token_id: str) -> None:
        with self.environment():
            tokens.revoke(token_id)

    def new_token(self, actor: str, *can: str) -> tuple[str, str]:
        with self.environment():
            return tokens.create(actor, can)

    @contextmanager
    def asking_as(self, actor: Actor, *can: str) -> Iterator[httpx2.Client]:
        with self.client() as client:
            if actor:
                client.headers["Authorization"] = f"Bearer {self.new_token(actor, *can)[1]}"
            yield client

    def sign_in(self, client: httpx2.Client, actor: str) -> str:
        """Sign in; the id of the token."""
        token_id, token = self.new_token(actor)
        answer = client.post("/-/sign-in", data={"token": token})
        assert answer.status_code == 303, answer.text
        return token_id

    def paths(self, **values: list[str]) -> list[str]:
        """A path for every route of the application."""
        with self.environment(), serving() as datasette:
            return paths(datasette, VALUES | values)

    def content(self) -> dict[str, list[Any]]:
        """Every row of every table of every database."""
        return {name: rows_of(self.data_dir / f"{name}.db") for name in DATABASES}


def rows_of(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("select name from sqlite_master where type = 'table'")
        tables = sorted(name for (name,) in found if name != "sqlite_stat1")
        return [
            (table, connection.execute(f"select * from [{table}]").fetchall()) for table in tables
        ]


def plant(target: Target) -> None:
    def opened(name: str) -> Any:
        return open_database(name, target.data_dir / f"{name}.db")

    db = opened("campaigns")
    campaigns.add_job(db, {"id": "spring", "job_name": NAME, "avatarVideo": target.trap})
    db.conn.executescript(SECRETS)
    db.close()
    db = opened("yt-builder")
    yt_builder.create_job(db, run_id="run", run_dir="runs/1")
    yt_builder.add_youtube_upload(db, 1, "v", target.trap, target.trap)
    db.close()
    db = opened("presentation_jobs")
    presentation_jobs.create(db, {"job_id": "p", "video_url": target.trap})
    db.close()
    db = opened("trends")
    trends.add_topic(db, target.trap, "reddit")
    db.close()
    db = opened("image_library")
    image_library.add_image(db, "nutsy", target.trap, source="photo")
    db.close()
    opened("metrics").close()


@cache
def target() -> Target:
    """The server of most cases."""
    return started(Path(tempfile.mkdtemp(prefix="dailies-drill-")))


@cache
def private_target() -> Target:
    """A server whose pages are for root alone; its tokens may be deleted."""
    folder = Path(tempfile.mkdtemp(prefix="dailies-drill-"))
    config = folder / "private.yml"
    config.write_text("allow: {id: root}\n")
    return started(folder, "-c", str(config))


def started(folder: Path, *options: str) -> Target:
    """A running server, which ends with this process."""
    running = Target(folder, *options)
    running.start()

    def end() -> None:
        running.kill9()
        running.listener.close()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    return running
