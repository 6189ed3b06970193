"""`just bench`: every measurement in one run, as ratios, and the table that the README quotes.

Times differ from machine to machine; ratios of two times of one run do much less.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import campaigns_import
import http_api
import sample_documents

from loaders import open_database
from loaders.campaigns import files

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from server_process import ServerProcess

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- bench -->", "<!-- /bench -->"


def measure_http(jobs: int, requests: int) -> list[dict[str, Any]]:
    """The jobs API beside Datasette's rows, on a table that holds `jobs` jobs already."""
    with tempfile.TemporaryDirectory() as name:
        data_dir = Path(name) / "data"
        data_dir.mkdir()
        sample_documents.write_ndjson(Path(name) / "jobs.ndjson", jobs)
        with open_database("campaigns", data_dir / "campaigns.db") as db:
            files.import_jobs(db, [Path(name) / "jobs.ndjson"])
        with ServerProcess(data_dir) as server:
            return http_api.measure(server, requests, [1, 8], 1000)


def measure(sizes: list[int], requests: int) -> list[dict[str, Any]]:
    results = []
    for jobs in sizes:
        print(f"measuring {jobs:,} jobs ...", file=sys.stderr)
        [result] = campaigns_import.run([jobs])
        result["http"] = measure_http(jobs, requests)
        results.append(result)
    return results


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: one column for each number of jobs."""
    rows = [("", [f"{result['jobs']:,} jobs" for result in results])]
    rows += [
        (label, [cell(result) for result in results])
        for label, cell in (
            ("YAML import / PyYAML's C loader alone", import_ratio),
            ("NDJSON import, jobs a second", ndjson_rate),
            ("peak memory of the YAML and NDJSON import", peak_memory),
            ("change one: single YAML file / database", single_file_ratio),
            ("change one: file per job / database", file_per_job_ratio),
        )
    ]
    rows += [
        (f"API / Datasette: {name}, from 1 and 8 connections", http_cells(results, name))
        for name in http_api.OPERATIONS
    ]
    lines = ["| " + " | ".join([label, *cells]) + " |" for label, cells in rows]
    return "\n".join([lines[0], "|---" * (len(results) + 1) + "|", *lines[1:]])


def import_ratio(result: dict[str, Any]) -> str:
    baseline = result.get("load_with_pyyaml")
    if baseline is None:
        return f"{result['import_yaml']:.0f} s; the loader runs out of memory"
    return f"{result['import_yaml'] / baseline:.2f}"


def ndjson_rate(result: dict[str, Any]) -> str:
    return f"{result['jobs'] / result['import_ndjson']:,.0f}"


def peak_memory(result: dict[str, Any]) -> str:
    return f"{result['import_yaml_mb']} and {result['import_ndjson_mb']} MB"


def single_file_ratio(result: dict[str, Any]) -> str:
    baseline = result.get("change_in_single_file")
    return f"{baseline / result['change_in_database']:,.0f}" if baseline else "out of memory"


def file_per_job_ratio(result: dict[str, Any]) -> str:
    return f"{result['change_in_file_per_job'] / result['change_in_database']:.0f}"


def http_cells(results: list[dict[str, Any]], name: str) -> list[str]:
    return [
        " and ".join(f"{one['ratio']:.1f}" for one in result["http"] if one["operation"] == name)
        for result in results
    ]


def write_readme(text: str) -> None:
    """Put the table between its marks."""
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--requests", type=int, default=300, help="of each kind over HTTP")
    parser.add_argument("--no-readme", action="store_true", help="leave the README as it is")
    options = parser.parse_args()
    results = measure(options.sizes, options.requests)
    print(json.dumps(results, indent=2))
    print(table(results), file=sys.stderr)
    if not options.no_readme:
        write_readme(table(results))


if __name__ == "__main__":
    main()
