"""Whatever sqlite-utils or the sqlite3 shell did to a schema, `build` makes it right again."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils
from click.testing import CliRunner
from legacy import rows
from sqlite_utils.cli import cli as sqlite_utils_cli

from dailies.cli import build as building
from dailies.cli import samples
from loaders import checks, open_database, repair, schema, upgrade
from loaders.connections import connect
from loaders.registry import DATABASES
from loaders.schema import SchemaObject

Damage = Callable[[sqlite_utils.Database, str], None]

every_database = pytest.mark.parametrize("name", DATABASES)
FAST = ("campaigns", "trends")  # the largest schema and the smallest
every_database_in_time = pytest.mark.parametrize(
    "name",
    [
        *FAST,
        *(pytest.param(name, marks=pytest.mark.slow) for name in DATABASES if name not in FAST),
    ],
)


@pytest.fixture(scope="module")
def sample_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all databases and their sample rows."""
    folder = tmp_path_factory.mktemp("samples")
    for name in DATABASES:
        with closing(open_database(name, folder / f"{name}.db").conn) as connection:
            samples.add(name, connection)
    return folder


@pytest.fixture
def copy(sample_files: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Copy the sample file of a database; each call gives a new one."""

    def fresh(name: str) -> Path:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        return Path(shutil.copy(sample_files / f"{name}.db", folder))

    return fresh


def tables_of(name: str) -> list[str]:
    found = schema.reference(name).values()
    return [one.name for one in found if one.kind == "table" and not one.is_virtual]


def derived_objects(name: str) -> Iterator[SchemaObject]:
    for one in schema.reference(name).values():
        if one.kind != "table" or one.is_fts:
            yield one


def content(path: Path, table: str) -> list[dict[str, Any]]:
    return rows(path, f'select * from "{table}" order by rowid')


def everything(path: Path, name: str) -> dict[str, list[dict[str, Any]]]:
    """All rows, search indexes too, in an order of their own."""
    tables = [one.name for one in schema.reference(name).values() if one.kind == "table"]
    return {table: sorted(content(path, table), key=repr) for table in tables}


def column_of(db: sqlite_utils.Database, table: str) -> str:
    """A column that is no key, if there is one."""
    columns = db[table].columns
    return next((column.name for column in columns if not column.is_pk), columns[-1].name)


def transform(db: sqlite_utils.Database, table: str) -> None:
    db[table].transform()


def transform_all(db: sqlite_utils.Database, table: str) -> None:
    column = column_of(db, table)
    db[table].transform(types={column: str}, defaults={column: "other"}, column_order=[column])


def enable_search(db: sqlite_utils.Database, table: str) -> None:
    with suppress(sqlite3.OperationalError):  # a stand-alone index is not replaced
        db[table].enable_fts([column_of(db, table)], replace=True)


def enable_search_with_triggers(db: sqlite_utils.Database, table: str) -> None:
    with suppress(sqlite3.OperationalError):  # a trigger of ours has the name of one of these
        db[table].enable_fts([column_of(db, table)], replace=True, create_triggers=True)


def disable_search(db: sqlite_utils.Database, table: str) -> None:
    db[table].disable_fts()


def add_column(db: sqlite_utils.Database, table: str) -> None:
    db[table].add_column("remark", str)
    db[table].transform()


DAMAGES = [
    transform,
    transform_all,
    enable_search,
    enable_search_with_triggers,
    disable_search,
    add_column,
]


def damage(path: Path, way: Damage, table: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        way(sqlite_utils.Database(connection), table)
        connection.commit()


def assert_as_new(path: Path, name: str) -> None:
    assert checks.check(name, path) == []
    with closing(sqlite3.connect(path)) as connection:
        assert schema.differences(name, connection).labels == []


@every_database_in_time
@pytest.mark.parametrize("way", DAMAGES)
def test_a_build_undoes_what_sqlite_utils_did(
    copy: Callable[[str], Path], name: str, way: Damage
) -> None:
    path = copy(name)
    expected = everything(path, name)
    for table in tables_of(name):
        damage(path, way, table)
    with closing(sqlite3.connect(path)) as connection:
        damaged = schema.differences(name, connection).labels
    result = upgrade.build(name, path)
    assert result.repaired == damaged
    assert (result.backup is None) == (damaged == [])
    assert_as_new(path, name)
    found = everything(path, name)
    for table in tables_of(name):
        for row in found[table]:
            row.pop("remark", None)
    assert found == expected
    assert upgrade.build(name, path).repaired == []


@every_database_in_time
@pytest.mark.parametrize("kind", ["trigger", "index", "view", "table"])
def test_a_build_restores_whatever_was_dropped(
    copy: Callable[[str], Path], name: str, kind: str
) -> None:
    path = copy(name)
    expected = everything(path, name)
    dropped = [one for one in derived_objects(name) if one.kind == kind]
    for one in dropped:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f'drop {kind} "{one.name}"')
        assert checks.check(name, path)
    missing = [one.label for one in dropped]
    missing += [one.label for one in triggers_of(name, dropped)]
    problems = checks.check(name, path)
    for label in missing:
        assert f"{label} is missing: run `dailies build {name}`" in problems
    assert sorted(upgrade.build(name, path).repaired) == sorted(missing)
    assert_as_new(path, name)
    assert everything(path, name) == expected


def triggers_of(name: str, views: list[SchemaObject]) -> list[SchemaObject]:
    """Triggers that go with views."""
    names = {one.name for one in views if one.kind == "view"}
    return [one for one in derived_objects(name) if one.kind == "trigger" and one.table in names]


@every_database
def test_a_build_replaces_whatever_was_altered(copy: Callable[[str], Path], name: str) -> None:
    path = copy(name)
    expected = everything(path, name)
    altered = [one for one in derived_objects(name) if not one.is_fts]
    with closing(sqlite3.connect(path)) as connection:
        for one in altered:
            connection.execute(f'drop {one.kind} if exists "{one.name}"')
            connection.execute(other_definition(one))
    found = checks.check(name, path)
    assert {f"{one.label} was altered: run `dailies build {name}`" for one in altered} <= set(found)
    assert set(upgrade.build(name, path).repaired) == {one.label for one in altered}
    assert_as_new(path, name)
    assert everything(path, name) == expected


def other_definition(one: SchemaObject) -> str:
    if one.kind == "view":
        return f'create view "{one.name}" as select 1 as one'
    if one.kind == "index":
        return f'create index "{one.name}" on "{one.table}" (rowid + 1)'.replace(
            "rowid + 1", "1 + 1"
        )
    time = "instead of" if "instead of" in one.sql else "after"
    return f'create trigger "{one.name}" {time} delete on "{one.table}" begin select 1; end'


@pytest.mark.skipif(not shutil.which("sqlite3"), reason="needs the sqlite3 shell")
@every_database
def test_a_dump_restored_is_right_after_a_build(
    copy: Callable[[str], Path], data_dir: Path, name: str
) -> None:
    path = copy(name)
    with closing(connect(path)) as connection:
        connection.execute(f'delete from "{DATABASES[name].main_table}" where rowid = 1')
    restored = data_dir / f"{name}.db"
    dump = subprocess.run(["sqlite3", path, ".dump"], check=True, capture_output=True)
    subprocess.run(["sqlite3", restored], check=True, input=dump.stdout)
    assert building.build(name).error is None
    assert_as_new(restored, name)
    assert everything(restored, name) == everything(path, name)


@every_database
def test_what_the_user_added_stays(copy: Callable[[str], Path], name: str) -> None:
    path = copy(name)
    table = DATABASES[name].main_table
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            f"""
            create table notes (text);
            insert into notes values ('mine');
            create view all_notes as select text from notes;
            create index by_text on notes (text);
            alter table "{table}" add column colour text default 'red';
            create index by_colour on "{table}" (colour);
            create trigger remember after delete on "{table}" begin
              insert into notes values ('deleted');
            end;
            """
        )
    added = [
        "table notes", "view all_notes", "index by_text", f"column {table}.colour",
        "index by_colour", "trigger remember",
    ]  # fmt: skip
    for way in (None, transform):
        if way:
            damage(path, way, table)
            with closing(sqlite3.connect(path)) as connection:
                connection.execute(
                    f"""
                    create trigger remember after delete on "{table}" begin
                      insert into notes values ('deleted');
                    end
                    """
                )
        assert bool(upgrade.build(name, path).repaired) == bool(way)
        findings = checks.examine(name, path)
        assert findings.problems == []
        assert sorted(findings.notes) == sorted(f"{one}: not created by Dailies" for one in added)
    assert {row["colour"] for row in content(path, table)} == {"red"}
    assert rows(path, "select text from all_notes") == [{"text": "mine"}]


@every_database
def test_a_column_that_a_write_added_can_be_dropped_again(
    copy: Callable[[str], Path], name: str
) -> None:
    for table in tables_of(name):
        path = copy(name)
        with closing(connect(path)) as connection:
            db = sqlite_utils.Database(connection)
            added = write_with_new_column(db, table)
            notes = [f"column {table}.colour: not created by Dailies"] if added else []
            assert checks.examine(name, path) == checks.Findings([], notes), table
            if added:
                db[table].transform(drop={"colour"})
        upgrade.build(name, path)
        assert checks.examine(name, path) == checks.Findings([], []), table


def write_with_new_column(db: sqlite_utils.Database, table: str) -> bool:
    """Write the first row again, with one more column; False if the table is empty."""
    row = next(db[table].rows, None)
    if row and db[table].use_rowid:
        db[table].insert({**row, "colour": "red"}, replace=True, alter=True)
    elif row:
        db[table].upsert({**row, "colour": "red"}, pk=db[table].pks, alter=True)
    return bool(row)


@every_database
def test_a_column_is_added_and_dropped_on_the_command_line(
    copy: Callable[[str], Path], name: str
) -> None:
    path, table = copy(name), DATABASES[name].main_table
    row = content(path, table)[0]
    with closing(connect(path)) as connection:
        keys = [
            part for pk in sqlite_utils.Database(connection)[table].pks for part in ("--pk", pk)
        ]
    new_column = [table, "-", "--alter", *keys]
    run_sqlite_utils("upsert", str(path), *new_column, input=json.dumps({**row, "colour": "red"}))
    assert checks.check(name, path) == []
    run_sqlite_utils("transform", str(path), table, "--drop", "colour")
    upgrade.build(name, path)
    assert checks.examine(name, path) == checks.Findings([], [])
    assert "colour" not in content(path, table)[0]


def run_sqlite_utils(*arguments: str, input: str | None = None) -> None:
    result = CliRunner().invoke(sqlite_utils_cli, arguments, input=input)
    assert result.exit_code == 0, result.output


@every_database
def test_rows_that_a_definition_refuses_are_set_aside(
    copy: Callable[[str], Path], name: str
) -> None:
    path = copy(name)
    required = next(
        (
            (one, column)
            for one in DATABASES[name].tables
            for column in columns_with_not_null(path, one)
            if content(path, one)
        ),
        None,
    )
    assert required, "a table with rows and a NOT NULL column"
    table, column = required
    before = content(path, table)
    with closing(sqlite3.connect(path)) as connection:
        sqlite_utils.Database(connection)[table].transform(not_null={column: False})
        connection.execute(f'update "{table}" set "{column}" = null where rowid = 1')
        connection.commit()
    upgrade.build(name, path)
    aside = rows(path, "select table_name, reason, content from set_aside order by id")[0]
    assert aside["table_name"] == table
    assert aside["reason"] == "breaks NOT NULL or UNIQUE of its table"
    assert json.loads(aside["content"]) == {**before[0], column: None}
    assert {**before[0], column: None} not in content(path, table)


def columns_with_not_null(path: Path, table: str) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(
            """
            select name from pragma_table_info(?) where "notnull" and not pk
            """,
            (table,),
        )
        return [column for (column,) in found]


@every_database
def test_a_file_whose_main_table_was_renamed_is_still_known(
    copy: Callable[[str], Path], name: str
) -> None:
    path, table = copy(name), DATABASES[name].main_table
    before = content(path, table)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma legacy_alter_table = on")
        connection.execute(f'alter table "{table}" rename to renamed')
    assert f"table {table}" in upgrade.build(name, path).repaired
    with closing(sqlite3.connect(path)) as connection:
        assert schema.differences(name, connection).labels == []
    assert (content(path, "renamed"), content(path, table)) == (before, [])


def test_opening_a_database_repairs_it(copy: Callable[[str], Path]) -> None:
    path = copy("trends")
    damage(path, transform, "trending_topics")
    with closing(open_database("trends", path).conn):
        assert_as_new(path, "trends")


def test_a_repair_that_fails_changes_nothing(
    copy: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy("yt-builder")
    damage(path, transform_all, "jobs")
    damaged = "select type, name, sql from sqlite_master"
    before = rows(path, damaged), everything(path, "yt-builder")

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(repair, "rebuild", fail)
    with pytest.raises(sqlite3.OperationalError):
        upgrade.build("yt-builder", path)
    assert (rows(path, damaged), everything(path, "yt-builder")) == before
    assert len(list(path.parent.glob("*.backup-*"))) == 1


# Writes while the triggers of a database are gone, and what they must lead to after a build.
WRITES = {
    "campaigns": """
        delete from jobs where rowid = 1;
        update jobs set data = json_set(data, '$.product', 'Changed') where rowid = 2;
        update jobs set product = 'Drifted' where rowid = 3;
        insert into jobs (id, data) values ('new', '{"id": "new", "job_name": "New Zebra"}');
        insert into jobs (id, job_name, enabled) values ('flat', 'Flat Zebra', 0);
        insert into jobs (id, job_name, data) values ('odd', 'Odd Zebra', 'no JSON');
    """,
    "yt-builder": """
        delete from jobs where job_id = 1;
        update jobs set status = 'failed' where job_id = 2;
        insert into jobs (run_id, run_dir) values ('new', 'runs/new');
    """,
    "presentation_jobs": """
        delete from presentation_jobs where rowid = 1;
        update presentation_jobs set status = 'failed' where rowid = 2;
        insert into presentation_jobs (job_id) values ('new');
    """,
    "trends": """
        delete from trending_topics where id = 1;
        update trending_topics set topic = 'Zebra' where id = 2;
        insert into trending_topics (topic, source) values ('New zebra', 'test');
    """,
    "metrics": """
        update video_metadata set title = 'Zebra' where rowid = 2;
        insert into video_metadata (video_id, title) values ('new', 'New zebra');
        update video_metrics set timestamp = '2027-01-02T03:04:05.000Z' where id = 1;
        insert into video_metrics (video_id, platform, views, likes, timestamp)
        values ('new', 'youtube', 100, 5, '2026-11-02'), ('new', 'youtube', 90, 5, '2026-11-01');
    """,
    "image_library": """
        delete from image_library where id = 1;
        update image_library set tags = '["zebra"]' where id = 2;
        insert into image_usage (image_id, video_id) values (3, 'new'), (3, 'newer');
    """,
}


@pytest.fixture
def written(copy: Callable[[str], Path]) -> Callable[[str], Path]:
    """The path of a database that was written to without triggers, and then built."""

    def write(name: str) -> Path:
        path = copy(name)
        triggers = [one for one in derived_objects(name) if one.kind == "trigger"]
        with closing(sqlite3.connect(path)) as connection:
            for one in triggers:
                connection.execute(f'drop trigger "{one.name}"')
            connection.executescript(WRITES[name])
        assert upgrade.build(name, path).repaired == [one.label for one in triggers]
        return path

    return write


@every_database
def test_searches_find_what_was_written_without_triggers(
    written: Callable[[str], Path], name: str
) -> None:
    path = written(name)
    problems = [line for line in checks.check(name, path) if not line.startswith("set_aside")]
    assert problems == []
    indexes = [one.name for one in schema.reference(name).values() if one.is_fts]
    for index in (one for one in indexes if one.endswith("_fts")):
        indexed = content(path, index)
        columns = ", ".join(indexed[0])
        table = index.removesuffix("_fts")
        assert indexed == rows(path, f"select {columns} from {table} order by rowid")
        assert rows(path, f"select rowid from {index} where {index} match 'zebra'")


def test_counts_of_campaigns_are_right_after_a_repair(written: Callable[[str], Path]) -> None:
    path = written("campaigns")
    counted = rows(
        path,
        """
        select product, persona, language, enabled, jobs
        from job_counts
        where jobs <> 0
        order by 1, 2, 3, 4
        """,
    )
    assert counted == rows(
        path,
        """
        select product, persona, language, enabled is 1 as enabled, count(*) as jobs
        from jobs
        group by 1, 2, 3, 4
        order by 1, 2, 3, 4
        """,
    )


@pytest.mark.parametrize("name", ["yt-builder", "presentation_jobs"])
def test_logs_of_jobs_are_right_after_a_repair(written: Callable[[str], Path], name: str) -> None:
    path = written(name)
    table = DATABASES[name].main_table
    jobs = f"select job_id, status from {table} order by job_id"
    assert rows(path, "select job_id, status from job_states order by job_id") == rows(path, jobs)
    assert rows(path, f"{jobs} limit 0") == rows(
        path,
        f"select job_id, null from {table} where job_id not in (select job_id from job_events)",
    )
    events = rows(
        path,
        """
        select iif(detail is 'deleted', detail, status_to) as event, count(*) as times
        from job_events
        where id > (select max(id) from job_events) - 3
        group by event
        order by event
        """,
    )
    created = {"yt-builder": "preparing", "presentation_jobs": "queued"}[name]
    assert [row["event"] for row in events] == sorted(["deleted", "failed", created])


def test_histories_of_campaigns_are_right_after_a_repair(
    copy: Callable[[str], Path], written: Callable[[str], Path]
) -> None:
    before = {row["rowid"]: row for row in rows(copy("campaigns"), "select rowid, * from jobs")}
    path = written("campaigns")

    def versions(job_id: str) -> list[tuple[str, dict[str, Any] | None]]:
        found = rows(
            path,
            f"""
            select operation, data
            from job_versions
            where job_id = '{job_id}'
            order by version
            """,
        )
        return [(row["operation"], row["data"] and json.loads(row["data"])) for row in found]

    deleted, changed, drifted = (str(before[number]["id"]) for number in (1, 2, 3))
    assert [operation for operation, _ in versions(deleted)] == ["insert", "delete"]
    data = json.loads(before[2]["data"])
    [first, second] = versions(changed)
    assert (first[0], (first[1] or {})["product"]) == ("insert", data["product"])
    assert second == ("update", {**data, "product": "Changed"})
    data = json.loads(before[3]["data"])
    [first, second] = versions(drifted)
    assert (first[0], (first[1] or {})["product"]) == ("insert", "Drifted")
    assert second == ("update", data)
    assert [operation for operation, _ in versions("new")] == ["insert"]
    flat = json.loads(rows(path, "select data from jobs where id = 'flat'")[0]["data"])
    assert (flat["id"], flat["job_name"], flat["enabled"]) == ("flat", "Flat Zebra", False)
    aside = rows(path, "select row_key, content from set_aside")
    assert aside == [{"row_key": "odd", "content": "no JSON"}]
    stored = rows(path, f"select product from jobs where id in ('{changed}', '{drifted}')")
    assert [row["product"] for row in stored] == ["Changed", data["product"]]


def test_newest_snapshots_are_right_after_a_repair(written: Callable[[str], Path]) -> None:
    path = written("metrics")
    newest = "select views, engagement_rate from latest_video_metrics where video_id = 'new'"
    assert rows(path, newest) == [{"views": 100, "engagement_rate": 0.05}]
    measured = rows(path, "select timestamp, measured_at from latest_video_metrics where id = 1")
    assert measured == [dict.fromkeys(("timestamp", "measured_at"), "2027-01-02T03:04:05.000Z")]


def test_counts_of_images_are_right_after_a_repair(
    copy: Callable[[str], Path], written: Callable[[str], Path]
) -> None:
    [before] = rows(copy("image_library"), "select usage_count from image_library where id = 3")
    path = written("image_library")
    [after] = rows(path, "select usage_count, last_used_at from image_library where id = 3")
    assert after["usage_count"] == before["usage_count"] + 2
    assert (
        after["last_used_at"] == rows(path, "select max(timestamp) as t from image_usage")[0]["t"]
    )
    aside = rows(path, "select distinct table_name, reason from set_aside")
    assert all(row["reason"] == "its row of image_library is gone" for row in aside)
    assert rows(path, "pragma foreign_key_check") == []
