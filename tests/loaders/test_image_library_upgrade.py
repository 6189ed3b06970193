"""The old `image_library.db` is adopted whole, and programs written for it go on working."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from legacy import rows, unpack
from sqlite_utils import Database

from loaders import checks, image_library, open_database, schema, upgrade
from loaders.connections import connect

OLD_SCHEMA = """
create table if not exists image_usage (
    id integer primary key autoincrement,
    image_id integer not null,
    video_id text not null,
    scene_number integer,
    timestamp datetime default current_timestamp,
    foreign key (image_id) references image_library(id) on delete cascade
);
create index if not exists idx_image_usage_image_id on image_usage(image_id);
create trigger if not exists update_image_usage_stats
    after insert on image_usage
    begin
        update image_library
        set usage_count = usage_count + 1,
            last_used_at = current_timestamp
        where id = new.image_id;
    end;
"""
IMAGE_IDS = "(select id from image_library)"
ORPHANS = {
    "image_usage": f"image_id not in {IMAGE_IDS}",
    "collection_images": f"image_id not in {IMAGE_IDS}",
}


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    return unpack("image_library.db", tmp_path)


def all_rows(path: Path, table: str, where: str = "true") -> list[dict[str, Any]]:
    return rows(path, f"select * from {table} where {where} order by rowid")


@pytest.mark.parametrize("table", ["image_library", "image_collections"])
def test_every_image_and_collection_stays_as_it_is(old_file: Path, table: str) -> None:
    before = all_rows(old_file, table)
    upgrade.build("image_library", old_file)
    assert all_rows(old_file, table) == before


@pytest.mark.parametrize(("table", "orphaned"), ORPHANS.items())
def test_rows_of_images_that_are_gone_are_set_aside_whole(
    old_file: Path, table: str, orphaned: str
) -> None:
    kept, orphans = (
        all_rows(old_file, table, f"not {orphaned}"),
        all_rows(old_file, table, orphaned),
    )
    upgrade.build("image_library", old_file)
    aside = rows(old_file, f"select * from set_aside where table_name = '{table}' order by id")
    assert len(orphans) > 50
    assert all_rows(old_file, table) == kept
    assert [json.loads(row["content"]) for row in aside] == orphans
    assert {row["reason"] for row in aside} == {"its row of image_library is gone"}
    key = ("id",) if table == "image_usage" else ("collection_id", "image_id")
    assert [row["row_key"] for row in aside] == [
        ",".join(str(orphan[column]) for column in key) for orphan in orphans
    ]


def test_what_json_cannot_hold_is_set_aside_too(old_file: Path) -> None:
    with closing(sqlite3.connect(old_file)) as connection, connection:
        connection.execute("delete from image_usage")
        connection.execute(
            """
            insert into image_usage (id, image_id, video_id, scene_number, timestamp)
            values (1, 99999, cast(x'ff41' as text), 9e999, x'00ff')
            """
        )
    upgrade.build("image_library", old_file)
    aside = rows(old_file, "select content from set_aside where table_name = 'image_usage'")
    assert [json.loads(row["content"]) for row in aside] == [
        {
            "id": 1,
            "image_id": 99999,
            "video_id": {"!!binary": "/0E="},
            "scene_number": {"!!float": ".inf"},
            "timestamp": {"!!binary": "AP8="},
        }
    ]


def test_a_second_run_changes_nothing(old_file: Path) -> None:
    first = upgrade.build("image_library", old_file)
    content = old_file.read_bytes()
    second = upgrade.build("image_library", old_file)
    assert (first.migrations, second.migrations) == (["m001_create"], [])
    assert second.backup is None
    assert old_file.read_bytes() == content


def test_check_names_what_is_odd(old_file: Path) -> None:
    upgrade.build("image_library", old_file)
    found = checks.check("image_library", old_file)
    uses = rows(
        old_file,
        """
        select image_library.id, usage_count, count(image_usage.id) as logged
        from image_library
        left join image_usage on image_id = image_library.id
        group by image_library.id
        """,
    )
    miscounted = [row["id"] for row in uses if (row["usage_count"] or 0) != row["logged"]]
    assert found[-1].startswith(
        f"image_library.usage_count does not agree with image_usage: {miscounted[0]}, "
    )
    assert found[-1].endswith(f"and {len(miscounted) - checks.MAX_KEYS} more")
    assert [problem.split(":")[0] for problem in found[:-1]] == [
        "set_aside",
        "set_aside",
        "image_library.quality_score must be a number from 0 to 1",
        "image_library.file_size_bytes must be a whole number, 0 or more",
        "image_library.tags must be a JSON array",
        "image_library.metadata must be valid JSON",
        "image_usage.scene_number must be a whole number, 0 or more",
    ]


def test_a_new_database_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "image_library.db"
    upgrade.build("image_library", path)
    assert checks.check("image_library", path) == []


def test_a_character_that_slipped_past_its_check_is_kept_and_named(old_file: Path) -> None:
    with closing(sqlite3.connect(old_file)) as connection, connection:
        connection.execute("pragma ignore_check_constraints = on")
        connection.execute("update image_library set character = 'Butcher' where id = 7")
    before = all_rows(old_file, "image_library")
    with closing(connect(old_file)) as connection, upgrade.schema_changes(connection):
        schema.migrations_of("image_library").apply(Database(connection))
    assert all_rows(old_file, "image_library") == before
    problem = "image_library.character must be butcher or nutsy: 7"
    assert problem in checks.check("image_library", old_file)
    with closing(open_database("image_library", old_file)) as db:
        assert image_library.use_image(db, 7, "v")["character"] == "Butcher"


@pytest.mark.parametrize("foreign_keys", [0, 1])
def test_programs_for_the_old_file_go_on_working(old_file: Path, foreign_keys: int) -> None:
    upgrade.build("image_library", old_file)
    with closing(sqlite3.connect(old_file, isolation_level=None)) as connection:
        connection.execute(f"pragma foreign_keys = {foreign_keys}")
        connection.executescript(OLD_SCHEMA)
        old = connection.execute("select usage_count from image_library where id = 5").fetchone()
        connection.execute(
            "INSERT INTO image_usage (image_id, video_id, scene_number) VALUES (?, ?, ?)",
            (5, "video", 1),
        )
        connection.execute(
            """
            INSERT INTO image_library (character, emotion, pose, file_path, source, quality_score)
            VALUES ('butcher', 'happy', 'sitting', 'data/images/new.png', 'generated', 0.9)
            """
        )
        connection.execute("DELETE FROM image_library WHERE id = 1")
    used, added = all_rows(old_file, "image_library", "id = 5 or file_path = 'data/images/new.png'")
    assert used["usage_count"] == (old[0] or 0) + 1
    assert added["id"] == 3121
    for column in ("timestamp", "created_at"):
        assert added[column].endswith("Z")
    assert used["last_used_at"].endswith("Z")
    assert all_rows(old_file, "image_usage", "image_id = 1") == []
    with closing(connect(old_file)) as connection:
        assert checks.stale_search_indexes(connection, "image_library") == []
