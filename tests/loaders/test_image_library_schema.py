"""Counts, cascades, rules and the search index of `image_library`, for every kind of write."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from empty_databases import create_at
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from loaders import image_library, upgrade
from loaders.connections import connect

TABLES = ("image_library", "image_usage", "image_collections", "collection_images")
PRAGMAS = tuple(itertools.product((0, 1), repeat=2))
KEYS = {
    "image_library": "file_path",
    "image_usage": "id",
    "image_collections": "name",
    "collection_images": "collection_id, image_id",
}

ids = st.integers(1, 3)
rows = {
    "image_library": st.fixed_dictionaries(
        {
            "character": st.sampled_from(["butcher", "nutsy"]),
            "file_path": st.sampled_from(["a b", "c", "d"]),
            "source": st.just("photo"),
            "generation_prompt": st.sampled_from([None, "x y", "z"]),
        },
        optional={"id": ids},
    ),
    "image_usage": st.fixed_dictionaries(
        {"image_id": ids, "video_id": st.sampled_from(["v", "w"])}, optional={"id": ids}
    ),
    "image_collections": st.fixed_dictionaries(
        {"name": st.sampled_from(["one", "two"])}, optional={"id": ids}
    ),
    "collection_images": st.fixed_dictionaries({"collection_id": ids, "image_id": ids}),
}
VERBS = (
    "insert",
    "insert or replace",
    "insert or ignore",
    "upsert",
    "update",
    "update or replace",
    "update or ignore",
    "delete",
)


@st.composite
def writes(draw: st.DrawFn) -> tuple[str, list[Any]]:
    """A statement and its values."""
    table = draw(st.sampled_from(TABLES))
    verb = draw(st.sampled_from(VERBS))
    row = draw(rows[table])
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    assignments = ", ".join(f"{name} = ?" for name in row)
    if verb == "delete":
        return f"delete from {table} where rowid = ?", [draw(ids)]
    if verb.startswith("update"):
        return f"{verb} {table} set {assignments} where rowid = ?", [*row.values(), draw(ids)]
    if verb == "upsert":
        excluded = ", ".join(f"{name} = excluded.{name}" for name in row)
        insert = f"insert into {table} ({names}) values ({marks})"
        conflict = "id" if "id" in row else KEYS[table]
        return f"{insert} on conflict ({conflict}) do update set {excluded}", list(row.values())
    return f"{verb} into {table} ({names}) values ({marks})", list(row.values())


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    path = create_at("image_library", tmp_path / "image_library.db")
    with closing(connect(path)) as opened:
        yield opened


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database just built, to begin each example with."""
    path = tmp_path_factory.mktemp("empty") / "image_library.db"
    upgrade.build("image_library", path)
    with closing(sqlite3.connect(path)) as opened:
        opened.execute("pragma journal_mode = delete")
    return path.read_bytes()


def content(connection: sqlite3.Connection) -> dict[str, list[Any]]:
    """Every row, without times."""
    times = ("timestamp", "created_at", "last_used_at")
    found = {}
    for table in TABLES:
        info = connection.execute("select name from pragma_table_info(?)", (table,))
        columns = ", ".join(name for (name,) in info if name not in times)
        found[table] = connection.execute(f"select {columns} from {table} order by 1, 2").fetchall()
    return found


def assert_sound(connection: sqlite3.Connection) -> None:
    assert connection.execute("pragma foreign_key_check").fetchall() == []
    assert list(image_library.check(connection)) == []
    miscounted = connection.execute(
        """
        select id, usage_count
        from image_library
        where usage_count is not (
            select count(*)
            from image_usage
            where image_id = image_library.id
          )
        """
    )
    assert miscounted.fetchall() == []
    assert connection.execute(
        """
        select count(*)
        from image_library
        where usage_count > 0
          and last_used_at is null
        """
    ).fetchone() == (0,)


def attempt(connection: sqlite3.Connection, sql: str, values: list[Any]) -> bool:
    try:
        connection.execute(sql, values)
    except sqlite3.IntegrityError:
        return False
    return True


@examples(150)
@given(st.lists(writes(), min_size=1, max_size=12))
def test_any_sequence_of_writes_ends_alike_under_every_pragma(
    empty_database: bytes, sequence: list[tuple[str, list[Any]]]
) -> None:
    outcomes = []
    for recursive_triggers, foreign_keys in PRAGMAS:
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            connection.deserialize(empty_database)
            connection.execute(f"pragma recursive_triggers = {recursive_triggers}")
            connection.execute(f"pragma foreign_keys = {foreign_keys}")
            accepted = []
            for sql, values in sequence:
                accepted.append(attempt(connection, sql, values))
                assert_sound(connection)
            outcomes.append((accepted, content(connection)))
    assert outcomes == [outcomes[0]] * len(PRAGMAS)


@pytest.mark.parametrize(("recursive_triggers", "foreign_keys"), PRAGMAS)
def test_an_image_that_replaces_another_keeps_the_count_it_brings(
    connection: sqlite3.Connection, recursive_triggers: int, foreign_keys: int
) -> None:
    connection.executescript(
        f"""
        pragma recursive_triggers = {recursive_triggers};
        pragma foreign_keys = {foreign_keys};
        insert into image_library (character, file_path, source) values ('nutsy', 'a', 'photo');
        insert into image_usage (image_id, video_id) values (1, 'v'), (1, 'w');
        insert or replace into image_library (id, character, file_path, source, usage_count)
        values (1, 'nutsy', 'b', 'photo', 5);
        """
    )
    counts = "select usage_count, (select count(*) from image_usage) from image_library"
    assert connection.execute(counts).fetchall() == [(5, 0)]


