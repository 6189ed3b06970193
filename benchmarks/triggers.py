"""What the triggers of campaigns cost: inserts into our schema and into plain ones.

The plain ones have the same tables and indexes. One has a trigger that sets each column by
`data ->> '$.column'`, writes to the search index and adds a version to the history; the other, for
flat rows, one that writes to the search index alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks import documents
from benchmarks.files import seconds
from benchmarks.rows import Row
from benchmarks.workspace import Workspace
from loaders import open_database, schema
from loaders.campaigns.normal_form import COLUMNS, SEARCHED
from loaders.connections import connect

MAX_JOBS = 100_000
SEARCH = f"""
  insert into jobs_fts (rowid, {", ".join(SEARCHED)})
  select rowid, {", ".join(SEARCHED)} from jobs where rowid = new.rowid;
"""
PROJECT = f"""
create trigger jobs_ai after insert on jobs begin
  update jobs set {", ".join(f"{column} = data ->> '$.{column}'" for column in COLUMNS)}
  where rowid = new.rowid;
  {SEARCH}
  insert into job_history (job_id, version, operation, changed_at, data)
  select new.id, 1 + coalesce(max(version), 0), 'insert', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
    new.data
  from job_history where job_id = new.id;
end
"""
SEARCH_ONLY = f"create trigger jobs_ai after insert on jobs begin {SEARCH} end"


def measure(work: Workspace) -> Iterator[Row]:
    folder, count = work.folder / "triggers", min(work.jobs, MAX_JOBS)
    folder.mkdir()
    file = documents.write_ndjson(folder / "jobs.ndjson", count)
    for name, trigger in (("data", PROJECT), ("flat", SEARCH_ONLY)):
        open_database("campaigns", folder / f"{name}.db").close()
        create_plain(folder / f"{name}_plain.db", trigger)
    theirs = count / insert_data(folder / "data_plain.db", file)
    ours = count / insert_data(folder / "data.db", file)
    yield Row(
        "insert (id, data) through the triggers",
        ours,
        "a CPU second",
        "more",
        "plain triggers",
        theirs,
        least_ratio=0.75,
    )
    theirs = count / seconds(lambda: insert_flat(folder / "flat_plain.db", file))
    ours = count / seconds(lambda: insert_flat(folder / "flat.db", file))
    yield Row(
        "insert flat rows with sqlite-utils",
        ours,
        "a second",
        "more",
        "search triggers only",
        theirs,
        least_ratio=0.4,
    )


def create_plain(path: Path, trigger: str) -> None:
    path.touch()
    with closing(connect(path)) as connection:
        for one in schema.reference("campaigns").values():
            if one.kind in ("table", "index") and one.name != "jobs_trigrams":
                connection.execute(one.sql)
        connection.execute(trigger)


def insert_data(path: Path, file: Path) -> float:
    """Seconds of the processor."""
    rows = [(json.loads(line)["id"], line) for line in file.read_text().splitlines()]
    with closing(connect(path)) as connection:
        began = time.process_time()
        connection.execute("begin")
        connection.executemany("insert into jobs (id, data) values (?, ?)", rows)
        connection.execute("commit")
        return time.process_time() - began


def insert_flat(path: Path, file: Path) -> None:
    command = ["sqlite_utils", "insert", str(path), "jobs", str(file), "--nl", "--pk", "id"]
    subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True)
