"""The benchmarks run, and what README and docs/performance.md quote are their results."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import run
from benchmarks.rows import Row, compared, from_dict, replace_between_marks, table

ROOT = Path(__file__).parent.parent.parent


def test_a_row_tells_direction_ratio_and_target() -> None:
    rate = Row("read one", 300, "a second", "more", "PocketBase", least_ratio=1)
    delay = Row("start", 1.25, "s", "less", "Datasette", limit=1.0)
    rows = [*compared(rate, {"PocketBase": 200, "Datasette": 600}), *compared(delay, {})]
    assert table(rows).splitlines() == [
        "|  | Dailies | ratio to | target | met |",
        "| --- | --- | --- | --- | --- |",
        "| read one | 300 a second ↑ | PocketBase 1.5, Datasette 0.5 | PocketBase ≥ 1 | yes |",
        "| start | 1.25 s ↓ |  | ≤ 1 s | **no** |",
    ]
    assert [from_dict(json.loads(json.dumps(row.as_dict()))) for row in rows] == rows


def test_a_missing_peer_leaves_its_target_open() -> None:
    [row] = compared(Row("claim", 5, "a second", "more", "PocketBase", least_ratio=1), {})
    assert (row.ratio, row.target, row.met) == (None, "PocketBase ≥ 1", None)


def test_documents_quote_the_results() -> None:
    report = json.loads(run.RESULTS.read_text())
    for document, text in run.documents(report).items():
        shown = document.read_text()
        assert replace_between_marks(shown, text) == shown, f"not what {run.RESULTS.name} says"


@pytest.mark.process
@pytest.mark.slow
def test_measures_and_writes_json(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    sizes = ["--jobs", "200", "--snapshots", "200", "--seconds", "0.02", "--json", str(path)]
    words = ["--only", "exports", "--only", "filters"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.run", *sizes, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(path.read_text())
    assert (report["jobs"], report["missing"], report["failed"]) == (200, [], [])
    rows = [from_dict(row) for row in report["rows"]]
    assert table(rows) == done.stdout.rstrip("\n")
    assert [row.name for row in rows] == [
        "export NDJSON",
        "export NDJSON: memory",
        "export YAML",
        "filtered list alone, the slowest, p95",
    ]
