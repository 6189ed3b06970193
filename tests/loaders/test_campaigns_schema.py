"""A job's columns and `data` follow each other, its history and search index too."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils
from empty_databases import create_at, in_memory
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from loaders import campaigns
from loaders.campaigns.normal_form import COLUMNS, FIELDS, SEARCHED
from loaders.checks import stale_search_indexes
from loaders.connections import connect

IDS = ("a", "b", "ü c")
TEXT_KEYS = ("product", "persona", "hook", "language", "avatar_id", "avatarId", "scriptFile")
BOOLEAN_KEYS = ("enabled", "use_overlay", "useOverlay")
TEXT_COLUMNS = ("product", "hook", "language", "avatar_id", "script_file")
BOOLEAN_COLUMNS = ("enabled", "use_overlay")
TIME_COLUMNS = ("created_at", "updated_at")

texts = st.sampled_from(["", "x", "no", "0123", "line\nbreak", "é🔥", "a\x00b", '"q"', "\\u0000"])
text_values = st.none() | texts | st.sampled_from([7, 1.5, True, [1, "x"], {"k": None}])
times = st.sampled_from(["2025-11-02T01:40:00", "2025-11-02 03:40:00+02:00", "soon"])
documents = st.fixed_dictionaries(
    {"job_name": texts},
    optional={
        **dict.fromkeys(TEXT_KEYS, text_values),
        **{key: st.sampled_from([True, False, None]) for key in BOOLEAN_KEYS},
        **dict.fromkeys(TIME_COLUMNS, st.none() | times),
        "settings": st.just({"captions": [{"size": 1}]}),
        "id": st.sampled_from([5, "other", *IDS]),
    },
)
columns = st.fixed_dictionaries(
    {},
    optional={
        **{column: st.none() | texts for column in TEXT_COLUMNS},
        **{column: st.sampled_from([0, 1]) for column in BOOLEAN_COLUMNS},
        **{column: st.none() | times for column in TIME_COLUMNS},
    },
)
verbs = st.sampled_from(
    ["insert", "insert or replace", "insert or ignore", "upsert", "update", "delete", "rename"]
)
writes = st.tuples(
    verbs, st.sampled_from(IDS), st.none() | documents, columns, st.booleans(), st.booleans()
)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    path = create_at("campaigns", tmp_path / "campaigns.db")
    with closing(connect(path)) as opened:
        yield opened


def rows_of(connection: sqlite3.Connection, sql: str, *values: Any) -> list[dict[str, Any]]:
    cursor = connection.execute(sql, values)
    names = [name for name, *_ in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


DEFAULTS = {
    "language": "English", "enabled": 1, "use_overlay": 0, "automated_video_editing_enabled": 1,
    "useExactScript": 0,
}  # fmt: skip


def expected_column(field: Any, document: dict[str, Any], stored: Any) -> Any:
    """What a column should hold for a document."""
    present = [document[key] for key in field.keys if document.get(key) is not None]
    if not present:
        return stored if field.kind == "time" else DEFAULTS.get(field.column)
    value = present[0]
    if field.kind == "boolean":
        return int(value)
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, list | dict):
        return json.dumps(value, separators=(",", ":"))
    return str(value).partition("\0")[0]


def assert_in_step(connection: sqlite3.Connection) -> None:
    for job in rows_of(connection, "select * from jobs"):
        document = json.loads(job["data"])
        assert document["id"] == job["id"] or str(document["id"]) == job["id"]
        for field in FIELDS:
            expected = expected_column(field, document, job[field.column])
            assert job[field.column] == expected, field.column
            assert job[field.column] is not None or field.kind != "time"
        last = rows_of(
            connection,
            "select * from job_versions where job_id = ? order by version desc limit 1",
            job["id"],
        )[0]
        assert last["data"] == job["data"]
        assert last["operation"] != "delete"
    assert [line for line in campaigns.check(connection) if "is not a time" not in line] == []
    held = connection.execute("select count(*) from job_versions where data is null").fetchone()
    assert held == (0,)
    assert_counts(connection)
    versions = connection.execute(
        "select job_id, count(*), max(version), min(version) from job_history group by job_id"
    )
    for job_id, count, highest, lowest in versions:
        assert (count, lowest) == (highest, 1), job_id
    assert connection.execute("select paused from write_context").fetchall() == [(0,)]
    assert_indexed(connection)


def assert_indexed(connection: sqlite3.Connection) -> None:
    assert stale_search_indexes(connection, "campaigns") == []


def assert_counts(connection: sqlite3.Connection) -> None:
    """What statistics count by agrees with the jobs themselves."""
    kept = connection.execute(
        """
        select product, persona, language, enabled, jobs
        from job_counts
        where jobs <> 0
        """
    )
    counted = connection.execute(
        "select product, persona, language, enabled is 1, count(*) from jobs group by 1, 2, 3, 4"
    )
    assert set(kept) == set(counted)


def statement_for(verb: str, job_id: str, values: dict[str, Any]) -> tuple[str, list[Any]]:
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    if verb == "upsert":
        assignments = ", ".join(f"{name} = excluded.{name}" for name in values)
        insert = f"insert into jobs ({names}) values ({marks})"
        return f"{insert} on conflict (id) do update set {assignments}", list(values.values())
    if verb.startswith("insert"):
        return f"{verb} into jobs ({names}) values ({marks})", list(values.values())
    if verb == "delete":
        return "delete from jobs where id = ?", [job_id]
    if verb == "rename":
        return "update jobs set id = ? where id = ?", ["renamed", job_id]
    given = {name: value for name, value in values.items() if name != "id"} or {"product": "x"}
    assignments = ", ".join(f"{name} = ?" for name in given)
    return f"update jobs set {assignments} where id = ?", [*given.values(), job_id]


@examples(150)
@given(st.lists(writes, min_size=1, max_size=8))
def test_any_sequence_of_writes_keeps_everything_in_step(
    sequence: list[Any],
) -> None:
    with in_memory("campaigns") as connection:
        # Of the jobs that follow some are in the index of parts of words at once, others not yet.
        connection.execute("update write_context set trigrams_to = 2")
        for verb, job_id, document, given, recursive, foreign in sequence:
            connection.execute(f"pragma recursive_triggers = {recursive}")
            connection.execute(f"pragma foreign_keys = {foreign}")
            values = {"id": job_id, **given}
            if document is not None:
                values["data"] = json.dumps(document)
            elif verb != "update":
                values["job_name"] = "flat"
            before = rows_of(connection, "select * from jobs order by id")
            logged = connection.execute("select count(*) from job_history").fetchone()[0]
            try:
                connection.execute(*statement_for(verb, job_id, values))
            except sqlite3.IntegrityError:
                assert rows_of(connection, "select * from jobs order by id") == before
            assert_in_step(connection)
            after = rows_of(connection, "select * from jobs order by id")
            changed = connection.execute("select count(*) from job_history").fetchone()[0] - logged
            assert changed == number_of_changes(before, after)


def number_of_changes(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> int:
    old = {job["id"]: job["data"] for job in before}
    new = {job["id"]: job["data"] for job in after}
    return sum(old.get(job_id) != new.get(job_id) for job_id in old.keys() | new.keys())


def test_data_wins_and_gains_what_only_the_columns_say(connection: sqlite3.Connection) -> None:
    connection.execute(
        "insert into jobs (id, product, hook, data) values (?, ?, ?, ?)",
        ("a", "from column", "only column", '{"job_name": "n", "product": "from data"}'),
    )
    job = rows_of(connection, "select * from jobs")[0]
    assert job["product"] == "from data"
    assert job["hook"] == "only column"
    assert json.loads(job["data"]) == {
        "job_name": "n", "product": "from data", "id": "a", "hook": "only column",
    }  # fmt: skip


@pytest.mark.parametrize("hook", ["before", "changed"])
def test_an_update_of_both_keeps_what_only_the_columns_say(
    connection: sqlite3.Connection, hook: str
) -> None:
    """Also where the column is given the value that it has."""
    connection.execute("insert into jobs (id, job_name, hook) values ('a', 'n', 'before')")
    connection.execute(
        "update jobs set hook = ?, data = ?", (hook, '{"id": "a", "job_name": "m", "product": "p"}')
    )
    job = rows_of(connection, "select hook, data from jobs")[0]
    assert job["hook"] == hook
    assert json.loads(job["data"]) == {"id": "a", "job_name": "m", "product": "p", "hook": hook}


def test_an_update_of_data_alone_drops_what_it_no_longer_says(
    connection: sqlite3.Connection,
) -> None:
    connection.execute("insert into jobs (id, job_name, hook) values ('a', 'n', 'before')")
    connection.execute("""update jobs set data = '{"id": "a", "job_name": "m"}'""")
    job = rows_of(connection, "select hook, data from jobs")[0]
    assert job == {"hook": None, "data": '{"id": "a", "job_name": "m"}'}


def test_data_that_says_everything_stays_to_the_letter(connection: sqlite3.Connection) -> None:
    text = '{ "z": 1e5,  "job_name": "n", "id": "a", "big": 123456789012345678901234567890 }'
    connection.execute("insert into jobs (id, data) values ('a', ?)", (text,))
    assert connection.execute("select data from jobs").fetchone() == (text,)


def test_a_flat_row_fills_data(connection: sqlite3.Connection) -> None:
    connection.execute("insert into jobs (id, job_name, enabled) values ('a', 'flat', 0)")
    document = json.loads(connection.execute("select data from jobs").fetchone()[0])
    assert document["job_name"] == "flat"
    assert document["enabled"] is False
    assert document["language"] == "English"


def test_a_column_reaches_the_spelling_that_the_job_uses(connection: sqlite3.Connection) -> None:
    connection.execute(
        """insert into jobs (id, data) values ('a', '{"job_name": "n", "avatarId": "old"}')"""
    )
    connection.execute("update jobs set avatar_id = 'new', enabled = 0")
    document = json.loads(connection.execute("select data from jobs").fetchone()[0])
    assert document == {"job_name": "n", "avatarId": "new", "id": "a", "enabled": False}


@pytest.mark.parametrize(
    ("text", "instant", "stands"),
    [
        ("2025-11-02T03:40:00.5+02:00", "2025-11-02T01:40:00.500Z", True),
        ("2025-11-02T03:40:00.123956", "2025-11-02T01:40:00.123Z", True),  # in some zone
        ("2025-11-02T03:40:00", "2025-11-02T09:10:00.000Z", True),
        (1762047600, "2025-11-02T01:40:00.000Z", True),
        ("2025-11-02T03:40:00", "2025-11-02T01:40:07.000Z", False),
        ("2025-11-02T03:40:00", "2025-11-05T03:40:00.000Z", False),
        ("2025-11-02T03:40:00", "2025-11-02 01:40:00", False),
        ("soon", "2025-11-02T01:40:00.000Z", False),
    ],
)
@pytest.mark.parametrize("verb", ["insert", "update"])
def test_a_time_column_may_hold_the_instant_of_the_text_in_data(
    connection: sqlite3.Connection, text: Any, instant: str, stands: bool, verb: str
) -> None:
    values = {"id": "a", "data": json.dumps({"job_name": "n", "created_at": text})}
    if verb == "update":
        connection.execute("insert into jobs (id, job_name) values ('a', 'm')")
    connection.execute(*statement_for(verb, "a", {**values, "created_at": instant}))
    job = rows_of(connection, "select created_at, data from jobs")[0]
    assert job["created_at"] == (instant if stands else text)
    assert json.loads(job["data"])["created_at"] == text


def test_a_time_written_to_the_column_keeps_its_text(connection: sqlite3.Connection) -> None:
    connection.execute("insert into jobs (id, job_name) values ('a', 'n')")
    connection.execute("update jobs set created_at = '2025-01-01 10:00:00'")
    job = rows_of(connection, "select created_at, data from jobs")[0]
    assert job["created_at"] == "2025-01-01 10:00:00"
    assert json.loads(job["data"])["created_at"] == "2025-01-01 10:00:00"


BLOB = """cast('{"job_name": "n"}' as blob)"""
NO_BLOB = "must be a JSON object, as text"
STAMPED_LONG_AGO = "2025-01-01T10:00:00.000Z"


@pytest.mark.parametrize("recursive", ["on", "off"])
@pytest.mark.parametrize("foreign", ["on", "off"])
@pytest.mark.parametrize("change", ["hook = 'x'", "avatar_id = 'x', enabled = 0", "id = 'b'"])
@pytest.mark.parametrize("flat", [True, False])
def test_an_update_of_columns_stamps_column_and_data_alike(
    connection: sqlite3.Connection, recursive: str, foreign: str, change: str, flat: bool
) -> None:
    connection.execute(f"pragma recursive_triggers = {recursive}")
    connection.execute(f"pragma foreign_keys = {foreign}")
    values = {"id": "a", "job_name": "n", "updated_at": STAMPED_LONG_AGO}
    if not flat:
        values = {"id": "a", "data": json.dumps(values)}
    connection.execute(*statement_for("insert", "a", values))
    connection.execute(f"update jobs set {change}")
    job = rows_of(connection, "select updated_at, data ->> '$.updated_at' as said from jobs")[0]
    assert job["updated_at"] == job["said"] > STAMPED_LONG_AGO
    assert list(campaigns.check(connection)) == []


def test_an_update_of_columns_stamps_the_column_where_data_says_no_time(
    connection: sqlite3.Connection,
) -> None:
    connection.execute("""insert into jobs (id, data) values ('a', '{"job_name": "n"}')""")
    connection.execute("update jobs set updated_at = ?", (STAMPED_LONG_AGO,))
    text = '{"job_name": "m", "id": "a"}'
    connection.execute("update jobs set data = ?", (text,))
    connection.execute("update jobs set hook = 'x'")
    job = rows_of(connection, "select updated_at, data from jobs")[0]
    assert job["updated_at"] > STAMPED_LONG_AGO
    assert json.loads(job["data"]) == {"job_name": "m", "id": "a", "hook": "x"}


@pytest.mark.parametrize("column", TIME_COLUMNS)
def test_a_time_that_data_repeats_wins_over_its_column(
    connection: sqlite3.Connection, column: str
) -> None:
    text = json.dumps({"id": "a", "job_name": "n", column: "2025-01-01T12:00:00+02:00"})
    connection.execute("insert into jobs (id, data) values ('a', ?)", (text,))
    changed = text.replace('"n"', '"m"')
    connection.execute(f"update jobs set {column} = current_timestamp, data = ?", (changed,))
    job = rows_of(connection, f"select job_name, {column}, data from jobs")[0]
    assert job == {"job_name": "m", column: "2025-01-01T12:00:00+02:00", "data": changed}
    assert list(campaigns.check(connection)) == [
        f"jobs.{column} is not a time as 2026-11-20T07:15:00.000Z: a"
    ]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("insert into jobs (job_name) values ('n')", "jobs.id: a job needs an id"),
        ("insert into jobs (id) values ('z')", "jobs.job_name: a job needs a name"),
        ("update jobs set job_name = null", "jobs.job_name: a job needs a name"),
        ("update jobs set data = 'no json'", "jobs.data: must be a JSON object"),
        ("update jobs set data = '[1]'", "jobs.data: must be a JSON object"),
        (f"insert into jobs (id, data) values ('z', {BLOB})", f"jobs.data: {NO_BLOB}"),
        (f"insert or replace into jobs (id, data) values ('a', {BLOB})", f"jobs.data: {NO_BLOB}"),
        (f"update jobs set data = {BLOB}", f"jobs.data: {NO_BLOB}"),
        ("update jobs set data = '{}'", "jobs.job_name: a job needs a name"),
        ("update jobs set enabled = 5", "jobs.enabled: must be true or false (1 or 0)"),
        ("update jobs set enabled = 'maybe'", "jobs.enabled: must be true or false (1 or 0)"),
        ("update or ignore jobs set id = ''", "jobs.id: a job needs an id"),
        ("delete from write_context", "write_context: its row must stay"),
    ],
)
def test_what_breaks_a_rule_is_refused_by_name(
    connection: sqlite3.Connection, sql: str, message: str
) -> None:
    connection.execute("insert into jobs (id, job_name) values ('a', 'n')")
    before = rows_of(connection, "select * from jobs")
    with pytest.raises(sqlite3.IntegrityError) as refused:
        connection.execute(sql)
    assert message in str(refused.value)
    assert rows_of(connection, "select * from jobs") == before


def test_search_is_right_after_vacuum(connection: sqlite3.Connection) -> None:
    connection.executemany(
        "insert into jobs (id, job_name) values (?, ?)",
        [(f"{i:03}", f"word{i}") for i in range(200)],
    )
    connection.execute("delete from jobs where id < '100'")
    connection.execute("vacuum")
    assert_indexed(connection)
    found = connection.execute(
        """
        select id
        from jobs
        where rowid in (select rowid from jobs_fts where jobs_fts match 'word150')
        """
    )
    assert found.fetchall() == [("150",)]


def test_an_ignored_write_leaves_nothing_behind(connection: sqlite3.Connection) -> None:
    for key in ("a", "b"):
        connection.execute("insert into jobs (id, job_name) values (?, 'n')", (key,))
    connection.execute(
        """insert or ignore into jobs (id, data) values ('a', '{"job_name": "x"}')"""
    )
    connection.execute("""update jobs set data = '{"job_name": "y"}' where id = 'b'""")
    assert_in_step(connection)
    write = "update or ignore jobs set id = 'a', data = ?, product = 'p' where id = 'b'"
    connection.execute(write, ('{"job_name": "z"}',))
    connection.execute("""update jobs set data = '{"job_name": "new"}' where id = 'a'""")
    assert_in_step(connection)
    found = rows_of(connection, "select job_name, product from jobs order by id")
    assert found == [{"job_name": "new", "product": None}, {"job_name": "y", "product": None}]


@pytest.mark.parametrize("verb", ["insert", "insert or replace"])
@pytest.mark.parametrize("recursive", ["on", "off"])
def test_parts_of_words_are_indexed_in_batches(
    connection: sqlite3.Connection, verb: str, recursive: str
) -> None:
    connection.execute(f"pragma recursive_triggers = {recursive}")
    write = f"{verb} into jobs (id, job_name, product) values (?, ?, ?)"
    connection.executemany(write, [(f"{i:04}", f"word{i}", "Matcha") for i in range(2100)])
    assert indexed_to(connection) == 2000
    connection.execute("update jobs set job_name = 'changed' || rowid where rowid % 700 = 1")
    connection.execute("update jobs set id = 'renamed' where id = '0002'")
    connection.execute("delete from jobs where rowid > 1900")
    connection.execute("delete from jobs where id = '0009'")
    connection.execute("insert or replace into jobs (id, job_name) values ('0003', 'replaced')")
    connection.execute("insert into jobs (id, job_name) values ('new', 'below the last one')")
    assert indexed_to(connection) == 2000
    assert_indexed(connection)
    connection.execute("vacuum")
    assert_indexed(connection)
    found = connection.execute(
        "select rowid from jobs_trigrams where jobs_trigrams match 'han AND ang AND nge AND ged'"
    )
    assert found.fetchall() == [(1,), (701,), (1401,)]


def indexed_to(connection: sqlite3.Connection) -> Any:
    return connection.execute("select trigrams_to from write_context").fetchone()[0]


def test_the_seed_columns_and_defaults_are_there(connection: sqlite3.Connection) -> None:
    found = {row["name"]: row["type"] for row in rows_of(connection, "pragma table_info(jobs)")}
    assert list(found)[:14] == [
        "id", "job_name", "product", "persona", "setting", "emotion", "hook",
        "elevenlabs_voice_id", "language", "brand_name", "enabled", "created_at", "updated_at",
        "data",
    ]  # fmt: skip
    assert set(COLUMNS) < set(found)
    connection.execute("insert into jobs (id, job_name) values ('a', 'n')")
    job = rows_of(connection, "select language, enabled, use_overlay from jobs")[0]
    assert job == {"language": "English", "enabled": 1, "use_overlay": 0}


def test_an_old_program_does_not_add_its_own_triggers(connection: sqlite3.Connection) -> None:
    """Seed 000's `init_db` creates what it misses at every start."""
    connection.executescript(
        """
        create virtual table if not exists jobs_fts using fts5(
          id unindexed, job_name, product, brand_name, content='jobs', content_rowid='rowid');
        create trigger if not exists jobs_fts_insert after insert on jobs begin
          insert into jobs_fts(rowid, id, job_name, product, brand_name)
          values (new.rowid, new.id, new.job_name, new.product, new.brand_name);
        end;
        create trigger if not exists jobs_fts_delete after delete on jobs begin
          delete from jobs_fts where rowid = old.rowid;
        end;
        """
    )
    connection.execute("insert into jobs (id, job_name) values ('a', 'n')")
    connection.execute("delete from jobs")
    assert_in_step(connection)
    assert len(SEARCHED) == 7


