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
    "campaigns/m001_create.sql": "ebddd214712075524e3dafef12ee0c4dfe8ab906",
    "campaigns/m002_parts_of_words.sql": "ebe3a049fa5521270593d9e94b60b1825598c625",
    "campaigns/m003_list_indexes.sql": "f8922514fb22abbd8298a0bdfe16bf1721359708",
    "image_library/m001_create.sql": "46603739867e35bf8c8b07842e981ee4305c2173",
    "metrics/m001_create.sql": "51475fb9f5fe861e979c2ba9356dd512ea9e912e",
    "presentation_jobs/m001_create.sql": "961efbc51ba56a5b12b56e4bfe8d21ac3e964f38",
    "presentation_jobs/m002_late_completion.sql": "c64bd926203729eea154e4e241a9fe4995098843",
    "presentation_jobs/m003_attempts.sql": "729d22f8f4c5228ad8062d4fcc3c99e8e696868d",
    "trends/m001_create.sql": "5d4f5ad70138e4afc8e3f79f04cc0c64fed54363",
    "yt_builder/m001_create.sql": "caa8adf28b799ccee6b735345c65c56fb6004fdc",
    "yt_builder/m002_late_completion.sql": "44435884c26dfbce14af65a8485c075e89d3313c",
    "yt_builder/m003_attempts.sql": "db198dce2bacc7b864f28183f68a85e0fda68511",
}


def test_a_released_migration_stays_as_it_is() -> None:
    found = {
        str(path.relative_to(script.FOLDER)): hashlib.sha256(path.read_bytes()).hexdigest()[:40]
        for path in script.FOLDER.glob("*/m*.sql")
    }
    assert found == DIGESTS


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
