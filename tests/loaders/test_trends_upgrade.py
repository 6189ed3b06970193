"""The old `trends.db` is upgraded with every row, and programs written for it go on working."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from legacy import rows, unpack

from loaders import checks, open_database, trends, upgrade
from loaders.connections import connect

TABLES = ("trending_topics", "search_history")

OLD_SCHEMA = """
create table if not exists trending_topics (
    id integer primary key autoincrement,
    topic text not null,
    source text not null,
    timestamp datetime default current_timestamp,
    relevance_score real default 0.0,
    used_flag integer default 0,
    category text,
    metadata text,
    created_at datetime default current_timestamp,
    updated_at datetime default current_timestamp
);
create index if not exists idx_trending_topics_timestamp on trending_topics(timestamp desc);
create index if not exists idx_trending_topics_unused_recent
    on trending_topics(used_flag, timestamp desc)
    where used_flag = 0;
create trigger if not exists update_trending_topics_timestamp
    after update on trending_topics
    begin
        update trending_topics set updated_at = current_timestamp
        where id = new.id;
    end;
create table if not exists search_history (
    id integer primary key autoincrement,
    query text not null,
    source text not null,
    result_count integer default 0,
    timestamp datetime default current_timestamp
);
"""


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    return unpack("trends.db", tmp_path)


def types_of(path: Path) -> list[dict[str, object]]:
    return rows(path, "select id, typeof(timestamp), typeof(relevance_score) from trending_topics")


def test_every_row_stays_as_it_is(old_file: Path) -> None:
    before = [rows(old_file, f"select * from {table} order by id") for table in TABLES]
    types = types_of(old_file)
    upgrade.build("trends", old_file)
    assert [rows(old_file, f"select * from {table} order by id") for table in TABLES] == before
    assert types_of(old_file) == types
    assert rows(old_file, "select * from set_aside") == []
    with closing(connect(old_file)) as connection:
        assert checks.stale_search_indexes(connection, "trends") == []


def test_topics_stored_twice_stay_twice(old_file: Path) -> None:
    twice = """
        select topic, source, count(*) as rows
        from trending_topics
        group by topic, source
        having count(*) > 1
        order by topic, source
        """
    before = rows(old_file, twice)
    upgrade.build("trends", old_file)
    assert len(before) > 200
    assert rows(old_file, twice) == before


def test_a_second_run_changes_nothing(old_file: Path) -> None:
    first = upgrade.build("trends", old_file)
    content = old_file.read_bytes()
    second = upgrade.build("trends", old_file)
    assert (first.migrations, second.migrations) == (["m001_create"], [])
    assert second.backup is None
    assert old_file.read_bytes() == content


def test_check_names_what_is_odd(old_file: Path) -> None:
    upgrade.build("trends", old_file)
    found = checks.check("trends", old_file)
    assert [problem.split(":")[0] for problem in found] == [
        "trending_topics.relevance_score must be a number from 0 to 1",
        "trending_topics.used_flag must be 0 or 1",
        "trending_topics.metadata must be valid JSON",
        "search_history.result_count must be a whole number, 0 or more",
    ]


def test_a_new_database_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "trends.db"
    upgrade.build("trends", path)
    assert checks.check("trends", path) == []


def test_columns_tables_indexes_and_triggers_of_others_stay(old_file: Path) -> None:
    with closing(sqlite3.connect(old_file)) as connection:
        connection.executescript(
            """
            alter table trending_topics add column priority integer default 3;
            create index idx_trending_topics_priority on trending_topics(priority desc);
            create table notes (topic_id integer references trending_topics(id), note text);
            insert into notes values (1, 'mine');
            create trigger note_topics after insert on trending_topics
            begin
                insert into notes values (new.id, new.topic);
            end;
            create view best as select topic from trending_topics where relevance_score = 1;
            create virtual table trending_topics_fts using fts5(topic, content='trending_topics');
            create trigger trending_topics_ai after insert on trending_topics
            begin
                insert into trending_topics_fts(rowid, topic) values (new.id, new.topic);
            end;
            """
        )
    before = rows(old_file, "select * from trending_topics")
    upgrade.build("trends", old_file)
    with closing(connect(old_file)) as connection:
        connection.execute("insert into trending_topics (topic, source) values ('planted', 'x')")
        assert connection.execute("select * from notes").fetchall()[-1][1] == "planted"
        assert connection.execute(
            "select count(*) from trending_topics_fts where trending_topics_fts match 'planted'"
        ).fetchone() == (1,)
        connection.execute("delete from notes where note = 'planted'")
        connection.execute("delete from trending_topics where topic = 'planted'")
        names = {name for (name,) in connection.execute("select name from sqlite_master")}
    assert rows(old_file, "select * from trending_topics") == before
    assert {"idx_trending_topics_priority", "note_topics", "best"} <= names
    assert rows(old_file, "select sql from sqlite_master where name = 'notes'")[0]["sql"].count(
        "trending_topics(id)"
    )


@pytest.mark.parametrize("recursive_triggers", [0, 1])
def test_programs_for_the_old_file_go_on_working(old_file: Path, recursive_triggers: int) -> None:
    upgrade.build("trends", old_file)
    with closing(sqlite3.connect(old_file)) as connection:
        connection.execute(f"pragma recursive_triggers = {recursive_triggers}")
        connection.executescript(OLD_SCHEMA)
        connection.execute(
            """
            INSERT INTO trending_topics (topic, source, relevance_score, category)
            VALUES (?, ?, ?, ?)
            """,
            ("AI art generators", "google_trends", 0.92, "technology"),
        )
        connection.execute("UPDATE trending_topics SET used_flag = 1 WHERE id = 2")
        connection.commit()
        best = connection.execute(
            """
            SELECT topic, relevance_score
            FROM trending_topics
            WHERE used_flag = 0
            ORDER BY relevance_score DESC
            LIMIT 5
            """
        ).fetchall()
        connection.executescript(
            """
            ALTER TABLE trending_topics
            ADD COLUMN priority INTEGER DEFAULT 0;
            CREATE INDEX IF NOT EXISTS idx_trending_topics_priority
            ON trending_topics(priority DESC)
            """
        )
    added = rows(old_file, "select * from trending_topics order by id desc limit 1")[0]
    assert len(best) == 5
    assert added["timestamp"] == added["created_at"] == added["updated_at"]
    assert added["timestamp"].endswith("Z")
    last = rows(old_file, "select max(id) as id from trending_topics")[0]
    assert last == {"id": added["id"]}


def test_numbers_of_deleted_rows_are_not_given_again(old_file: Path) -> None:
    with closing(sqlite3.connect(old_file)) as connection, connection:
        last = connection.execute("select seq from sqlite_sequence where name = 'trending_topics'")
        [number] = last.fetchone()
        connection.execute("delete from trending_topics where id > ?", (number - 10,))
    with closing(open_database("trends", old_file)) as db:
        assert trends.add_topic(db, "new", "x")["id"] == number + 1