def test_sqlite_utils_can_drop_a_column_that_it_added(connection: sqlite3.Connection) -> None:
    """It refuses to where an index is partial or on an expression."""
    jobs = sqlite_utils.Database(connection)["jobs"]
    jobs.upsert({"id": "a", "job_name": "n", "colour": "red"}, pk="id", alter=True)
    before = set(connection.execute("select name from pragma_index_list('jobs')"))
    jobs.transform(drop={"colour"})
    assert set(connection.execute("select name from pragma_index_list('jobs')")) == before


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-20T07:15:00.123Z", 1_795_158_900_123),
        ("2026-11-20 07:15:00", 1_795_158_900_000),
        ("2026-11-20T09:15:00.0015+02:00", 1_795_158_900_002),
        ("2026-11-20", 1_795_132_800_000),
        (1_795_158_900, 1_795_158_900_000),
        ("now", None),
        ("", None),
        ("yesterday", None),
    ],
)
def test_created_instant_is_the_time_that_created_at_names(
    connection: sqlite3.Connection, text: Any, instant: int | None
) -> None:
    values = {"id": "a", "job_name": "n", "created_at": text, "created_instant": 1}
    connection.execute(*statement_for("insert", "a", values))
    assert connection.execute("select created_instant from jobs").fetchone() == (instant,)
    connection.execute("update jobs set created_instant = 2")
    assert connection.execute("select created_instant from jobs").fetchone() == (instant,)
