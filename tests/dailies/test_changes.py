"""Changes: a client that reads them page by page knows which jobs exist."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlite_utils
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from jobs_client import add, assert_error, bearer, claim, jobs_client, key
from server_process import run_dailies

from dailies.api.changes import read_changes
from dailies.api.resources import RESOURCES, Resource
from dailies.auth import tokens
from loaders import upgrade
from loaders.connections import transaction
from loaders.registry import database_path

VERBS = (
    "insert",
    "insert or replace",
    "insert or ignore",
    "upsert",
    "update",
    "update or replace",
    "delete",
    "delete all",
    "tool insert",
    "tool replace",
    "tool upsert",
    "several at once",
)
numbers = st.integers(1, 4)
writes = st.tuples(st.sampled_from(VERBS), numbers, numbers, st.sampled_from("abc"))
steps = st.tuples(writes, st.none() | st.integers(1, 3))
ANOTHER_FILE = (
    "since: the database file was replaced; read the list again, then continue from since=latest"
)


@pytest.fixture(scope="module", params=RESOURCES)
def resource(request: pytest.FixtureRequest) -> Resource:
    return RESOURCES[request.param]


@pytest.fixture(scope="module")
def empty(resource: Resource, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database just built, to begin each example with."""
    path = tmp_path_factory.mktemp("empty") / "jobs.db"
    upgrade.build(resource.database, path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma journal_mode = delete")
    return path


class Reader:
    """Keeps a copy of the jobs by what the changes tell, and by nothing else."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.since: str | None = None
        self.last = 0
        self.jobs: dict[Any, Any] = {}

    def read(self, connection: sqlite3.Connection, size: int) -> int:
        """Read one page; how many changes it held."""
        found = read_changes(connection, self.resource, self.since, size)
        for change in found.rows:
            self.note(json.loads(change.text))
        self.since = str(found.next)
        assert len(found.rows) <= size
        return len(found.rows)

    def note(self, change: dict[str, Any]) -> None:
        assert change["change"] > self.last
        self.last = change["change"]
        assert (change["id"] in self.jobs) == (change["operation"] != "insert"), change
        if change["operation"] == "delete":
            del self.jobs[change["id"]]
        else:
            self.jobs[change["id"]] = change["job"]


@examples(40)
@given(st.lists(steps, max_size=14), st.booleans(), st.integers(1, 5))
def test_the_changes_tell_which_jobs_there_are(
    resource: Resource,
    empty: Path,
    tmp_path_factory: pytest.TempPathFactory,
    written: list[tuple[Any, int | None]],
    recursive_triggers: bool,
    size: int,
) -> None:
    path = tmp_path_factory.mktemp("jobs") / "jobs.db"
    path.write_bytes(empty.read_bytes())
    reader = Reader(resource)
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as writing,
        closing(sqlite3.connect(path, isolation_level=None)) as reading,
    ):
        writing.execute("pragma synchronous = off")
        for write, page in written:
            with suppress(sqlite3.IntegrityError):
                write_job(writing, resource, recursive_triggers, *write)
            if page:
                reader.read(reading, page)
        while reader.read(reading, size):
            pass
        stored = [resource.get(reading, str(name)) for name in keys(reading, resource)]
    assert reader.jobs == {resource_key(resource, one.key): json.loads(one.text) for one in stored}


def keys(connection: sqlite3.Connection, resource: Resource) -> list[Any]:
    return [name for (name,) in connection.execute(f"select {resource.key} from {resource.table}")]


def resource_key(resource: Resource, text: str) -> int | str:
    return int(text) if resource.name == "builds" else text


def write_job(
    connection: sqlite3.Connection,
    resource: Resource,
    recursive_triggers: bool,
    verb: str,
    number: int,
    other: int,
    word: str,
) -> None:
    connection.execute(f"pragma recursive_triggers = {recursive_triggers:d}")
    row = row_of(resource, number, word)
    if verb.startswith("tool"):
        tool = sqlite_utils.Database(connection, recursive_triggers=recursive_triggers)
        table = tool.table(resource.table, pk=resource.key)
        write = table.upsert if verb == "tool upsert" else table.insert
        write(row, **({"replace": True} if verb == "tool replace" else {}))
    elif verb == "several at once":
        with transaction(connection):
            for one in (number, other):
                write_job(
                    connection, resource, recursive_triggers, "insert or replace", one, 1, word
                )
            write_job(connection, resource, recursive_triggers, "delete", number, number, word)
    else:
        connection.execute(*statement(resource, verb, row, row_of(resource, other, word)))


def row_of(resource: Resource, number: int, word: str) -> dict[str, Any]:
    """A job, of which another may have the same `run_id`."""
    name = str(number) if resource.name != "builds" else number
    if resource.name == "campaigns":
        return {"id": name, "job_name": word}
    row = {"job_id": name, "error": word}
    return {**row, "run_id": word, "run_dir": "runs"} if resource.name == "builds" else row


def statement(
    resource: Resource, verb: str, row: dict[str, Any], other: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    values = {**row, "old_key": other[resource.key]}
    names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
    changes = ", ".join(f"{name} = :{name}" for name in row)
    if verb == "delete all":
        return f"delete from {resource.table}", {}
    if verb == "delete":
        return f"delete from {resource.table} where {resource.key} = :old_key", values
    if verb.startswith("update"):
        return f"{verb} {resource.table} set {changes} where {resource.key} = :old_key", values
    if verb == "upsert":
        sql = f"insert into {resource.table} ({names}) values ({marks})"
        return f"{sql} on conflict ({resource.key}) do update set {changes}", values
    return f"{verb} into {resource.table} ({names}) values ({marks})", values


# Over HTTP


async def test_changes_come_in_pages(api: httpx2.AsyncClient, queue: Resource) -> None:
    path = f"/api/{queue.name}/changes"
    nothing = (await api.get(path)).json()
    assert nothing["rows"] == []
    await add(api, queue, 1)
    await add(api, queue, 2)
    await claim(api, queue)
    await api.delete(f"/api/{queue.name}/{key(queue, 2)}")
    told, address = [], f"{path}?_size=1"
    for _ in range(4):
        page = (await api.get(address)).json()
        told += page["rows"]
        assert page["next_url"] == f"http://localhost{path}?_size=1&since={page['next']}"
        address = page["next_url"]
    assert [(row["operation"], row["id"], row["actor"]) for row in told] == [
        ("insert", key(queue, 1), "root"),
        ("insert", key(queue, 2), "root"),
        ("update", key(queue, 1), "root"),
        ("delete", key(queue, 2), "root"),
    ]
    present = (await api.get(f"/api/{queue.name}")).json()["rows"][0]
    assert [row["job"] for row in told] == [present, None, present, None]
    end = (await api.get(address)).json()
    assert (end["rows"], end["next"]) == ([], page["next"])
    latest = (await api.get(f"{path}?since=latest")).json()
    assert (latest["rows"], latest["next"]) == ([], page["next"])


@pytest.mark.parametrize("since", ["", "x", "latest%0A", "12345678", "1234567-1", "12345678--1"])
async def test_tokens_of_others(api: httpx2.AsyncClient, queue: Resource, since: str) -> None:
    answer = await api.get(f"/api/{queue.name}/changes?since={since}")
    shown = json.dumps(since.replace("%0A", "\n"))
    assert_error(answer, 400, f"since: {shown} is not a token of this API")


@pytest.mark.process
async def test_tokens_are_for_one_file(data_dir: Path, tmp_path: Path) -> None:
    async with jobs_client() as api:
        await add(api, RESOURCES["builds"])
        token = (await api.get("/api/builds/changes")).json()["next"]
        epoch, _, number = token.partition("-")
        ahead = await api.get(f"/api/builds/changes?since={epoch}-{int(number) + 1}")
        assert_error(ahead, 409, ANOTHER_FILE)
    assert run_dailies(data_dir, "backup", "yt-builder", "--to", tmp_path / "b").returncode == 0
    [backup] = (tmp_path / "b").glob("*.db*")
    for command in (
        ("restore", "yt-builder", backup),
        ("build", "yt-builder", "--reset", "--yes"),
    ):
        assert run_dailies(data_dir, *command).returncode == 0
        async with jobs_client() as api:
            answer = await api.get(f"/api/builds/changes?since={token}")
            assert_error(answer, 409, ANOTHER_FILE)
            token = (await api.get("/api/builds/changes?since=latest")).json()["next"]


async def test_heartbeats_do_not_fill_the_disk(api: httpx2.AsyncClient, queue: Resource) -> None:
    await add(api, queue)
    await claim(api, queue)
    for progress in range(20):
        path = f"/api/{queue.name}/{key(queue, 1)}/heartbeat"
        await api.post(path, json={"progress": progress})
    rows = (await api.get(f"/api/{queue.name}/changes")).json()["rows"]
    assert [(row["operation"], row["job"]["progress"]) for row in rows] == [
        ("insert", 19),
        ("update", 19),
    ]
    with closing(sqlite3.connect(database_path(queue.database))) as connection:
        assert connection.execute("select count(*) from job_changes").fetchone() == (2,)


async def test_changes_of_old_jobs_are_valid_json(api: httpx2.AsyncClient) -> None:
    with closing(sqlite3.connect(database_path("campaigns"))) as connection, connection:
        data = '{"id": "1",\r\n "job_name": "a \\ud800"}'
        connection.execute("insert into jobs (id, data) values ('1', ?)", [data])
    answer = await api.get("/api/campaigns/changes")
    assert answer.json()["rows"][0]["job"]["job_name"] == "a \ufffd"


async def test_who_may_not_read_is_told_of_no_change(
    api: httpx2.AsyncClient, queue: Resource
) -> None:
    token_id, token = tokens.create("reader", ["update-job"])
    for accept in ("application/json", "text/event-stream"):
        headers = {**bearer(token), "Accept": accept}
        answer = await api.get(f"/api/{queue.name}/changes", headers=headers)
        assert_error(answer, 403, "Permission denied: you may not view-table here")
    tokens.revoke(token_id)
    answer = await api.get(f"/api/{queue.name}/changes", headers=bearer(token))
    assert_error(answer, 401, "This token has been revoked")


async def test_pages_of_changes_are_bounded_by_their_size(
    api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each change comes with its whole job: many of a long one must not fill the memory."""
    monkeypatch.setattr("dailies.api.changes.MAX_BYTES", 5000)
    await api.post("/api/campaigns", json={"id": "a", "job_name": "x", "long": "y" * 2000})
    for number in range(9):
        await api.put("/api/campaigns/a", json={"hook": str(number)})
    numbers, address = [], "/api/campaigns/changes"
    while True:
        answer = (await api.get(address)).json()
        if not answer["rows"]:
            break
        assert len(answer["rows"]) <= 3
        numbers += [row["change"] for row in answer["rows"]]
        address = answer["next_url"]
    assert numbers == list(range(1, 11))
