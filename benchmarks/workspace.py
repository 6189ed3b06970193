"""What measurements share: a folder, the jobs, and servers that are started when first needed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from server_process import COMMAND, ServerProcess, environment

from benchmarks import documents, peers
from benchmarks.load import Target, request

FEW_JOBS = 10_000
OURS, POCKETBASE, DATASETTE = "Dailies", "PocketBase", "Datasette"

T = TypeVar("T")
Request = Callable[[int], tuple[Any, ...]]


@dataclass(frozen=True)
class Done:
    """What a command took: seconds, and the peak memory of its processes in MB (0: unknown)."""

    seconds: float
    megabytes: float


@dataclass
class Workspace:
    """The folder of one run, and its sizes."""

    folder: Path
    jobs: int
    snapshots: int
    seconds: float = 1.0  # of each round of requests
    stack: ExitStack = field(default_factory=ExitStack)
    missing: list[str] = field(default_factory=list)  # peers, and why

    def __post_init__(self) -> None:
        self._new = count(10**9)  # numbers of jobs that do not exist yet
        self.copied_file = self.folder / "copy.db"

    @cached_property
    def jobs_file(self) -> Path:
        return documents.write_ndjson(self.folder / "jobs.ndjson", self.jobs)

    @cached_property
    def data_dir(self) -> Path:
        """The six files, with the jobs in campaigns; `copied_file` is for others."""
        data_dir = self.folder / "ours" / "data"
        data_dir.mkdir(parents=True)
        self.jobs_file  # noqa: B018 - to write it is not a part of the import
        run_command(data_dir, "build")
        self.first_import = run_command(data_dir, "import", "campaigns", self.jobs_file)
        shutil.copy(data_dir / "campaigns.db", self.copied_file)
        return data_dir

    @cached_property
    def server(self) -> ServerProcess:
        return self._started(OURS, lambda: ServerProcess(self.data_dir))

    @cached_property
    def token(self) -> str:
        return self.server.token("root")

    @cached_property
    def datasette(self) -> int:
        self.data_dir  # noqa: B018 - makes the copy
        log = self.folder / "datasette.log"
        return self._started(DATASETTE, lambda: peers.datasette([self.copied_file], log))

    @cached_property
    def pocketbase(self) -> int | None:
        """Its port; None if it cannot be had."""
        try:
            folder = self.folder / "pocketbase"
            return self._started(POCKETBASE, lambda: peers.pocketbase(folder, self.jobs))
        except Exception as error:  # noqa: BLE001 - whatever it is, ours is measured
            self.missing.append(f"PocketBase, and every row beside it: {error}")
            return None

    @cached_property
    def small_server(self) -> ServerProcess:
        """A server with few jobs."""
        data_dir = self.folder / "small" / "data"
        data_dir.mkdir(parents=True)
        file = documents.write_ndjson(self.folder / "small.ndjson", FEW_JOBS)
        run_command(data_dir, "import", "campaigns", file)
        return self._started("Dailies with few jobs", lambda: ServerProcess(data_dir))

    def targets(
        self,
        ours: Request,
        *,
        pocketbase: Request | None = None,
        datasette: Callable[[int], str] | None = None,
    ) -> dict[str, Target]:
        """Requests by number for each server: method, path and maybe a body; of Datasette paths."""
        token = self.token
        found = {OURS: Target(self.server.port, lambda n: request(*ours(n), token=token))}
        if pocketbase is not None and self.pocketbase is not None:
            found[POCKETBASE] = Target(self.pocketbase, lambda n: request(*pocketbase(n)))
        if datasette is not None:
            found[DATASETTE] = Target(self.datasette, lambda n: request("GET", datasette(n)))
        return found

    def new_job(self) -> dict[str, Any]:
        return documents.job(next(self._new))

    def old_number(self, n: int) -> int:
        """The number of one of the jobs, another for each `n`."""
        return n * 7919 % self.jobs

    def _started(self, name: str, start: Callable[[], AbstractContextManager[T]]) -> T:
        print(f"starting {name} ...", file=sys.stderr, flush=True)
        return self.stack.enter_context(start())


def run_command(data_dir: Path, *args: str | Path) -> Done:
    """Run a `dailies` command in a process of its own; RuntimeError if it fails."""
    began = time.perf_counter()
    with (data_dir.parent / "command.log").open("wb+") as log:
        process = subprocess.Popen(
            [COMMAND, *map(str, args)],
            cwd=data_dir.parent,
            env=environment(data_dir),
            stdout=log,
            stderr=log,
        )
        megabytes = peak_memory(process)
        seconds = time.perf_counter() - began
        if process.returncode:
            log.seek(0)
            raise RuntimeError(f"dailies {args}: {log.read().decode()[-1000:]}")
    return Done(seconds, megabytes)


def peak_memory(process: subprocess.Popen[bytes]) -> float:
    """Wait for the end; the most memory that the process and its children have held, in MB.

    Resource usage of an ended child does not tell: it counts what the parent held at the fork.
    """
    peaks: dict[int, float] = {}
    while process.poll() is None:
        for pid in (process.pid, *children(process.pid)):
            peaks[pid] = max(peaks.get(pid, 0.0), memory(pid, "VmHWM"))
        try:
            process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
    return sum(peaks.values())


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def memory(pid: int, name: str) -> float:
    """A field of /proc/PID/status in MB; 0 where there is no such file."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(name)), 0.0)
