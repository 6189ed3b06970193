"""Upgrade of an earlier system's campaigns, beside a backup and the same columns by plain SQL."""

from __future__ import annotations

import json
import lzma
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import yaml

from benchmarks import documents
from benchmarks.files import seconds
from benchmarks.rows import Row
from benchmarks.workspace import Workspace, run_command
from loaders.campaigns.normal_form import SEARCHED
from loaders.migrations import script

MAX_JOBS = 20_000
LEGACY = Path(__file__).parent.parent / "tests" / "data" / "legacy"
OLD_FILE, OLD_YAML = LEGACY / "campaigns_v1.db.xz", LEGACY / "campaigns_main_sorted.yaml.xz"
NEW_COLUMNS = {
    "campaign_type": "campaignType", "avatar_id": "avatarId", "script_id": "scriptId",
    "avatar_video_path": "avatarVideo", "script_file": "example_script_file",
    "use_overlay": "useOverlay",
    "automated_video_editing_enabled": "automated_video_editing_enabled",
    "useExactScript": "useExactScript",
}  # fmt: skip


def measure(work: Workspace) -> Iterator[Row]:
    data_dir, count = work.folder / "upgrade" / "data", min(work.jobs, MAX_JOBS)
    data_dir.mkdir(parents=True)
    old, copy = data_dir / "campaigns.db", data_dir.parent / "copy.db"
    write_old_file(old, count)
    shutil.copy(old, copy)
    theirs = seconds(lambda: plain_sql(copy))
    took = run_command(data_dir, "build", "campaigns").seconds
    shutil.rmtree(data_dir.parent)
    yield Row(
        "upgrade of an old file",
        took,
        "s",
        "less",
        "plain SQL",
        theirs,
        least_ratio=0.5,
        note=f"{count:,} jobs of 10 kB",
    )


def write_old_file(path: Path, count: int) -> None:
    """A file of the first system, with jobs of about 10 kB."""
    path.write_bytes(lzma.decompress(OLD_FILE.read_bytes()))
    templates = yaml.load(lzma.decompress(OLD_YAML.read_bytes()), yaml.CSafeLoader)["jobs"]
    with closing(sqlite3.connect(path)) as connection:
        names = [name for _, name, *_ in connection.execute("pragma table_info(jobs)")]
        connection.execute("delete from jobs")
        sql = f"insert into jobs ({', '.join(names)}) values ({', '.join('?' * len(names))})"
        for number in range(count):
            job = {**templates[number % len(templates)], "id": documents.identifier(number)}
            values = {**job, "updated_at": job.get("created_at"), "data": json.dumps(job)}
            connection.execute(sql, [values.get(name) for name in names])
        connection.commit()


def plain_sql(path: Path) -> None:
    """A backup, and the new columns, indexes and search index without more."""
    with closing(sqlite3.connect(path)) as connection:
        with closing(sqlite3.connect(path.with_suffix(".backup"))) as backup:
            connection.backup(backup)
        for column in NEW_COLUMNS:
            connection.execute(f"alter table jobs add column {column}")
        connection.execute("alter table jobs add column created_instant INTEGER")
        values = ", ".join(
            f"{column} = coalesce(data ->> '$.{column}', data ->> '$.{other}')"
            for column, other in NEW_COLUMNS.items()
        )
        instant = "created_instant = 1000 * strftime('%s', created_at)"
        connection.execute(f"update jobs set {values}, {instant}")
        for statement in script.statements("campaigns"):
            if statement.kind == "index" and " on jobs " in statement.sql:
                connection.execute(
                    statement.sql.replace("create index", "create index if not exists")
                )
        fts = f"fts5 ({', '.join(SEARCHED)}, content=jobs)"
        connection.execute(f"create virtual table plain_fts using {fts}")
        connection.execute("insert into plain_fts (plain_fts) values ('rebuild')")
        connection.commit()