def test_using_an_image_counts_it_and_stamps_it(connection: sqlite3.Connection) -> None:
    connection.executescript(
        """
        insert into image_library (character, file_path, source, usage_count)
        values ('butcher', 'a.png', 'photo', null), ('nutsy', 'b.png', 'photo', 4);
        insert into image_usage (image_id, video_id, scene_number)
        values (1, 'v', 1), (1, 'v', 2), (2, 'v', 3);
        """
    )
    found = connection.execute(
        "select usage_count, last_used_at glob '2*T*.???Z' from image_library"
    )
    assert found.fetchall() == [(2, 1), (5, 1)]


def test_a_use_written_again_counts_once_and_moved_counts_there(
    connection: sqlite3.Connection,
) -> None:
    connection.executescript(
        """
        insert into image_library (character, file_path, source)
        values ('butcher', 'a.png', 'photo'), ('nutsy', 'b.png', 'photo');
        insert into image_usage (id, image_id, video_id) values (7, 1, 'v');
        update image_library set last_used_at = '2025-01-01T00:00:00.000Z';
        insert or replace into image_usage (id, image_id, video_id) values (7, 1, 'v');
        insert or ignore into image_usage (id, image_id, video_id) values (7, 2, 'v');
        """
    )
    counts = "select usage_count, last_used_at from image_library"
    old = "2025-01-01T00:00:00.000Z"
    assert connection.execute(counts).fetchall() == [(1, old), (0, old)]
    connection.execute("update image_usage set image_id = 2")
    assert [count for count, _ in connection.execute(counts)] == [0, 1]
    connection.execute("delete from image_usage")
    assert [count for count, _ in connection.execute(counts)] == [0, 0]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("character", "Butcher", "must be butcher or nutsy"),
        ("quality_score", 8.5, "must be a number from 0 to 1"),
        ("quality_score", "high", "must be a number from 0 to 1"),
        ("quality_score", float("inf"), "must be a number from 0 to 1"),
        ("file_size_bytes", "123KB", "must be a whole number, 0 or more"),
        ("width", -1, "must be a whole number, 0 or more"),
        ("height", 1.5, "must be a whole number, 0 or more"),
        ("usage_count", -1, "must be a whole number, 0 or more"),
        ("tags", "happy,dog", "must be a JSON array"),
        ("tags", '{"a": 1}', "must be a JSON array"),
        ("tags", b"[]", "must be a JSON array"),
        ("metadata", "{bad", "must be valid JSON"),
        ("metadata", "", "must be valid JSON"),
    ],
)
@pytest.mark.parametrize("verb", ["insert", "insert or ignore", "insert or replace", "update"])
def test_a_value_out_of_range_is_refused_by_name(
    connection: sqlite3.Connection, verb: str, column: str, value: Any, message: str
) -> None:
    row = {"character": "nutsy", "file_path": "a.png", "source": "photo"}
    connection.execute(
        """
        insert into image_library (character, file_path, source)
        values (:character, :file_path, :source)
        """,
        row,
    )
    if verb == "update":
        sql, values = f"update image_library set {column} = ?", [value]
    else:
        row |= {"file_path": "b.png", column: value}
        marks = ", ".join("?" * len(row))
        sql, values = (
            f"{verb} into image_library ({', '.join(row)}) values ({marks})",
            [*row.values()],
        )
    with pytest.raises(sqlite3.IntegrityError) as refused:
        connection.execute(sql, values)
    assert str(refused.value) == f"image_library.{column}: {message}"


@pytest.mark.parametrize("foreign_keys", [0, 1])
@pytest.mark.parametrize(
    ("sql", "message"),
    [
        (
            "insert into image_usage (image_id, video_id) values (9, 'v')",
            "image_usage.image_id: must be the id of a row in image_library",
        ),
        (
            "update image_usage set image_id = 9",
            "image_usage.image_id: must be the id of a row in image_library",
        ),
        (
            "update image_usage set scene_number = '2a'",
            "image_usage.scene_number: must be a whole number, 0 or more",
        ),
        (
            "insert into collection_images values (9, 1, 0)",
            "collection_images.collection_id: must be the id of a row in image_collections",
        ),
        (
            "update image_library set id = 9",
            "image_library.id: must stay while other rows refer to it",
        ),
        (
            "update image_collections set rowid = 9",
            "image_collections.id: must stay while other rows refer to it",
        ),
    ],
)
def test_a_row_without_its_parent_is_refused(
    connection: sqlite3.Connection, foreign_keys: int, sql: str, message: str
) -> None:
    connection.executescript(
        f"""
        pragma foreign_keys = {foreign_keys};
        insert into image_library (character, file_path, source) values ('nutsy', 'a', 'photo');
        insert into image_usage (image_id, video_id) values (1, 'v');
        insert into image_collections (name) values ('one');
        insert into collection_images values (1, 1, 1);
        """
    )
    with pytest.raises(sqlite3.IntegrityError) as refused:
        connection.execute(sql)
    assert str(refused.value) == message


def test_search_finds_prompts_tags_and_paths(connection: sqlite3.Connection) -> None:
    connection.execute(
        """
        insert into image_library (character, file_path, source, generation_prompt, tags)
        values ('nutsy', 'data/nutsy_happy_01.png', 'generated', 'a squirrel in Paris', '["forêt"]')
        """
    )
    for word in ("squirrel", "foret", "happy", "png"):
        found = connection.execute(
            "select rowid from image_library_fts where image_library_fts match ?", (word,)
        )
        assert found.fetchall() == [(1,)], word
