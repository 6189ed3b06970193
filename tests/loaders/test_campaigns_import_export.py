"""Campaign files in and out: every job is accounted for, and what went in comes out equal."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils
import yaml
from empty_databases import in_memory
from hypothesis import example, given, settings
from hypothesis import strategies as st
from legacy import unpack, unpack_jobs

from loaders import campaigns, checks, open_database
from loaders.campaigns import bulk_load, files
from loaders.campaigns.normal_form import COLUMNS, FIELDS, TIMES
from loaders.connections import Connection, set_pragmas
from loaders.database_file import WatchedConnection
from loaders.import_options import ImportOptions
from loaders.import_report import ImportReport

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT | st.dates()
    | st.binary(max_size=4) | st.sampled_from(["no", "0123", "12:30", "2025-01-01", "1e3", "~"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(TEXT | st.integers() | st.booleans(), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite_utils.Database]:
    with open_database("campaigns", tmp_path / "campaigns.db") as opened:
        yield opened


@pytest.fixture(scope="module")
def real_jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite_utils.Database]:
    """A database with the jobs of a real file, for tests that only read it."""
    folder = tmp_path_factory.mktemp("real")
    with open_database("campaigns", folder / "campaigns.db") as opened:
        load(opened, unpack("campaigns.yaml", folder))
        yield opened


def counts(report: ImportReport) -> tuple[int, int, int, int, int]:
    return report.found, report.imported, report.updated, report.skipped, report.failed


def load(db: Connection, path: Path, **options: Any) -> ImportReport:
    return files.import_jobs(db, [path], ImportOptions(**options))


def stored(db: Connection) -> list[dict[str, Any]]:
    return list(campaigns.iterate_documents(db))


@given(
    st.lists(st.dictionaries(TEXT.filter(lambda key: key != "id"), VALUES, max_size=4), max_size=4)
)
def test_any_yaml_comes_out_equal(
    tmp_path_factory: pytest.TempPathFactory, settings: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("yaml")
    jobs = [{"id": str(i), "job_name": "n", "settings": one} for i, one in enumerate(settings)]
    (folder / "in.yaml").write_text(yaml.safe_dump({"jobs": jobs}, sort_keys=False))
    with in_memory("campaigns", WatchedConnection) as db:
        set_pragmas(db)
        report = load(db, folder / "in.yaml")
        assert counts(report) == (len(jobs), len(jobs), 0, 0, 0)
        files.export_jobs(db, folder / "out.yaml")
        assert files.verify_jobs(db, [folder / "in.yaml"]).ok
    exported = yaml.safe_load((folder / "out.yaml").read_text())["jobs"]
    assert repr(exported) == repr(jobs)


@pytest.mark.slow
def test_the_real_file(db: sqlite_utils.Database, tmp_path: Path) -> None:
    path = unpack("campaigns.yaml", tmp_path)
    report = load(db, path)
    assert counts(report) == (576, 571, 0, 0, 5)
    assert sorted((error["id"] or "", error["reason"]) for error in report.errors) == [
        ("", "line 181399: lone surrogate \\uD83D, half of a character"),
        ("6d40a2af7eb2412fb0af5c93b1d0c904",
         'given twice with different content'),
        ("6d40a2af7eb2412fb0af5c93b1d0c904",
         'given twice with different content'),
        ("handmade_missing_name", "jobs.job_name: a job needs a name"),
        ("handmade_null_name", "jobs.job_name: a job needs a name"),
    ]  # fmt: skip
    before = stored(db)
    assert counts(load(db, path)) == (576, 0, 0, 571, 5)
    assert stored(db) == before
    assert checks.stale_search_indexes(db.conn, "campaigns") == []
    assert list(campaigns.check(db.conn)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["out.yaml", "out", "out.json", "out.ndjson"])
def test_the_real_jobs_out_and_back(
    real_jobs: sqlite_utils.Database, tmp_path: Path, name: str
) -> None:
    exported = files.export_jobs(real_jobs, tmp_path / name)
    assert exported.rows == 571
    assert files.verify_jobs(real_jobs, [tmp_path / name]).as_dict() == {
        "ok": True, "found": 571, "missing": [], "extra": [], "different": [], "errors": [],
    }  # fmt: skip
    with open_database("campaigns", tmp_path / "again.db") as again:
        assert load(again, tmp_path / name).ok
        one = {job["id"]: json.dumps(job) for job in stored(real_jobs)}
        assert {job["id"]: json.dumps(job) for job in stored(again)} == one


def test_the_real_folder(db: sqlite_utils.Database, tmp_path: Path) -> None:
    report = load(db, unpack_jobs(tmp_path))
    assert counts(report) == (201, 198, 0, 1, 2)
    assert [Path(error["source"]).name for error in report.errors] == [
        "5776130be9234e41a0f07dec95a8dc43.yaml",
        "6bf38cf1cbb44fd2b20196ba511ddb76.yaml",
    ]


def seed_list(config: Path) -> dict[str, Any]:
    """What the earlier system lists: the entries of the manifest, each with its file's job."""
    manifest = yaml.safe_load((config / "jobs_manifest.yaml").read_text())
    files = {key: yaml.safe_load((config / one["file_path"]).read_text())
             for key, one in manifest.items()}  # fmt: skip
    assert {key: file["id"] for key, file in files.items()} == {key: key for key in files}
    return {key: {name: value for name, value in one.items() if name != "file_path"}
            for key, one in manifest.items()}  # fmt: skip


