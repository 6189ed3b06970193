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
MAX_LINES = {"campaigns": 350, "yt_builder": 300}
MAX_OTHER_LINES = 200
MAX_TRIGGER_LINES = 40

# A migration never changes once it was released: later ones add to it.
DIGESTS = {
    "campaigns": "ebddd214712075524e3dafef12ee0c4dfe8ab906e2346d2350c859882efb15d0",
    "yt_builder": "caa8adf28b799ccee6b735345c65c56fb6004fdc9726de8659790484d189b9d9",
    "presentation_jobs": "961efbc51ba56a5b12b56e4bfe8d21ac3e964f384d92ed5f3c7caf2c37077d81",
    "trends": "5d4f5ad70138e4afc8e3f79f04cc0c64fed54363deb7d453cbd6a55712b2ae36",
    "metrics": "51475fb9f5fe861e979c2ba9356dd512ea9e912ec71eedb4edef6b88d1afd83e",
    "image_library": "46603739867e35bf8c8b07842e981ee4305c21734c0bd24947bae559e61090b7",
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


@pytest.mark.parametrize("name", DATABASES)
def test_no_index_is_partial_or_on_an_expression(tmp_path: Path, name: str) -> None:
    """`sqlite-utils transform` would refuse to drop a column of its table."""
    path = tmp_path / "new.db"
    upgrade.build(name, path)
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(
            """
            select indexes.name
            from sqlite_master as tables
            join pragma_index_list(tables.name) as indexes
            where tables.type = 'table'
              and (
                indexes.partial
                or exists (select 1 from pragma_index_xinfo(indexes.name) where cid = -2)
              )
            """
        )
        assert found.fetchall() == []


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
