"""Import and export of many jobs, the size of the file, and what loops without any of ours take."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import yaml

from benchmarks import documents
from benchmarks.rows import Row
from benchmarks.workspace import Workspace, run_command

YAML_JOBS = 5_000  # that PyYAML writes, which takes 0.5 ms each


def imports(work: Workspace) -> Iterator[Row]:
    """Into an empty and into a full database, beside one `executemany` into a bare table."""
    source, count = work.jobs_file, work.jobs
    database = work.data_dir / "campaigns.db"  # imports
    bare = count / seconds(lambda: bare_import(source, work.folder / "bare.db"))
    yield per_second("import NDJSON, empty table", count, work.first_import.seconds, bare, 40_000)
    yield Row(
        "import NDJSON, empty table: memory",
        work.first_import.megabytes,
        "MB",
        "less",
        limit=100,
    )
    size = database.stat().st_size / source.stat().st_size
    yield Row("file, of the size of its NDJSON", size, "times", "less", limit=2.5)
    full = work.folder / "full" / "data"
    full.mkdir(parents=True)
    shutil.copy(database, full)
    other = documents.write_ndjson(work.folder / "other.ndjson", count, first=count)
    done = run_command(full, "import", "campaigns", other)
    yield per_second("import NDJSON, full table", count, done.seconds, bare, 20_000)
    yield Row("import NDJSON, full table: memory", done.megabytes, "MB", "less", limit=100)
    shutil.rmtree(full)
    other.unlink()


def exports(work: Workspace) -> Iterator[Row]:
    """As NDJSON and YAML, beside writing what the column `data` holds, and PyYAML."""
    database, count = work.data_dir / "campaigns.db", work.jobs
    out = work.folder / "export.ndjson"
    done = run_command(work.data_dir, "export", "campaigns", out)
    bare = count / seconds(lambda: bare_export(database, out))
    yield per_second("export NDJSON", count, done.seconds, bare, 100_000)
    yield Row("export NDJSON: memory", done.megabytes, "MB", "less")
    out = work.folder / "export.yaml"
    done = run_command(work.data_dir, "export", "campaigns", out)
    out.unlink()
    jobs = list(documents.jobs(min(count, YAML_JOBS)))
    dumped = len(jobs) / seconds(lambda: yaml.dump(jobs, Dumper=yaml.CSafeDumper))
    yield per_second("export YAML", count, done.seconds, dumped, 20_000, peer="PyYAML")


def per_second(
    name: str, count: int, took: float, theirs: float, limit: float, peer: str = "a bare loop"
) -> Row:
    return Row(name, count / took, "a second", "more", peer, theirs, limit=limit)


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def bare_import(source: Path, path: Path) -> None:
    """The least that an import does: parse each line, and store id and document."""
    with closing(sqlite3.connect(path)) as connection, source.open() as lines:
        connection.execute("create table jobs (id text primary key, data text)")
        rows = ((json.loads(line)["id"], line) for line in lines)
        connection.executemany("insert into jobs values (?, ?)", rows)
        connection.commit()
    path.unlink()


def bare_export(database: Path, path: Path) -> None:
    with closing(sqlite3.connect(database)) as connection, path.open("w") as file:
        found = connection.execute("select data from jobs order by rowid")
        while rows := list(islice(found, 1000)):
            file.writelines(f"{data}\n" for (data,) in rows)
    path.unlink()
