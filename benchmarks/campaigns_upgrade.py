"""Upgrade of an old campaigns file against a backup and the same columns and indexes by SQL."""

from __future__ import annotations

import json
import lzma
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import sample_documents
import yaml

from loaders.campaigns.normal_form import SEARCHED
from loaders.migrations import script
from loaders.upgrade import build

OLD_SCHEMA = """
create table jobs (
  id TEXT PRIMARY KEY, job_name TEXT NOT NULL, product TEXT, persona TEXT, setting TEXT,
  emotion TEXT, hook TEXT, elevenlabs_voice_id TEXT, language TEXT DEFAULT 'English',
  brand_name TEXT, enabled BOOLEAN DEFAULT 1, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, data TEXT NOT NULL
)
"""
OLD_COLUMNS = (
    "id", "job_name", "product", "persona", "setting", "emotion", "hook", "elevenlabs_voice_id",
    "language", "brand_name", "enabled", "created_at",
)  # fmt: skip
NEW_COLUMNS = {
    "campaign_type": "campaignType", "avatar_id": "avatarId", "script_id": "scriptId",
    "avatar_video_path": "avatarVideo", "script_file": "example_script_file",
    "use_overlay": "useOverlay",
    "automated_video_editing_enabled": "automated_video_editing_enabled",
    "useExactScript": "useExactScript",
}  # fmt: skip


def write_old_file(path: Path, jobs: int) -> None:
    """A file of seed 000's first version, its jobs of about 10 kB."""
    text = lzma.decompress(sample_documents.TEMPLATE.read_bytes())
    templates = yaml.load(text, yaml.CSafeLoader)["jobs"]
    marks = ", ".join("?" * (len(OLD_COLUMNS) + 1))
    sql = f"insert into jobs ({', '.join(OLD_COLUMNS)}, data) values ({marks})"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(OLD_SCHEMA)
        for number in range(jobs):
            job = {**templates[number % len(templates)], "id": sample_documents.identifier(number)}
            values = [job.get(column) for column in OLD_COLUMNS]
            connection.execute(sql, [*values, json.dumps(job)])
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
                connection.execute(statement.sql)
        connection.execute(
            f"create virtual table jobs_fts using fts5 ({', '.join(SEARCHED)}, content=jobs)"
        )
        connection.execute("insert into jobs_fts (jobs_fts) values ('rebuild')")
        connection.commit()


def upgrade(path: Path) -> None:
    build("campaigns", path)


def seconds(work: Callable[[Path], None], path: Path) -> dict[str, float]:
    """Of the clock, and of the processor, which other programs disturb less."""
    began, worked = time.perf_counter(), time.process_time()
    work(path)
    return {"clock": time.perf_counter() - began, "processor": time.process_time() - worked}


def run(jobs: int) -> dict[str, Any]:
    """Seconds of both, and their ratios."""
    with tempfile.TemporaryDirectory() as name:
        old, copy = Path(name) / "old.db", Path(name) / "copy.db"
        write_old_file(old, jobs)
        shutil.copy(old, copy)
        os.sync()  # what is still to be written of them is nobody's work
        baseline, ours = seconds(plain_sql, copy), seconds(upgrade, old)
    ratios = {name: ours[name] / baseline[name] for name in ours}
    return {"jobs": jobs, "plain_sql": baseline, "upgrade": ours, "ratio": ratios}


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000), indent=2))