@pytest.mark.parametrize("name", ["jobs", "out"])
def test_a_folder_has_the_manifest_of_the_earlier_system(
    db: sqlite_utils.Database, tmp_path: Path, name: str
) -> None:
    config = tmp_path / "config"
    campaigns.bulk_add_jobs(db, [
        {"id": "20251017", "job_name": "no", "product": "p", "enabled": False,
         "created_at": "2025-10-17 14:03"},
        {"id": "jobs_manifest", "job_name": "é"},
    ])  # fmt: skip
    (config / "settings").mkdir(parents=True)
    (config / "jobs_manifest.yaml").write_text("old: {file_path: jobs/old.yaml}\n")
    for _ in range(2):
        files.export_jobs(db, config / name)
    assert seed_list(config if name == "jobs" else config / name) == {
        "20251017": {"job_name": "no", "product": "p", "enabled": False,
                     "created_at": "2025-10-17 14:03"},
        "jobs_manifest": {"job_name": "é", "product": "", "enabled": True, "created_at": ""},
    }  # fmt: skip
    kept = [file.read_text() for file in config.glob("jobs_manifest.yaml*")]
    assert len(kept) == (3 if name == "jobs" else 1)
    assert "old: {file_path: jobs/old.yaml}\n" in kept
    with open_database("campaigns", tmp_path / "again.db") as again:
        report = load(again, config if name == "jobs" else config / name)
        assert counts(report) == (2, 2, 0, 0, 0)
        assert sorted(stored(again), key=str) == sorted(stored(db), key=str)


def test_a_file_cut_off_in_its_middle(db: sqlite_utils.Database, tmp_path: Path) -> None:
    report = load(db, unpack("campaigns_truncated.yaml", tmp_path))
    assert counts(report) == (38, 37, 0, 0, 1)
    assert "the file ends in the middle of this job" in report.errors[0]["reason"]


def test_what_the_earlier_migration_lost(db: sqlite_utils.Database, tmp_path: Path) -> None:
    path = unpack("campaigns_silent_loss.yaml", tmp_path)
    assert counts(load(db, path)) == (5, 3, 0, 0, 2)
    assert counts(load(db, path)) == (5, 0, 0, 3, 2)
    assert [job["job_name"] for job in stored(db)] == [
        "kept",
        "no id: stored under a random id, again on every run",
        "kept too",
    ]


def test_texts_stay_as_they_were_written(db: sqlite_utils.Database, tmp_path: Path) -> None:
    load(db, unpack("campaigns_handedited_raw.yaml", tmp_path))
    assert {job["id"]: job["job_name"] for job in stored(db)}[
        "20251017"
    ] == "Job with an integer id"
    job = campaigns.get_job(db, "20251017")
    assert job is not None
    assert (job["product"], job["hook"]) == ("007", "12:30:45")
    dated = campaigns.get_job(db, "handmade_date")
    assert dated is not None
    assert (dated["job_name"], dated["created_at"]) == ("2025-10-17", "2025-10-17 14:03:22 +02:00")
    assert dated.created_at == "2025-10-17T12:03:22.000Z"
    assert dated.enabled == 0


