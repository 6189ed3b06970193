"""Import of campaign files against what reading them alone takes, and the flat files of seed 001.

Each measurement runs in a process of its own, so that its peak memory is its own too.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import sample_documents
import yaml

from loaders import campaigns, open_database
from loaders.campaigns import files


def import_yaml(folder: Path) -> float:
    return timed_import(folder, "jobs.yaml")


def import_ndjson(folder: Path) -> float:
    return timed_import(folder, "jobs.ndjson")


def timed_import(folder: Path, name: str) -> float:
    with closing(open_database("campaigns", folder / f"{name}.db")) as db:
        began = time.perf_counter()
        report = files.import_jobs(db, [folder / name])
        seconds = time.perf_counter() - began
    if not report.ok or not report.imported:
        raise SystemExit(f"the import failed: {report.as_dict()}")
    return seconds


def load_with_pyyaml(folder: Path) -> float:
    began = time.perf_counter()
    with (folder / "jobs.yaml").open("rb") as file:
        yaml.load(file, yaml.CSafeLoader)
    return time.perf_counter() - began


def change_in_single_file(folder: Path) -> float:
    """Seed 001's way: load all, change one, save all (with libyaml, which it did without)."""
    path = folder / "jobs.yaml"
    began = time.perf_counter()
    with path.open("rb") as file:
        document = yaml.load(file, yaml.CSafeLoader)
    document["jobs"][len(document["jobs"]) // 2]["product"] = "changed"
    with (folder / "saved.yaml").open("w") as file:
        yaml.dump(document, file, yaml.CSafeDumper)
    return time.perf_counter() - began


def change_in_file_per_job(folder: Path) -> float:
    """Seed 001's option 2: load one file, change it, save it; the manifest left out."""
    path = folder / "one.yaml"
    with (folder / "jobs.yaml").open() as file:
        lines = [next(file) for _ in range(1000)]
    end = next(i for i, line in enumerate(lines[2:], 2) if line.startswith("- "))
    path.write_text("".join(line[2:] for line in lines[1:end]))
    began = time.perf_counter()
    for _ in range(20):
        job = yaml.safe_load(path.read_text())
        job["product"] = "changed"
        path.write_text(yaml.safe_dump(job))
    return (time.perf_counter() - began) / 20


def change_in_database(folder: Path) -> float:
    with closing(open_database("campaigns", folder / "jobs.yaml.db")) as db:
        ids = [job["id"] for job in campaigns.list_jobs(db, campaigns.JobFilter(limit=200))]
        began = time.perf_counter()
        for job_id in ids:
            campaigns.update_job(db, job_id, {"product": "changed"})
        return (time.perf_counter() - began) / len(ids)


MEASUREMENTS: dict[str, Callable[[Path], float]] = {
    function.__name__: function
    for function in (
        load_with_pyyaml,
        import_yaml,
        import_ndjson,
        change_in_single_file,
        change_in_file_per_job,
        change_in_database,
    )
}


# What holds the whole file in memory takes some 350 kB a job.
WHOLE_FILE = ("load_with_pyyaml", "change_in_single_file")
MOST_IN_MEMORY = 20_000


def measure(name: str, folder: Path) -> tuple[float, float]:
    """Seconds, and the peak memory of the process in MB."""
    command = [sys.executable, __file__, name, str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result = json.loads(done.stdout)
    return result["seconds"], result["megabytes"]


def run(sizes: list[int]) -> list[dict[str, Any]]:
    """One row of results for each number of jobs."""
    rows = []
    for jobs in sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            sample_documents.write_yaml(folder / "jobs.yaml", jobs)
            sample_documents.write_ndjson(folder / "jobs.ndjson", jobs)
            row: dict[str, Any] = {"jobs": jobs, "bytes": (folder / "jobs.yaml").stat().st_size}
            for measurement in MEASUREMENTS:
                if jobs > MOST_IN_MEMORY and measurement in WHOLE_FILE:
                    continue
                row[measurement], row[f"{measurement}_mb"] = measure(measurement, folder)
            rows.append(row)
    return rows


def main() -> None:
    name, folder = sys.argv[1:]
    seconds = MEASUREMENTS[name](Path(folder))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "megabytes": round(peak)}), flush=True)
    os._exit(0)  # without the minutes it takes to free what the baselines hold


if __name__ == "__main__":
    main()
