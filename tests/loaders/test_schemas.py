"""The schemas are short, and do not change after a release."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from loaders import upgrade
from loaders.migrations import script
from loaders.registry import DATABASES

# The lines that `.schema` may print, with the tables of search indexes and migrations.
# To do: image_library in 200 lines as well.
MAX_LINES = {"campaigns": 350, "yt_builder": 300, "image_library": 260}
MAX_OTHER_LINES = 200
MAX_TRIGGER_LINES = 40

# A migration never changes once it was released: later ones add to it.
DIGESTS = {
    "campaigns": "a54d53e9e67be561091d7be7546e06eeb432a0d6b807a7d4a27247822fd9bbb5",
    "yt_builder": "3304e97e91449f577f2c48da8577da8ac3a7f421079bd57040de50a18d6879da",
    "presentation_jobs": "672d1c76df51876045c7906e9d6a5f66ae020385a0a5c60a37ae7372e62d728d",
    "trends": "843c4d6ffd17a759286a481319ec0c87466a05ea6bd49ab3d84a3c26aa3f1003",
    "metrics": "2499a0e5675475d5fc7a8bd48214b3719ae05f2873d076fe78676631a4c92205",
}


@pytest.mark.parametrize("stem", DIGESTS)
def test_a_released_migration_stays_as_it_is(stem: str) -> None:
    content = (script.FOLDER / stem / "m001_create.sql").read_bytes()
    assert hashlib.sha256(content).hexdigest() == DIGESTS[stem]


@pytest.mark.parametrize("name", DATABASES)
def test_a_schema_can_be_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / "new.db"
    upgrade.build(name, path)
    with closing(sqlite3.connect(path)) as connection:
        triggers = connection.execute("select name, sql from sqlite_master where type = 'trigger'")
        long = [name for name, sql in triggers if len(sql.splitlines()) > MAX_TRIGGER_LINES]
    assert long == []
    stem = DATABASES[name].stem
    assert schema_lines(path) <= MAX_LINES.get(stem, MAX_OTHER_LINES)


def schema_lines(path: Path) -> int:
    """The lines that `.schema` prints, counted without the sqlite3 shell where there is none."""
    if shutil.which("sqlite3"):
        printed = subprocess.run(
            ["sqlite3", str(path), ".schema"], check=True, capture_output=True, text=True
        )
        return len(printed.stdout.splitlines())
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("select sql from sqlite_master where sql is not null")
        return sum(len(sql.splitlines()) for (sql,) in rows)
