"""Every table of every database, exported and imported again: whole rows are equal."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils
from empty_databases import built
from hypothesis import given, settings
from hypothesis import strategies as st

from loaders import (
    campaigns,
    image_library,
    metrics,
    open_database,
    presentation_jobs,
    tables,
    trends,
    yt_builder,
)
from loaders.campaigns import versions
from loaders.formats import FORMATS
from loaders.import_export import export_files, import_files, verify_files
from loaders.import_options import ImportOptions
from loaders.import_report import ImportReport
from loaders.registry import DATABASES

IMPORT = ImportOptions(actor="import")
Rows = dict[str, list[dict[str, Any]]]

# Derived from the tables that are served, but neither exported nor given meaning by a row number.
DERIVED = {
    "yt-builder": {
        "job_times": "job_id, status, priority, created_at, finished_at",
        "job_states": "job_id, run_id, status",
    },
    "presentation_jobs": {
        "job_times": "job_id, status, priority, created_at, completed_at",
        "job_states": "job_id, status",
    },
    "metrics": {"video_platforms": "video_id, platform"},
}


def fill_campaigns(db: Any) -> None:
    campaigns.add_job(db, {"id": "a", "job_name": "A"}, "anna")
    campaigns.add_job(db, {"id": "b", "job_name": "B", "created_at": "2025-01-01 10:00:00"}, "bert")
    campaigns.update_job(db, "a", {"product": "007"}, "carl")
    campaigns.add_job(db, {"id": "gone", "job_name": "C"}, "anna")
    campaigns.delete_job(db, "gone", "bert")
    versions.restore_job(db, "gone", actor="carl")
    campaigns.delete_job(db, "gone", "dora")
    campaigns.add_job(db, {"id": "back", "job_name": "D"}, "anna")
    campaigns.delete_job(db, "back", "bert")
    others = {
        "n": 5,
        "f": 1e16,
        "no": None,
        "yes": True,
        "t": "[1]",
        "l": [1, {"a": None}],
        "e": "",
    }
    campaigns.add_job(db, {"id": "back", "job_name": "D2", "enabled": False, **others}, "carl")
    db.execute("insert into jobs (id, job_name) values ('flat', 'E')")
    db.execute("update jobs set product = 'p' where id = 'flat'")


def fill_yt_builder(db: Any) -> None:
    for number in range(1, 8):
        yt_builder.create_job(db, config={"n": number}, actor="anna")
    for number in range(2, 8):
        yt_builder.update_job_status(db, number, "queued", actor="bert")
    first = yt_builder.claim(db, "w1", "worker")
    yt_builder.heartbeat(db, first["job_id"], first["lease"], 40, "cutting")
    for status in ("failed", "queued"):
        second = yt_builder.claim(db, "w2", "worker") if status == "failed" else second  # noqa: F821
        yt_builder.update_job_status(db, second["job_id"], status, error="boom", actor="worker")
    third = yt_builder.claim(db, "w3", "worker")
    yt_builder.update_job_status(db, third["job_id"], "completed", output_file="o", actor="worker")
    yt_builder.update_job_status(db, 6, "cancelled", actor="anna")
    yt_builder.add_file(db, 1, "videos", "a b.mp4", "x")
    yt_builder.add_file(db, 2, "music", "é", "")
    yt_builder.delete_file(db, 1, "videos", "a b.mp4")
    yt_builder.add_file(db, 1, "videos", "a b.mp4", "y")
    yt_builder.add_youtube_upload(db, 3, "v", "u", "007", tags=["a", "b"], description="")
    yt_builder.delete_job(db, 7, "dora")


def fill_presentations(db: Any) -> None:
    for number in range(5):
        presentation_jobs.create(db, {"job_id": f"p{number}", "config": {"n": number}}, "anna")
    first = presentation_jobs.claim(db, "w", "worker")
    presentation_jobs.heartbeat(db, first["job_id"], first["lease"], 33.5)
    for status in ("completed", "failed"):
        job = presentation_jobs.claim(db, "w", "worker")
        values = {"status": status, "created_files": ["a"], "error": "e"}
        presentation_jobs.update(db, job["job_id"], values, actor="worker")
    presentation_jobs.delete(db, "p4", "dora")


def fill_trends(db: Any) -> None:
    row = trends.add_topic(db, "007", "x", 0.25, "", {"a": 1}, "2025-01-01T00:00:00.000Z")
    trends.mark_used(db, row["id"])
    db.execute(
        "insert into trending_topics (id, topic, source, used_flag) values (9, 'no', '', null)"
    )
    db.execute("insert into search_history (query, source) values ('1e3', 'x,\"y\"')")


def fill_metrics(db: Any) -> None:
    metrics.add_metadata(db, {"video_id": "v", "title": "T", "metadata": '{"a": 1}'})
    video = {"video_id": "v", "platform": "youtube", "views": 10}
    metrics.add_metrics(
        db,
        [
            {**video, "likes": 1, "timestamp": "2025-01-01T00:00:00.000Z"},
            {**video, "engagement_rate": 0.75, "timestamp": "2025-01-02T00:00:00.000Z"},
            {**video, "views": None},
        ],
    )


def fill_image_library(db: Any) -> None:
    for number in range(1, 5):
        image_library.add_image(db, "nutsy", f"{number}.png", tags=["a"], quality_score=0.5)
    for image_id, video_id in ((1, "v"), (1, "w"), (2, "v"), (4, "v")):
        image_library.use_image(db, image_id, video_id)
    db.execute("delete from image_usage where id = 2")
    db.execute("update image_usage set timestamp = '2025-01-01T00:00:00.000Z' where id = 1")
    db.execute("update image_library set usage_count = 7 where id in (3, 4)")  # not all logged
    db.execute("update image_library set last_used_at = null where id = 4")
    image_library.add_to_collection(db, "all", 1)
    image_library.add_to_collection(db, "all", 2, sort_order=9)
    db.execute("update image_library set generation_prompt = x'00ff' where id = 2")


FILLS: dict[str, Callable[[Any], None]] = {
    "campaigns": fill_campaigns,
    "yt-builder": fill_yt_builder,
    "presentation_jobs": fill_presentations,
    "trends": fill_trends,
    "metrics": fill_metrics,
    "image_library": fill_image_library,
}


@pytest.fixture(scope="module", params=DATABASES)
def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """A database with rows in every table that is served."""
    name = request.param
    path = tmp_path_factory.mktemp("filled") / "some.db"
    with open_database(name, copy_of(built() / f"{name}.db", path)) as db:
        FILLS[name](db)
        db.execute("insert into set_aside (table_name, reason, content) values ('t', '!!x', '')")
        assert all(rows_of(name, db).values())
    return name, path


def copy_of(source: Path, target: Path) -> Path:
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)
    return target


def open_empty(name: str, folder: Path) -> sqlite_utils.Database:
    return open_database(name, copy_of(built() / f"{name}.db", folder / "empty.db"))


def rows_of(name: str, db: sqlite_utils.Database) -> Rows:
    """Every row of the tables that are served, and what is derived from them elsewhere."""
    found = {table: list(db[table].rows) for table in tables.served_tables(name, db.conn)}
    for job in found["jobs"] if name == "campaigns" else []:
        # Triggers write no spaces, and CSV has one order for all.
        job["data"] = json.dumps(json.loads(job["data"]), sort_keys=True)
    for table, columns in DERIVED.get(name, {}).items():
        found[f"{table} derived"] = list(db.query(f"select {columns} from {table} order by 1"))
    return found


def joined(texts: list[str]) -> str:
    """Several JSON objects as one."""
    document: dict[str, Any] = {"exported_by": "a test"}
    for text in texts:
        document |= json.loads(text)
    return json.dumps(document)


def total(reports: list[ImportReport]) -> dict[str, int]:
    names = ("found", "imported", "updated", "skipped", "failed")
    return {name: sum(getattr(report, name) for report in reports) for name in names}


@pytest.mark.parametrize("format_", FORMATS)
def test_every_table_out_and_back(filled: tuple[str, Path], format_: str, tmp_path: Path) -> None:
    name, path = filled
    with open_database(name, copy_of(path, tmp_path / "same.db")) as db:
        before = rows_of(name, db)
        files = {}
        for table in tables.served_tables(name, db.conn):
            files[table] = tmp_path / f"{table}.{format_}"
            export_files(name, db, files[table], table)
        again = [
            import_files(name, db, [file], ImportOptions(table=table, actor="import"))
            for table, file in files.items()
        ]
        assert rows_of(name, db) == before
        count = sum(len(before[table]) for table in files)
        assert total(again) == {
            "found": count, "imported": 0, "updated": 0, "skipped": count, "failed": 0,
        }  # fmt: skip
    with open_empty(name, tmp_path) as db:
        for table, file in files.items():
            report = import_files(name, db, [file], ImportOptions(table=table, actor="import"))
            assert report.errors == []
        assert rows_of(name, db) == before
        for table, file in files.items():
            assert verify_files(name, db, file, table).as_dict() == {
                "ok": True, "found": len(before[table]),
                "missing": [], "extra": [], "different": [], "errors": [],
            }  # fmt: skip


@pytest.mark.parametrize("on_conflict", ["update", "fail"])
def test_into_the_same_database_under_every_policy(
    filled: tuple[str, Path], on_conflict: str, tmp_path: Path
) -> None:
    name, path = filled
    with open_database(name, copy_of(path, tmp_path / "same.db")) as db:
        before = rows_of(name, db)
        for table in tables.served_tables(name, db.conn):
            file = tmp_path / f"{table}.json"
            export_files(name, db, file, table)
            options = ImportOptions(table=table, actor="import", on_conflict=on_conflict)
            report = import_files(name, db, [file], options)
            assert (report.updated, report.failed) == (0, 0)
        assert rows_of(name, db) == before


@pytest.mark.parametrize("format_", ["json", "yaml"])
def test_all_tables_in_one_file(filled: tuple[str, Path], format_: str, tmp_path: Path) -> None:
    name, path = filled
    with open_database(name, copy_of(path, tmp_path / "same.db")) as db:
        before = rows_of(name, db)
        texts = []
        for table in reversed(tables.served_tables(name, db.conn)):
            file = tmp_path / f"{table}.{format_}"
            export_files(name, db, file, table)
            texts.append(file.read_text())
    document = tmp_path / f"all.{format_}"
    document.write_text(joined(texts) if format_ == "json" else "".join(texts))
    with open_empty(name, tmp_path) as db:
        dry = import_files(name, db, [document], ImportOptions(actor="import", dry_run=True))
        assert not any(rows_of(name, db).values())
        report = import_files(name, db, [document], IMPORT)
        assert report.as_dict() == dry.as_dict()
        assert verify_files(name, db, document).ok
        count = sum(len(before[table]) for table in tables.served_tables(name, db.conn))
        assert (report.found, report.imported + report.skipped, report.errors) == (count, count, [])
        assert rows_of(name, db) == before


def test_lists_that_are_no_table_are_named(tmp_path: Path) -> None:
    path = tmp_path / "all.json"
    rows = {
        "image_library": [],
        "albums": [{"id": 1}],
        "write_context": [{"id": 2}],
        "words": ["a"],
    }
    with open_empty("image_library", tmp_path) as db:
        for text in (json.dumps(rows), json.dumps({"albums": [{"id": 1}], "image_usage": []})):
            path.write_text(text)
            report = import_files("image_library", db, [path], IMPORT)
            reason = report.errors[0]["reason"]
            assert reason.startswith('image_library has no table "albums" for these rows: choose')
            compared = verify_files("image_library", db, path)
            assert (compared.ok, compared.errors) == (False, report.errors)
        path.write_text(json.dumps({"jobs": [{"job_name": "x"}], "scripts": [{"id": 1}]}))
    with open_empty("campaigns", tmp_path) as db:
        for failed in (
            import_files("campaigns", db, [path], IMPORT).errors,
            verify_files("campaigns", db, path).errors,
            campaigns.migrate_from_yaml(db, path)["errors"],
        ):
            assert [(one["position"], one["reason"].split(", ")[0]) for one in failed] == [
                ('list "scripts"',
                 'campaigns has no table "scripts" for these rows: choose from jobs')
            ]  # fmt: skip
        assert db["jobs"].count == 1


def test_only_the_table_that_is_named(tmp_path: Path) -> None:
    path = tmp_path / "all.json"
    path.write_text(json.dumps({"trending_topics": [{"topic": "a", "source": "b"}],
                                "search_history": [{"query": "a", "source": "b"}]}))  # fmt: skip
    with open_empty("trends", tmp_path) as db:
        report = import_files("trends", db, [path], ImportOptions(table="search_history"))
        assert (report.found, report.imported, report.ok) == (1, 1, True)
        assert db["trending_topics"].count == 0


def test_new_uses_of_images_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "uses.json"
    uses = [
        {"image_id": 1, "video_id": "v", "timestamp": "2025-01-01T00:00:00.000Z"},
        {"image_id": 1, "video_id": "w", "timestamp": "2025-01-02T00:00:00.000Z"},
        {"image_id": 2, "video_id": "w", "timestamp": "2100-01-02T00:00:00.000Z"},
    ]
    path.write_text(json.dumps(uses))
    with open_empty("image_library", tmp_path) as db:
        for number in (1, 2):
            image_library.add_image(db, "nutsy", f"{number}.png")
        db.execute("update image_library set usage_count = 5, last_used_at = '2099' where id = 2")
        for _ in range(2):
            import_files("image_library", db, [path], ImportOptions(table="image_usage"))
            found = db.query("select usage_count, last_used_at from image_library order by id")
            assert list(found) == [
                {"usage_count": 2, "last_used_at": "2025-01-02T00:00:00.000Z"},
                {"usage_count": 6, "last_used_at": "2100-01-02T00:00:00.000Z"},
            ]


def test_a_history_in_part_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    with open_empty("campaigns", tmp_path) as db:
        campaigns.bulk_add_jobs(db, [{"id": key, "job_name": key} for key in "ab"], "import")
        before = list(db["job_history"].rows)
        later = {"id": 1, "job_id": "a", "version": 2, "operation": "update", "actor": "anna",
                 "changed_at": "2025-01-01T00:00:00.000Z", "data": None}  # fmt: skip
        path.write_text(json.dumps([later]))
        import_files("campaigns", db, [path], ImportOptions(table="job_history", actor="import"))
        assert list(db["job_history"].rows) == [later, before[1], {**before[0], "id": 3}]


def test_attempts_of_a_worker_stay(tmp_path: Path) -> None:
    path = tmp_path / "attempts.json"
    earlier = {"id": 7, "job_id": 1, "worker": "old", "started_at": "2025-01-01T00:00:00.000Z"}
    path.write_text(json.dumps([earlier]))
    with open_empty("yt-builder", tmp_path) as db:
        yt_builder.create_job(db, actor="import")
        yt_builder.update_job_status(db, 1, "queued", actor="import")
        yt_builder.claim(db, "new")
        before = list(db["job_attempts"].rows)
        import_files("yt-builder", db, [path], ImportOptions(table="job_attempts", actor="import"))
        rest = dict.fromkeys(("ended_at", "outcome", "error", "log", "progress", "current_step"))
        assert list(db["job_attempts"].rows) == [*before, {**earlier, **rest}]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    [
        "",
        "!!",
        "!!str ",
        "!!null null",
        '{"!!float": ".nan"}',
        "007",
        "1e3",
        "no",
        "null",
        "~",
        "[1]",
    ]
)
TOPICS = st.fixed_dictionaries(
    {"topic": TEXT.filter(str.strip), "source": TEXT},
    optional={
        "category": TEXT | st.none(),
        "relevance_score": st.floats(0, 1) | st.none(),
        "used_flag": st.sampled_from([0, 1, None]),
        "timestamp": TEXT | st.none() | st.integers(0, 2**62),
    },
)


@given(topics=st.lists(TOPICS, min_size=1, max_size=4), format_=st.sampled_from(FORMATS))
@settings(max_examples=60, deadline=None)
def test_any_row_out_and_back(
    tmp_path_factory: pytest.TempPathFactory, topics: list[dict[str, Any]], format_: str
) -> None:
    folder = tmp_path_factory.mktemp("any", numbered=True)
    path = folder / f"out.{format_}"
    with open_database("trends", copy_of(built() / "trends.db", folder / "a.db")) as db:
        for topic in topics:
            tables.Table(db.conn, "trending_topics").insert(topic)
        before = list(db["trending_topics"].rows)
        export_files("trends", db, path)
        assert import_files("trends", db, [path], IMPORT).skipped == len(before)
        assert list(db["trending_topics"].rows) == before
    with open_empty("trends", folder) as db:
        assert import_files("trends", db, [path], IMPORT).errors == []
        assert list(db["trending_topics"].rows) == before
