"""Status, times, events, attempts, leases and children of jobs agree after every kind of write."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from empty_databases import create_at, in_memory
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from life_cycles import LIFE_CYCLES, LifeCycle

from loaders import upgrade
from loaders.connections import connect
from loaders.queues.instants import instant

BUILDS = LIFE_CYCLES["yt-builder"]
OUR_FORM = (
    "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9]Z"
)

VERBS = (
    "insert",
    "insert or replace",
    "insert or ignore",
    "upsert",
    "update",
    "update or replace",
    "update or ignore",
    "delete",
    "add file",
    "move file",
)
numbers = st.integers(1, 3)
jobs = st.fixed_dictionaries(
    {"job_id": numbers, "run_id": st.sampled_from(["r1", "r2", "r3"])},
    optional={
        "status": st.sampled_from([*BUILDS.names, "lost"]),
        "progress": st.sampled_from([0, 50, 100, 101, None]),
        "config": st.sampled_from(["{}", "null", "[1", None]),
        "started_at": st.just("2025-11-02T01:40:00"),
        "finished_at": st.just("2025-11-02T01:50:00"),
        "run_after": st.sampled_from(["2025-11-02T01:50:00", "soon"]),
        "priority": st.sampled_from([3, "high"]),
    },
)
writes = st.tuples(st.sampled_from(VERBS), numbers, jobs)


TIMES = f"""
select job_id, status, priority, {instant("created_at")}, {instant("finished_at")}
from jobs
"""
KEPT_TIMES = "select job_id, status, priority, created_at, finished_at from job_times"
TIMES_DIFFER = f"""
select * from ({TIMES} except {KEPT_TIMES})
union all
select * from ({KEPT_TIMES} except {TIMES})
"""


def build(name: str, path: Path) -> Path:
    upgrade.build(name, path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma journal_mode = delete")
    return path


@pytest.fixture(params=LIFE_CYCLES)
def cycle(request: pytest.FixtureRequest) -> LifeCycle:
    return LIFE_CYCLES[request.param]


@pytest.fixture
def connection(cycle: LifeCycle, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    name = next(name for name, known in LIFE_CYCLES.items() if known is cycle)
    path = create_at(name, tmp_path / "jobs.db")
    with closing(connect(path)) as opened:
        opened.row_factory = sqlite3.Row
        yield opened


@pytest.fixture
def builder(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    path = create_at("yt-builder", tmp_path / "yt-builder.db")
    with closing(connect(path)) as opened:
        opened.row_factory = sqlite3.Row
        yield opened


def add(connection: sqlite3.Connection, cycle: LifeCycle, status: str, **columns: Any) -> None:
    row = {"job_id": 1, "status": status, **columns}
    if cycle.started:
        row |= {"run_id": f"run-{row['job_id']}", "run_dir": f"runs/run-{row['job_id']}"}
    names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
    connection.execute(f"insert into {cycle.table} ({names}) values ({marks})", row)


def job(connection: sqlite3.Connection, cycle: LifeCycle, job_id: int = 1) -> dict[str, Any]:
    found = connection.execute(f"select * from {cycle.table} where job_id = ?", (job_id,))
    return dict(found.fetchone())


def go(connection: sqlite3.Connection, cycle: LifeCycle, status: str, job_id: int = 1) -> None:
    sql = f"update {cycle.table} set status = ? where job_id = ?"
    connection.execute(sql, (status, job_id))


def moves(connection: sqlite3.Connection, job_id: int = 1) -> list[tuple[str | None, str | None]]:
    sql = "select status_from, status_to from job_events where job_id = ? order by id"
    return [tuple(row) for row in connection.execute(sql, (job_id,))]


def is_now(connection: sqlite3.Connection, text: str) -> bool:
    sql = "select ?1 glob ?2 and abs(julianday('now') - julianday(?1)) < 1.0 / 1440"
    return bool(connection.execute(sql, (text, OUR_FORM)).fetchone()[0])


def files(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute("select job_id, filename from job_files")]


def statement(verb: str, job_id: int, row: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    row = {"run_dir": "runs", **row}
    names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
    changes = ", ".join(f"{name} = :{name}" for name in row)
    values = {**row, "key": job_id}
    if verb == "delete":
        return "delete from jobs where job_id = :key", values
    if verb == "add file":
        columns = "job_id, file_type, filename, file_path"
        marks = ":key, 'videos', :run_id, 'x'"
        return f"insert or replace into job_files ({columns}) values ({marks})", values
    if verb == "move file":
        return "update job_files set job_id = :key where filename = :run_id", values
    if verb.startswith("update"):
        return f"{verb} jobs set {changes} where job_id = :key", values
    if verb == "upsert":
        insert = f"insert into jobs ({names}) values ({marks})"
        return f"{insert} on conflict (job_id) do update set {changes}", values
    return f"{verb} into jobs ({names}) values ({marks})", values


@examples(300)
@given(st.lists(writes, min_size=1, max_size=12), st.booleans(), st.booleans())
def test_everything_keeps_in_step(
    statements: list[tuple[str, int, dict[str, Any]]],
    recursive_triggers: bool,
    foreign_keys: bool,
) -> None:
    with in_memory("yt-builder") as connection:
        connection.execute(f"pragma recursive_triggers = {recursive_triggers:d}")
        connection.execute(f"pragma foreign_keys = {foreign_keys:d}")
        for verb, job_id, row in statements:
            with suppress(sqlite3.IntegrityError):
                connection.execute(*statement(verb, job_id, row))
            assert_in_step(connection)


def assert_in_step(connection: sqlite3.Connection) -> None:
    stored = dict(connection.execute("select job_id, status from jobs"))
    events = connection.execute("select job_id, status_from, status_to from job_events order by id")
    known: dict[int, str | None] = {}
    for job_id, before, after in events:
        assert known.get(job_id) == before
        assert before != after
        known[job_id] = after
    assert {number: status for number, status in known.items() if status} == stored
    orphans = "select * from job_files where job_id not in (select job_id from jobs)"
    assert connection.execute(orphans).fetchall() == []
    states = set(connection.execute("select job_id, run_id, status from job_states"))
    assert states == set(connection.execute("select job_id, run_id, status from jobs"))
    assert connection.execute("select * from job_states where lease is not null").fetchall() == []
    running = set(connection.execute("select job_id from jobs where status = 'running'"))
    assert connection.execute(TIMES_DIFFER).fetchall() == []
    attempts = "select job_id from job_attempts where ended_at is null"
    assert sorted(connection.execute(attempts)) == sorted(running)
    assert connection.execute("pragma foreign_key_check").fetchall() == []
    logged = dict(connection.execute("select job_id, operation from job_changes order by id"))
    assert {number for number, operation in logged.items() if operation != "delete"} == set(stored)
    ended = (
        "select finished_at is null from jobs where status in ('completed', 'failed', 'cancelled')"
    )
    assert all(row == (0,) for row in connection.execute(ended))


def forbidden(cycle: LifeCycle) -> str:
    return f"{cycle.table}.status: cannot go to this status (see job_status_moves)"


def test_every_move_is_judged_by_the_table_of_moves(
    connection: sqlite3.Connection, cycle: LifeCycle
) -> None:
    pairs = itertools.permutations(cycle.names, 2)
    for number, (before, after) in enumerate(pairs, start=1):
        add(connection, cycle, before, job_id=number)
        if before == cycle.running:
            connection.execute("delete from job_attempts")
        if cycle.allows(before, after):
            go(connection, cycle, after, number)
        else:
            with pytest.raises(sqlite3.IntegrityError) as refused:
                go(connection, cycle, after, number)
            assert str(refused.value) == forbidden(cycle)
        assert job(connection, cycle, number)["status"] == (
            after if cycle.allows(before, after) else before
        )


def test_a_move_can_be_forbidden_and_allowed_by_a_row(
    connection: sqlite3.Connection, cycle: LifeCycle
) -> None:
    add(connection, cycle, "completed")
    connection.execute(
        "update job_status_moves set allowed = 'always' where status_from = 'completed'"
    )
    go(connection, cycle, "queued")
    connection.execute("update job_status_moves set allowed = 'never' where status_from = 'queued'")
    with pytest.raises(sqlite3.IntegrityError, match="cannot go to this status"):
        go(connection, cycle, "failed")


def test_a_job_that_ran_takes_no_shortcut(connection: sqlite3.Connection, cycle: LifeCycle) -> None:
    add(connection, cycle, "queued", job_id=1)
    go(connection, cycle, "completed", 1)
    add(connection, cycle, "queued", job_id=2)
    go(connection, cycle, cycle.running, 2)
    go(connection, cycle, "queued", 2)
    with pytest.raises(sqlite3.IntegrityError, match="cannot go to this status"):
        go(connection, cycle, "failed", 2)
    go(connection, cycle, "completed", 2)  # its last program was only slow


@pytest.mark.parametrize("recursive_triggers", [0, 1])
def test_replacing_a_job_obeys_the_life_cycle(
    connection: sqlite3.Connection, cycle: LifeCycle, recursive_triggers: int
) -> None:
    connection.execute(f"pragma recursive_triggers = {recursive_triggers}")
    add(connection, cycle, "queued")
    go(connection, cycle, cycle.running)
    columns = ", run_id, run_dir" if cycle.started else ""
    values = ", 'run-1', 'runs/run-1'" if cycle.started else ""
    row = f"into {cycle.table} (job_id, status{columns}) values (1, ?{values})"
    connection.execute(f"insert or replace {row}", ("completed",))
    assert moves(connection) == [
        (None, "queued"), ("queued", cycle.running), (cycle.running, None), (None, "completed"),
    ]  # fmt: skip
    assert connection.execute("select count(*) from job_attempts").fetchone()[0] == 0
    with pytest.raises(sqlite3.IntegrityError) as refused:
        connection.execute(f"insert or replace {row}", ("queued",))
    assert str(refused.value) == forbidden(cycle)
    connection.execute(f"insert or ignore {row}", ("queued",))
    connection.execute(f"delete from {cycle.table}")
    connection.execute(f"insert {row}", ("queued",))
    assert job(connection, cycle)["status"] == "queued"


def test_an_unknown_status_of_an_old_row_may_become_any(
    connection: sqlite3.Connection, cycle: LifeCycle
) -> None:
    add(connection, cycle, "completed")
    [(checks,)] = connection.execute("select sql from sqlite_master where name = 'job_checks_ii'")
    connection.execute("drop trigger job_checks_ii")
    connection.execute("create trigger none instead of insert on job_checks begin select 1; end")
    go(connection, cycle, "Completed")
    connection.execute("drop trigger none")
    connection.execute(checks)
    connection.execute(f"update {cycle.table} set error = 'x', status = status")
    go(connection, cycle, "queued")
    assert job(connection, cycle)["status"] == "queued"


@pytest.mark.parametrize("recursive_triggers", [0, 1])
def test_the_life_cycle_sets_times_progress_and_attempts(
    connection: sqlite3.Connection, cycle: LifeCycle, recursive_triggers: int
) -> None:
    connection.execute(f"pragma recursive_triggers = {recursive_triggers}")
    add(connection, cycle, "queued")
    assert job(connection, cycle)[cycle.finished] is None
    sql = f"update {cycle.table} set status = ?, worker = 'w' where job_id = 1"
    connection.execute(sql, (cycle.running,))
    ran = job(connection, cycle)
    assert is_now(connection, ran["last_heartbeat"])
    assert (ran["attempts"], ran["worker"]) == (1, "w")
    if cycle.started:
        assert is_now(connection, ran["started_at"])
    connection.execute(f"update {cycle.table} set progress = 40, current_step = 'mixing'")
    connection.execute(f"update {cycle.table} set status = 'failed', error = 'no voice'")
    failed = job(connection, cycle)
    assert is_now(connection, failed[cycle.finished])
    assert (failed["progress"], failed["worker"]) == (40, "w")
    go(connection, cycle, "queued")
    again = job(connection, cycle)
    cleared = [cycle.finished, "error", "current_step", "worker", *filter(None, [cycle.started])]
    assert {name: again[name] for name in cleared} == dict.fromkeys(cleared)
    assert (again["progress"], again["attempts"]) == (0, 1)
    go(connection, cycle, cycle.running)
    go(connection, cycle, "completed")
    done = job(connection, cycle)
    assert (done["progress"], done["attempts"]) == (100, 2)
    assert is_now(connection, done[cycle.finished])


def test_each_attempt_is_kept(connection: sqlite3.Connection, cycle: LifeCycle) -> None:
    add(connection, cycle, "queued")
    sql = f"update {cycle.table} set status = ?, worker = ?, error = ?"
    attempts = "select worker, outcome, error, ended_at is null from job_attempts order by id"
    connection.execute(sql, (cycle.running, "ada", None))
    assert [tuple(row) for row in connection.execute(attempts)] == [("ada", None, None, 1)]
    connection.execute(sql, ("failed", "ada", "no voice"))
    go(connection, cycle, "queued")
    connection.execute(sql, (cycle.running, "bob", None))
    connection.execute(sql, ("completed", "bob", None))
    assert [tuple(row) for row in connection.execute(attempts)] == [
        ("ada", "failed", "no voice", 0),
        ("bob", "completed", None, 0),
    ]
    times = connection.execute("select started_at, ended_at from job_attempts").fetchall()
    assert all(is_now(connection, time) for row in times for time in row)
    connection.execute(f"update {cycle.table} set job_id = 7")
    assert connection.execute("select job_id from job_attempts").fetchall()[0][0] in (7, "7")
    connection.execute(f"delete from {cycle.table}")
    assert connection.execute(attempts).fetchall() == []


def test_a_retry_keeps_what_its_statement_sets(
    connection: sqlite3.Connection, cycle: LifeCycle
) -> None:
    add(connection, cycle, "failed", error="no voice")
    connection.execute(f"update {cycle.table} set status = 'queued', error = 'once more'")
    assert job(connection, cycle)["error"] == "once more"


def test_a_statement_s_own_end_is_believed(
    connection: sqlite3.Connection, cycle: LifeCycle
) -> None:
    add(connection, cycle, "queued")
    ended = "2025-11-02T01:40:00.123456"
    connection.execute(
        f"update {cycle.table} set status = 'failed', {cycle.finished} = ?, progress = 30",
        (ended,),
    )
    assert job(connection, cycle)[cycle.finished] == ended
    assert job(connection, cycle)["progress"] == 30


def test_progress_is_a_sign_of_life(connection: sqlite3.Connection, cycle: LifeCycle) -> None:
    add(connection, cycle, cycle.running, last_heartbeat="2025-01-01T00:00:00.000Z")
    connection.execute(f"update {cycle.table} set error = 'none yet'")
    assert job(connection, cycle)["last_heartbeat"] == "2025-01-01T00:00:00.000Z"
    connection.execute(f"update {cycle.table} set progress = 3")
    assert is_now(connection, job(connection, cycle)["last_heartbeat"])
    given = "2025-01-02T00:00:00.000Z"
    connection.execute(f"update {cycle.table} set progress = 4, last_heartbeat = ?", (given,))
    assert job(connection, cycle)["last_heartbeat"] == given


@pytest.mark.parametrize("recursive_triggers", [0, 1])
def test_a_build_starts_once(builder: sqlite3.Connection, recursive_triggers: int) -> None:
    builder.execute(f"pragma recursive_triggers = {recursive_triggers}")
    cycle = BUILDS
    add(builder, cycle, "queued")
    began = "2025-11-02T01:40:00.123456"
    sql = "update jobs set status = 'running', progress = ?, started_at = ?"
    builder.execute(sql, (10, began))
    builder.execute(sql, (20, "2025-11-02T01:59:00.123456"))
    assert (job(builder, cycle)["started_at"], job(builder, cycle)["progress"]) == (began, 20)
    go(builder, cycle, "completed")
    assert job(builder, cycle)["started_at"] == began
    builder.execute("update jobs set started_at = ?", ("2025-11-02T01:41:00Z",))
    assert job(builder, cycle)["started_at"] == "2025-11-02T01:41:00Z"


def test_events_name_actor_and_reason(connection: sqlite3.Connection, cycle: LifeCycle) -> None:
    add(connection, cycle, "queued")
    connection.execute("begin")
    connection.execute("update write_context set actor = 'ada'")
    sql = f"update {cycle.table} set status = ?, worker = 'w', error = ?"
    connection.execute(sql, (cycle.running, None))
    connection.execute("update write_context set actor = null")
    connection.execute("commit")
    connection.execute(sql, ("failed", "no space left"))
    connection.execute(f"delete from {cycle.table}")
    events = connection.execute("select * from job_events order by id").fetchall()
    assert [(*tuple(row)[1:5], row["detail"]) for row in events] == [
        (events[0]["job_id"], None, "queued", None, None),
        (events[0]["job_id"], "queued", cycle.running, "ada", "w"),
        (events[0]["job_id"], cycle.running, "failed", None, "no space left"),
        (events[0]["job_id"], "failed", None, None, "deleted"),
    ]
    assert str(events[0]["job_id"]) == "1"
    assert all(is_now(connection, row["at"]) for row in events)


def test_no_event_without_a_change_of_status(
    connection: sqlite3.Connection, cycle: LifeCycle
) -> None:
    add(connection, cycle, "queued")
    connection.execute(f"update {cycle.table} set progress = 5, status = 'queued'")
    assert moves(connection) == [(None, "queued")]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("progress", 101, "progress: must be a"),
        ("progress", -1, "progress: must be a"),
        ("progress", "half", "progress: must be a"),
        ("progress", float("inf"), "progress: must be a"),
        ("attempts", -1, "attempts: must be a whole number"),
        ("attempts", 1.5, "attempts: must be a whole number"),
        ("status", "paused", "status: must be one of"),
        ("priority", "high", "priority: must be a whole number"),
        ("priority", 1.5, "priority: must be a whole number"),
        ("run_after", "soon", "run_after: must be a time such as"),
        ("run_after", "now", "run_after: must be a time such as"),
        ("config", "[]", "config: must be a JSON object"),
    ],
)
def test_values_outside_their_range_are_refused(
    connection: sqlite3.Connection, cycle: LifeCycle, column: str, value: Any, message: str
) -> None:
    add(connection, cycle, "queued", job_id=2)
    with pytest.raises(sqlite3.IntegrityError, match=message):
        add(connection, cycle, **{"status": "queued", column: value})
    with pytest.raises(sqlite3.IntegrityError, match=message):
        connection.execute(f"update {cycle.table} set {column} = ?", (value,))


@pytest.mark.parametrize("foreign_keys", [0, 1])
@pytest.mark.parametrize("recursive_triggers", [0, 1])
def test_children_go_with_their_job(
    builder: sqlite3.Connection, foreign_keys: int, recursive_triggers: int
) -> None:
    builder.execute(f"pragma foreign_keys = {foreign_keys}")
    builder.execute(f"pragma recursive_triggers = {recursive_triggers}")
    for number in (1, 2, 3, 4):
        add(builder, BUILDS, "queued", job_id=number)
        builder.execute(
            "insert into job_files (job_id, file_type, filename, file_path)"
            f" values ({number}, 'videos', 'f{number}', 'x')"
        )
    builder.execute("delete from jobs where job_id = 1")
    assert files(builder) == [(2, "f2"), (3, "f3"), (4, "f4")]
    builder.execute("update jobs set job_id = 12 where job_id = 2")
    assert sorted(files(builder)) == [(3, "f3"), (4, "f4"), (12, "f2")]
    builder.execute(
        "insert or replace into jobs (job_id, run_id, run_dir) values (3, 'another', 'runs/a')"
    )
    assert sorted(files(builder)) == [(4, "f4"), (12, "f2")]
    builder.execute(
        "insert or replace into jobs (job_id, run_id, run_dir) values (9, 'run-4', 'runs/b')"
    )
    assert files(builder) == [(12, "f2")]
    builder.execute("insert into jobs (job_id, run_id, run_dir) values (1, 'new', 'runs/c')")
    assert files(builder) == [(12, "f2")]


@pytest.mark.parametrize("foreign_keys", [0, 1])
def test_a_child_needs_its_job(builder: sqlite3.Connection, foreign_keys: int) -> None:
    builder.execute(f"pragma foreign_keys = {foreign_keys}")
    add(builder, BUILDS, "queued")
    file = (
        "insert into job_files (job_id, file_type, filename, file_path) values (?, 'music', '', '')"
    )
    upload = (
        "insert into youtube_uploads (job_id, video_id, video_url, title) values (?, 'v', 'u', 't')"
    )
    for table, sql in {"job_files": file, "youtube_uploads": upload}.items():
        with pytest.raises(sqlite3.IntegrityError) as refused:
            builder.execute(sql, (7,))
        assert str(refused.value) == f"{table}.job_id: there is no such job"
        builder.execute(sql, (1,))
        with pytest.raises(sqlite3.IntegrityError) as refused:
            builder.execute(f"update {table} set job_id = 7")
        assert str(refused.value) == f"{table}.job_id: there is no such job"


def test_types_and_privacy_are_from_their_lists(builder: sqlite3.Connection) -> None:
    add(builder, BUILDS, "queued")
    with pytest.raises(sqlite3.IntegrityError) as refused:
        builder.execute(
            "insert into job_files (job_id, file_type, filename, file_path)"
            " values (1, 'pictures', 'a', 'b')"
        )
    assert str(refused.value) == "job_files.file_type: must be one of videos, music, sounds, quotes"
    sql = "insert into youtube_uploads (job_id, video_id, video_url, title, privacy, tags)"
    with pytest.raises(sqlite3.IntegrityError) as refused:
        builder.execute(f"{sql} values (1, 'v', 'u', 't', 'secret', '[]')")
    message = "youtube_uploads.privacy: must be one of private, unlisted, public"
    assert str(refused.value) == message
    with pytest.raises(sqlite3.IntegrityError) as refused:
        builder.execute(f"{sql} values (1, 'v', 'u', 't', 'public', 'a, b')")
    assert str(refused.value) == "youtube_uploads.tags: must be a JSON list"


@pytest.mark.parametrize("content", ["[", "[]", '"x"', "1", b"{}"])
def test_a_configuration_is_an_object(builder: sqlite3.Connection, content: Any) -> None:
    with pytest.raises(sqlite3.IntegrityError) as refused:
        add(builder, BUILDS, "queued", config=content)
    assert str(refused.value) == "jobs.config: must be a JSON object"


def test_numbers_are_never_given_twice(builder: sqlite3.Connection) -> None:
    sql = "insert into jobs (run_id, run_dir) values (?, 'runs')"
    first = builder.execute(sql, ("a",)).lastrowid
    builder.execute("delete from jobs")
    second = builder.execute(sql, ("b",)).lastrowid
    assert first is not None
    assert second == first + 1
