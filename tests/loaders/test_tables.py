"""Import, export and verify the rows of any table."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils

from loaders import open_database, tables
from loaders.import_options import ImportOptions
from loaders.import_report import ImportReport

TOPICS = [
    {"topic": "AI art", "source": "google_trends", "relevance_score": 0.9, "category": "tech"},
    {"topic": "no", "source": "reddit", "relevance_score": 0.5, "timestamp": "2025-07-01 12:00:00"},
]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite_utils.Database]:
    with open_database("trends", tmp_path / "trends.db") as opened:
        yield opened


def counts(report: ImportReport) -> tuple[int, int, int, int, int]:
    return report.found, report.imported, report.updated, report.skipped, report.failed


def write_json(path: Path, rows: Any) -> Path:
    path.write_text(json.dumps(rows))
    return path


def load(db: sqlite_utils.Database, path: Path, **options: Any) -> ImportReport:
    return tables.import_rows("trends", db, [path], ImportOptions(**options))


def test_a_second_import_adds_nothing(db: sqlite_utils.Database, tmp_path: Path) -> None:
    path = write_json(tmp_path / "topics.json", TOPICS)
    assert counts(load(db, path)) == (2, 2, 0, 0, 0)
    before = list(db["trending_topics"].rows)
    assert counts(load(db, path)) == (2, 0, 0, 2, 0)
    assert list(db["trending_topics"].rows) == before
    assert [row["topic"] for row in before] == ["AI art", "no"]


def test_times_are_stored_in_utc(
    db: sqlite_utils.Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAILIES_TIMEZONE", "Europe/Berlin")
    load(db, write_json(tmp_path / "topics.json", TOPICS))
    assert list(db["trending_topics"].rows)[1]["timestamp"] == "2025-07-01T10:00:00.000Z"


def test_csv_with_other_names_and_bad_rows(db: sqlite_utils.Database, tmp_path: Path) -> None:
    path = tmp_path / "topics.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [["what", "source", "relevance_score"], ["007", "x", ""], ["hot", "x", "7"]]
        )
    report = load(db, path, rename={"topic": "what"})
    assert counts(report) == (2, 1, 0, 0, 1)
    [row] = db["trending_topics"].rows
    assert row["topic"] == "007"
    [error] = report.errors
    assert "row 2" in error["position"]
    assert "trending_topics.relevance_score: must be a number from 0 to 1" in error["reason"]


@pytest.mark.parametrize(
    ("on_conflict", "expected", "score"),
    [
        ("skip", (1, 0, 0, 1, 0), 0.9),
        ("update", (1, 0, 1, 0, 0), 0.1),
        ("fail", (1, 0, 0, 0, 1), 0.9),
    ],
)
def test_a_stored_row_with_other_content(
    db: sqlite_utils.Database,
    tmp_path: Path,
    on_conflict: str,
    expected: tuple[int, ...],
    score: float,
) -> None:
    load(db, write_json(tmp_path / "topics.json", TOPICS))
    path = write_json(tmp_path / "again.json", [{"id": 1, "relevance_score": 0.1}])
    assert counts(load(db, path, on_conflict=on_conflict)) == expected
    assert next(iter(db["trending_topics"].rows))["relevance_score"] == score


def test_a_dry_run_changes_nothing(db: sqlite_utils.Database, tmp_path: Path) -> None:
    path = write_json(tmp_path / "topics.json", TOPICS)
    assert counts(load(db, path, dry_run=True)) == (2, 2, 0, 0, 0)
    assert db["trending_topics"].count == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"table": "write_context"}, 'trends has no table "write_context"'),
        ({"table": "set_aside; drop table x"}, "has no table"),
        ({"rename": {"nothing": "x"}}, "trending_topics has no column nothing"),
        ({"on_conflict": "merge"}, "on-conflict must be one of skip, update, fail"),
    ],
)
def test_bad_options_are_refused(
    db: sqlite_utils.Database, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    path = write_json(tmp_path / "topics.json", TOPICS)
    with pytest.raises(ValueError, match=message):
        load(db, path, **options)
    assert db["trending_topics"].count == 0


def test_unknown_fields_are_named(db: sqlite_utils.Database, tmp_path: Path) -> None:
    report = load(db, write_json(tmp_path / "topics.json", [{"topic": "a", "colour": "red"}]))
    assert report.errors[0]["reason"] == "trending_topics has no column colour"


@pytest.mark.parametrize("name", ["out.json", "out.ndjson", "out.csv"])
def test_out_and_back(db: sqlite_utils.Database, tmp_path: Path, name: str) -> None:
    load(db, write_json(tmp_path / "topics.json", TOPICS))
    path = tmp_path / name
    assert tables.export_rows("trends", db, path).rows == 2
    assert counts(load(db, path)) == (2, 0, 0, 2, 0)
    with open_database("trends", tmp_path / "other.db") as other:
        assert tables.import_rows("trends", other, [path]).ok
        assert list(other["trending_topics"].rows) == list(db["trending_topics"].rows)


@pytest.mark.parametrize("name", ["out.json", "out.csv"])
def test_verify(db: sqlite_utils.Database, tmp_path: Path, name: str) -> None:
    load(db, write_json(tmp_path / "topics.json", TOPICS))
    path = tmp_path / name
    tables.export_rows("trends", db, path)
    assert tables.verify_rows("trends", db, [path]).as_dict() == {
        "ok": True, "found": 2, "missing": [], "extra": [], "different": [], "errors": [],
    }  # fmt: skip
    db["trending_topics"].update(1, {"topic": "other", "relevance_score": 0.1})
    db["trending_topics"].delete(2)
    db["trending_topics"].insert({"id": 3, "topic": "new", "source": "x"})
    compared = tables.verify_rows("trends", db, [path])
    assert (compared.missing, compared.extra) == (["2"], ["3"])
    [different] = compared.different
    assert different["id"] == "1"
    assert {"$.topic", "$.relevance_score"} <= set(different["paths"])


def test_verify_reports_bad_rows(db: sqlite_utils.Database, tmp_path: Path) -> None:
    path = tmp_path / "topics.ndjson"
    path.write_text('{"colour": "red"}\nno json\n')
    compared = tables.verify_rows("trends", db, [path])
    assert [error["position"] for error in compared.errors] == ["line 1", "line 2"]
    assert compared.errors[0]["reason"] == "trending_topics has no column colour"