BOMB = "- id: a\n  job_name: x\n  k0: &k0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"  k{n}: &k{n} [{', '.join([f'*k{n - 1}'] * 10)}]\n" for n in range(1, 8)
)
BAD = {
    "duplicate key": "- id: a\n  job_name: x\n  job_name: y\n",
    "alias": "- &a\n  id: a\n  job_name: x\n  self: *a\n",
    "aliases": BOMB,
    "not a mapping": "- just text\n",
    "control": "- id: a\n  job_name: \"\x07\"\n",
    "needs a name": "- id: a\n",
}  # fmt: skip


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_job_stops_no_other(db: sqlite_utils.Database, tmp_path: Path, reason: str) -> None:
    path = tmp_path / "jobs.yaml"
    path.write_text(
        f"jobs:\n- id: before\n  job_name: n\n{BAD[reason]}- id: after\n  job_name: n\n"
    )
    report = load(db, path)
    assert [job["id"] for job in stored(db)] == ["before", "after"]
    assert counts(report) == (3, 2, 0, 0, 1)
    assert "job 2" in report.errors[0]["position"]
    assert reason.split()[-1] in report.errors[0]["reason"]


def test_on_conflict(db: sqlite_utils.Database, tmp_path: Path) -> None:
    path = tmp_path / "jobs.json"
    path.write_text('[{"id": "a", "job_name": "old"}, {"id": "b", "job_name": "same"}]')
    load(db, path)
    path.write_text('[{"id": "a", "job_name": "new"}, {"id": "b", "job_name": "same"}]')
    assert counts(load(db, path)) == (2, 0, 0, 2, 0)
    failed = load(db, path, on_conflict="fail")
    assert counts(failed) == (2, 0, 0, 1, 1)
    assert failed.errors[0]["reason"] == "already stored with different content"
    dry_run = load(db, path, on_conflict="update", dry_run=True)
    assert counts(dry_run) == (2, 0, 1, 1, 0)
    assert [job["job_name"] for job in stored(db)] == ["old", "same"]
    updated = load(db, path, on_conflict="update")
    assert counts(updated) == (2, 0, 1, 1, 0)
    assert [job["job_name"] for job in stored(db)] == ["new", "same"]
    with closing(sqlite3.connect(str(updated.backup))) as backup:
        assert backup.execute("select job_name from jobs where id = 'a'").fetchone() == ("old",)
    with pytest.raises(ValueError, match="on-conflict must be one of skip, update, fail"):
        load(db, path, on_conflict="merge")


def test_csv_and_renamed_fields(db: sqlite_utils.Database, tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [["id", "title", "product", "enabled"], ["007", "no", "", "false"]]
        )
    report = load(db, path, rename={"job_name": "title"})
    assert counts(report) == (1, 1, 0, 0, 0)
    job = campaigns.get_job(db, "007")
    assert job == {"id": "007", "job_name": "no", "enabled": False}
    assert (job.enabled, job.product) == (0, None)


def test_an_export_keeps_the_file_that_was_there(db: sqlite_utils.Database, tmp_path: Path) -> None:
    target = tmp_path / "out.yaml"
    target.write_text("mine")
    exported = files.export_jobs(db, target)
    assert Path(str(exported.backup)).read_text() == "mine"
    assert sorted(file.name for file in tmp_path.glob(".*")) == []


FIELD_VALUES = st.none() | st.booleans() | st.integers(0, 1) | TEXT | st.lists(TEXT, max_size=2)
JOBS = st.lists(
    st.dictionaries(
        st.sampled_from([key for field in FIELDS for key in field.keys] + ["other"]),
        FIELD_VALUES,
        max_size=6,
    ),
    max_size=5,
)
CONTENTS = (
    "select job_id, version, operation, actor, data from job_history order by job_id, version",
    "select group_key, jobs from job_counts where jobs > 0 order by 1",
    "select rowid, * from jobs_fts order by rowid",
    "select type, name, sql from sqlite_master order by type, name",
    f"select {', '.join(name for name in COLUMNS if name not in TIMES)}, data from jobs",
    "select id, created_at, created_instant from jobs where data ->> '$.created_at' is not null",
    "select id, updated_at from jobs where data ->> '$.updated_at' is not null",
    """
    select changed_at = updated_at
    from jobs
    join job_history on job_id = jobs.id
    where jobs.data ->> '$.updated_at' is null
      and job_id not in (select job_id from job_history where operation = 'update')
    """,
    "select rowid from jobs_trigrams where jobs_trigrams match 'xyz'",
)
TIMES_WRITTEN = (
    "2025-01-02T03:04:05+00:53:28",
    "2025-01-02 03:04",
    "2025-01-02T03",
    "1700000000",
    "xyz",
)


