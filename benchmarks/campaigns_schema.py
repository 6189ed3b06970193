"""What the triggers of campaigns cost, and how large the file is, as ratios of one run.

References have the same tables and indexes. Inserts of `data` are compared with a trigger that sets
each column by `data ->> '$.column'`, writes to the search index and adds a version to the history;
inserts of flat rows with one that writes to the search index alone.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import sample_documents

from loaders import open_database, schema
from loaders.campaigns.normal_form import COLUMNS, SEARCHED
from loaders.connections import connect

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


def create_reference(path: Path, trigger: str) -> None:
    path.touch()
    with closing(connect(path)) as connection:
        for one in schema.reference("campaigns").values():
            if one.kind in ("table", "index") and one.name != "jobs_trigrams":
                connection.execute(one.sql)
        connection.execute(trigger)


def create_database(path: Path) -> None:
    open_database("campaigns", path).close()


def insert_data(path: Path, lines: list[str]) -> float:
    rows = [(json.loads(line)["id"], line) for line in lines]
    with closing(connect(path)) as connection:
        began = time.process_time()
        connection.execute("begin")
        connection.executemany("insert into jobs (id, data) values (?, ?)", rows)
        connection.execute("commit")
        return time.process_time() - began


def insert_flat(path: Path, file: Path) -> float:
    """Seconds that `sqlite-utils insert` takes for an NDJSON file."""
    command = ["sqlite_utils", "insert", str(path), "jobs", str(file), "--nl", "--pk", "id"]
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", *command], check=True)
    return time.perf_counter() - began


def size_ratio(path: Path, file: Path) -> float:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
    return path.stat().st_size / file.stat().st_size


def run(jobs: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "jobs.ndjson"
        sample_documents.write_ndjson(file, jobs)
        lines = file.read_text().splitlines()
        create_database(folder / "data.db")
        create_reference(folder / "data_reference.db", PROJECT)
        create_database(folder / "flat.db")
        create_reference(folder / "flat_reference.db", SEARCH_ONLY)
        reference = insert_data(folder / "data_reference.db", lines)
        ours = insert_data(folder / "data.db", lines)
        flat_reference = insert_flat(folder / "flat_reference.db", file)
        flat = insert_flat(folder / "flat.db", file)
        result = {
            "jobs": jobs,
            "insert_data_rate": reference / ours,
            "insert_flat_time": flat / flat_reference,
            "file_size": size_ratio(folder / "data.db", file),
        }
        with closing(sqlite3.connect(folder / "data.db")) as connection:
            connection.execute("vacuum")
        result["file_size_after_vacuum"] = size_ratio(folder / "data.db", file)
        return result


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000), indent=2))
