"""A whole life of a database, as a user drives it: `just smoke`.

Build, import, serve, read, write with a token, kill -9, start again, export, compare. Each step
prints one line; the first that fails ends the run with exit code 1.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

# In place of this folder, whose folders have the names of our packages.
sys.path[0] = str(Path(__file__).parent / "support")

from server_process import ServerProcess, run_dailies

SAMPLES = Path(__file__).parent.parent / "samples" / "campaigns.yaml"
SAMPLE_JOBS = 12
JOB = {"id": "smoke-1", "job_name": "Smoke – Räucherspeck 🔥", "product": "Bacon"}


class SmokeError(Exception):
    pass


def expect(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise SmokeError(f"{what}: {found!r} instead of {wanted!r}")
    print(f"ok  {what}")


def dailies(data_dir: Path, *args: str | Path) -> dict[str, Any]:
    """Run a command with --json: its document, with its exit code as `exit`."""
    done: subprocess.CompletedProcess[str] = run_dailies(data_dir, *args, "--json")
    try:
        document: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise SmokeError(f"dailies {args[0]}: no JSON document: {done.stderr}") from None
    return document | {"exit": done.returncode}


def fill(data_dir: Path) -> None:
    expect("build", dailies(data_dir, "build")["exit"], 0)
    first = dailies(data_dir, "import", "campaigns", SAMPLES)
    expect("import", (first["imported"], first["failed"]), (SAMPLE_JOBS, 0))
    again = dailies(data_dir, "import", "campaigns", SAMPLES)
    expect("import again", (again["imported"], again["exit"]), (0, 0))


def read(server: ServerProcess) -> None:
    expect("home page", server.request("GET", "/").status_code, 200)
    table = server.request("GET", "/campaigns/jobs.json?_search=matcha&_shape=array")
    expect("search in jobs", (table.status_code, len(table.json())), (200, 2))
    statistics = server.request("GET", "/campaigns/job_statistics.json?_shape=array")
    expect("canned query", statistics.json()[0]["total_jobs"], SAMPLE_JOBS)


def write(server: ServerProcess) -> None:
    refused = server.request("POST", "/api/campaigns", json=JOB)
    expect("write without a token", refused.status_code, 401)
    token = server.token("worker", "create-job")
    created = server.request("POST", "/api/campaigns", json=JOB, token=token)
    expect("write with a token", created.status_code, 201)


def survive(server: ServerProcess) -> None:
    server.kill9()
    server.restart()
    found = server.request("GET", f"/api/campaigns/{JOB['id']}").json()["rows"][0]
    expect("the job after kill -9", {key: found[key] for key in JOB}, JOB)


def take_out(data_dir: Path) -> None:
    exported = data_dir.parent / "campaigns.yaml"
    expect("export", dailies(data_dir, "export", "campaigns", exported)["exit"], 0)
    expect("verify", dailies(data_dir, "verify", "campaigns", exported)["exit"], 0)
    expect("check", dailies(data_dir, "check")["exit"], 0)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder) / "data"
        try:
            fill(data_dir)
            with ServerProcess(data_dir) as server:
                read(server)
                write(server)
                survive(server)
            take_out(data_dir)
        except (SmokeError, RuntimeError) as error:
            print(f"FAILED  {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
