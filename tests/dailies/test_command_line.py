"""What commands print, and where; arguments that several commands share."""

from __future__ import annotations

import csv
import io
import json
import time
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console
from server_process import RunDailies

from dailies.auth import tokens
from dailies.cli.tables import lines_of, print_table
from loaders import campaigns, open_database

ROWS = [
    {"id": "a", "job_name": "First\nline\x1b[31m", "enabled": True, "brand": None, "n": 1.5},
    {"id": "b", "job_name": "[bold]x", "tags": ["ü"], "brand": None},
]


def table(rows: list[dict[str, object]], width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    print_table(rows, console)
    return console.file.getvalue()


def test_rows_for_other_programs_are_one_line_each() -> None:
    assert list(lines_of(ROWS)) == [
        "id a, job_name First\\nline\\u001b[31m, enabled true, n 1.5",
        'id b, job_name [bold]x, tags ["ü"]',
    ]


def test_rows_on_a_terminal_are_a_table() -> None:
    lines = [line.rstrip() for line in table(ROWS).splitlines()]
    assert lines[1].split() == ["id", "job_name", "enabled", "n", "tags"]
    assert lines[3].split() == ["a", "First\\nline\\u001b[31m", "true", "1.5"]
    assert lines[4].split() == ["b", "[bold]x", '["ü"]']
    narrow = table(ROWS, width=24)
    assert "not shown: enabled, n, tags (see --json)" in " ".join(narrow.split())
    assert "brand" not in narrow
    assert table([]) == "no rows\n"


def test_one_row_on_a_terminal_stands_upright() -> None:
    lines = [line.split() for line in table(ROWS[1:]).splitlines() if line.strip()]
    assert lines == [["id", "b"], ["job_name", "[bold]x"], ["tags", '["ü"]']]


def test_results_go_to_standard_output(samples: Path, run_dailies: RunDailies) -> None:
    for words in (
        "jobs list campaigns", "jobs list yt-builder --where status=completed", "info", "check",
        "vacuum", "recover", "backup --to backups", "build", "token --list", "jobs trash",
        "jobs history campaigns spring", "cleanup yt-builder --days 9999", "verify campaigns out",
        "export trends trends.tsv", "import campaigns out",
    ):  # fmt: skip
        if words.startswith("verify"):
            assert run_dailies("export", "campaigns", "out").returncode == 0
        result = run_dailies(*words.split())
        assert result.stderr == "" or "There was never a job" in result.stderr, words
        as_json = run_dailies(*words.split(), "--json")
        assert json.loads(as_json.stdout)["ok"] is (as_json.returncode == 0), words
    listed = run_dailies("jobs", "list", "campaigns", "--limit", "5")
    assert len(listed.stdout.splitlines()) == 5


# Standard input, TSV


@pytest.mark.parametrize("format", ["yaml", "json", "ndjson", "csv", "tsv"])
def test_standard_input(samples: Path, run_dailies: RunDailies, format: str) -> None:
    file = samples.parent / f"jobs.{format}"
    assert run_dailies("export", "campaigns", file).returncode == 0
    text = file.read_bytes().decode()
    other = {"CAMPAIGNS_DB_PATH": "other.db"}
    done = run_dailies(
        "import", "campaigns", "-", "--format", format, "--json", stdin=text, **other
    )
    assert json.loads(done.stdout)["imported"] == 12, done.stdout
    compared = run_dailies("verify", "campaigns", "-", "--format", format, stdin=text, **other)
    assert (compared.returncode, compared.stdout) == (0, "12 compared, all equal\n")
    broken = run_dailies("import", "trends", "-", "--format", "json", stdin='[{"topic": 1}, {')
    assert broken.returncode == 1
    assert "\n-: " in f"\n{broken.stdout}"
    assert "standard-input" not in broken.stdout


def test_standard_input_needs_a_format(data_dir: Path, run_dailies: RunDailies) -> None:
    result = run_dailies("import", "campaigns", "-", stdin="[]")
    assert (result.returncode, result.stdout) == (2, "")
    assert "standard input has no suffix: name its format by --format" in result.stderr
    twice = run_dailies("import", "campaigns", "-", "-", "--format", "json", stdin="[]")
    assert (twice.returncode, "only once" in twice.stderr) == (2, True)
    assert list(data_dir.iterdir()) == []


def test_tsv(data_dir: Path, run_dailies: RunDailies) -> None:
    file = data_dir.parent / "jobs.tsv"
    file.write_text('id\tjob_name\thook\na\t007, 008\t"two\tparts ""x"""\nb\tno\t5" nail\n')
    done = run_dailies("import", "campaigns", file, "--json")
    assert json.loads(done.stdout)["imported"] == 2
    with closing(open_database("campaigns")) as db:
        jobs = {job["id"]: job for job in campaigns.list_jobs(db)}
    assert (jobs["a"]["job_name"], jobs["a"]["hook"]) == ("007, 008", 'two\tparts "x"')
    assert (jobs["b"]["job_name"], jobs["b"]["hook"]) == ("no", '5" nail')
    unnamed = data_dir.parent / "unnamed"
    unnamed.write_bytes(file.read_bytes())
    assert run_dailies("verify", "campaigns", unnamed).returncode == 0
    assert run_dailies("export", "campaigns", "again.tsv").returncode == 0
    with (data_dir.parent / "again.tsv").open(newline="") as again:
        rows = list(csv.DictReader(again, dialect="excel-tab"))
    assert {row["id"]: row["hook"] for row in rows} == {
        "a": 'two\tparts "x"', "b": '5" nail',
    }  # fmt: skip


# Usage


USAGE = {
    "import campaigns missing.yaml": "missing.yaml: No such file or directory",
    "import campaigns data missing.yaml": "missing.yaml: No such file or directory",
    "import image_library missing --character x": "missing: No such file or directory",
    "verify campaigns missing.yaml": "missing.yaml: No such file or directory",
    "restore campaigns missing.db": "missing.db: No such file or directory",
    "import campaigns data --format xml": "'xml' is not one of 'yaml', 'json', 'ndjson', 'csv', "
    "'tsv', 'youtube-trending'.",
    "export campaigns - --format json": "name a file: - is standard input, which cannot be",
    "export campaigns x.xml": "x.xml has none of the suffixes .yaml, .yml, .json, .ndjson, "
    ".jsonl, .csv, .tsv: add --format",
    "jobs list builds": 'unknown database "builds": choose from campaigns, yt-builder, presen',
    "token worker --can fly": 'there is no action "fly": choose from create-job, update-job,',
    "token worker --expires-after soon": '"soon" is no duration: write 3600, 30m, 12h, 1d or 2w',
    "token worker --expires-after 0d": "must be at least 1 second",
    "token worker --expires-after -5": '"-5" is no duration',
    "token worker --expires-after 1d5": '"1d5" is no duration',
}


@pytest.mark.parametrize("words", USAGE)
def test_wrong_usage_exits_with_2(data_dir: Path, run_dailies: RunDailies, words: str) -> None:
    result = run_dailies(*words.split())
    assert (result.returncode, result.stdout) == (2, "")
    assert USAGE[words] in " ".join(result.stderr.split()), result.stderr
    assert list(data_dir.iterdir()) == []


@pytest.mark.parametrize(
    "words", ["export trends x.json", "import trends x.json", "verify trends data"]
)
def test_unknown_tables_and_columns(data_dir: Path, run_dailies: RunDailies, words: str) -> None:
    result = run_dailies(*words.split(), "--table", "nope")
    choices = "trending_topics, search_history, set_aside"
    assert (result.returncode, result.stdout, result.stderr) == (
        1, "", f'Error: trends has no table "nope": choose from {choices}\n',
    )  # fmt: skip
    listed = run_dailies("jobs", "list", "yt-builder", "--where", "colour=red")
    assert listed.returncode == 1
    known = "use one of job_id, run_id, run_dir, status, progress,"
    assert listed.stderr.startswith(f'Error: unknown parameter "colour": {known}')


# Tokens


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("45s", 45), ("30m", 1800), ("12h", 43_200), ("1d", 86_400), ("1d12h", 129_600)],
)
def test_durations(data_dir: Path, run_dailies: RunDailies, text: str, seconds: int) -> None:
    assert run_dailies("token", "worker", "--expires-after", text).returncode == 0
    [token] = tokens.list_tokens()
    assert token.expires_at is not None
    assert token.expires_at - token.created_at == seconds
    assert token.created_at <= time.time()


def test_a_token_for_an_actor_without_permission(data_dir: Path, run_dailies: RunDailies) -> None:
    warning = "Warning: metadata.yml gives nobody no permission: the token only reads"
    for actor, warned in {
        "nobody": True,
        "worker": False,
        "root": False,
        "anonymous": True,
    }.items():
        result = run_dailies("token", actor)
        assert (result.returncode, len(result.stdout.splitlines())) == (0, 1)
        assert ("Warning: metadata.yml gives" in result.stderr) is warned, actor
    assert warning in run_dailies("token", "nobody", "--json").stderr
