"""How long the server takes for our pages beside plain Datasette's, on the same files.

    python benchmarks/pages.py [--jobs 1000000] [--snapshots 5000000] [--data-dir DIR]

Plain Datasette is the same version with no plugin, template or setting of ours. The home page is
measured against its pages of the six databases, the jobs table against its page of that table. Each
ratio is of two medians, of servers that take turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import metrics
import sample_documents

from loaders import open_database
from loaders.campaigns import files
from loaders.registry import DATABASES

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from server_process import ServerProcess, free_port, run_dailies

DATASETTE = Path(sys.executable).with_name("datasette")
JOBS_PAGE = "/campaigns/jobs"


def fill(data_dir: Path, jobs: int, snapshots: int, videos: int = 5_000) -> None:
    """The sample rows, but this many campaign jobs and snapshots."""
    data_dir.mkdir(parents=True, exist_ok=True)
    metrics.fill(data_dir / "metrics.db", snapshots, videos)
    source = data_dir / "jobs.ndjson"
    sample_documents.write_ndjson(source, jobs)
    with open_database("campaigns", data_dir / "campaigns.db") as db:
        files.import_jobs(db, [source])
    source.unlink()
    run_dailies(data_dir, "build", "--sample")


@contextmanager
def plain_datasette(data_dir: Path) -> Iterator[str]:
    """The address of a server without anything of ours, whose databases bear their files' names."""
    port = free_port()
    files = [str(data_dir / spec.filename) for spec in DATABASES.values()]
    with (data_dir.parent / "plain.log").open("wb") as log:
        process = subprocess.Popen(
            [DATASETTE, "serve", *files, "--port", str(port)], stdout=log, stderr=log
        )
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(address, process)
            yield address
        finally:
            process.terminate()
            process.wait()


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            httpx2.get(f"{address}/-/versions.json", timeout=60)
        except httpx2.TransportError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("plain Datasette did not start")


def milliseconds(client: httpx2.Client, addresses: list[str], times: int) -> list[float]:
    """What the middle one of the answers of each took; they take turns, after one that warms up."""
    found: list[list[float]] = [[] for _ in addresses]
    for _ in range(times + 1):
        for place, address in enumerate(addresses):
            began = time.perf_counter()
            client.get(address).raise_for_status()
            found[place].append(1000 * (time.perf_counter() - began))
    return [statistics.median(took[1:]) for took in found]


def measure(data_dir: Path, times: int) -> dict[str, Any]:
    with ExitStack() as stack:
        plain = stack.enter_context(plain_datasette(data_dir))
        ours = stack.enter_context(ServerProcess(data_dir)).url
        client = stack.enter_context(httpx2.Client(timeout=60, trust_env=False))
        databases = [f"{plain}/{name}" for name in DATABASES]
        home, *pages = milliseconds(client, [f"{ours}/", *databases], times)
        table, plain_table = milliseconds(client, [ours + JOBS_PAGE, plain + JOBS_PAGE], times)
    return {
        "home_ms": home,
        "plain_database_ms": dict(zip(DATABASES, pages, strict=True)),
        "home_ratio": {name: home / page for name, page in zip(DATABASES, pages, strict=True)},
        "jobs_ms": table,
        "plain_jobs_ms": plain_table,
        "jobs_ratio": table / plain_table,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--snapshots", type=int, default=500_000)
    parser.add_argument("--times", type=int, default=20, help="requests of each page")
    parser.add_argument("--data-dir", type=Path, help="measure these databases instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data_dir = options.data_dir or Path(folder) / "data"
        if options.data_dir is None:
            fill(data_dir, options.jobs, options.snapshots)
        print(json.dumps(measure(data_dir, options.times), indent=2))


if __name__ == "__main__":
    main()