@settings(max_examples=30)
@given(JOBS, JOBS, st.sampled_from(("skip", "update", "fail")))
@example([{"created_at": time, "updated_at": time} for time in TIMES_WRITTEN], [{}] * 9, "update")
def test_bulk_loads_equal_imports_through_triggers(
    tmp_path_factory: pytest.TempPathFactory,
    first: list[dict[str, Any]],
    second: list[dict[str, Any]],
    policy: str,
) -> None:
    folder = tmp_path_factory.mktemp("bulk")
    results = []
    for is_bulk in (True, False):
        with (
            in_memory("campaigns", WatchedConnection) as connection,
            pytest.MonkeyPatch.context() as patch,
        ):
            set_pragmas(connection)
            patch.setattr(files, "FEW", 0)
            patch.setattr(bulk_load, "is_possible", bulk_load.is_possible if is_bulk else never)
            reports = [
                load(connection, write_jobs(folder, jobs), actor="importer", **options)
                for jobs, options in (
                    (first, {}),
                    (second, {"on_conflict": policy, "is_backed_up": True}),
                )
            ]
            connection.execute(bulk_load.ADD_TRIGRAMS)  # the triggers add them later
            contents = [connection.execute(sql).fetchall() for sql in CONTENTS]
            results.append(([report.as_dict() for report in reports], *contents))
    assert results[0] == results[1]


def write_jobs(folder: Path, jobs: list[dict[str, Any]]) -> Path:
    """A file of jobs, of which the last one comes twice."""
    file = folder / "jobs.json"
    numbered = [{"id": f"j{number}", "job_name": "xyz", **job} for number, job in enumerate(jobs)]
    file.write_text(json.dumps([*numbered, *numbered[-1:]]), encoding="utf-8")
    return file


def never(_: sqlite3.Connection) -> bool:
    return False


def test_a_load_lets_triggers_of_the_user_see_each_job(
    db: sqlite_utils.Database, tmp_path: Path
) -> None:
    db.conn.executescript(
        """
        create table seen (product);
        create trigger see after update of product on jobs
        when new.product is not old.product
        begin insert into seen values (new.product); end;
        """
    )
    file = tmp_path / "jobs.json"
    file.write_text('[{"job_name": "x", "product": "Serum"}]', encoding="utf-8")
    assert load(db, file).imported == 1
    assert db.execute("select * from seen").fetchall() == [("Serum",)]


def test_an_import_into_a_database_with_history_counts_on(
    db: sqlite_utils.Database, tmp_path: Path
) -> None:
    campaigns.add_job(db, {"id": "a", "job_name": "first"})
    campaigns.delete_job(db, "a")
    path = tmp_path / "jobs.ndjson"
    path.write_text('{"id": "a", "job_name": "again"}\n')
    assert load(db, path, actor="import").ok
    versions = db.execute(
        "select version, operation, actor from job_history order by id"
    ).fetchall()
    assert versions == [(1, "insert", None), (2, "delete", None), (3, "insert", "import")]


def test_zoneless_times_of_an_import(
    db: sqlite_utils.Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAILIES_TIMEZONE", "Europe/Berlin")
    path = tmp_path / "jobs.yaml"
    path.write_text("- id: a\n  job_name: n\n  created_at: 2025-07-01T12:00:00\n")
    load(db, path)
    job = campaigns.get_job(db, "a")
    assert job is not None
    assert (job["created_at"], job.created_at) == (
        "2025-07-01T12:00:00",
        "2025-07-01T10:00:00.000Z",
    )
    campaigns.update_job(db, "a", {"product": "p"})
    again = campaigns.get_job(db, "a")
    assert again is not None
    assert again.created_at == "2025-07-01T10:00:00.000Z"
    assert list(campaigns.check(db.conn)) == []


@pytest.mark.parametrize("target", ["jobs.yaml", "jobs"])
def test_what_is_no_text_comes_back_as_it_was(tmp_path: Path, target: str) -> None:
    """Numbers and booleans where texts are expected, as a program may have stored them."""
    job = {
        "id": "1",
        "job_name": 5,
        "product": 7.5,
        "persona": True,
        "setting": "007",
        "hook": -0.0,
        "created_at": 1700000000,
        "emotion": 10**30,
        "brand_name": ["no", 1],
    }
    with closing(open_database("campaigns", tmp_path / "one.db")) as db:
        campaigns.add_job(db, job)
        before = dict(campaigns.get_job(db, "1") or {})
        files.export_jobs(db, tmp_path / target)
        assert files.verify_jobs(db, [tmp_path / target]).ok
    with closing(open_database("campaigns", tmp_path / "other.db")) as db:
        assert files.import_jobs(db, [tmp_path / target]).imported == 1
        after = dict(campaigns.get_job(db, "1") or {})
    assert json.dumps(after) == json.dumps(before)
