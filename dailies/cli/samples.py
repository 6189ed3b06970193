"""The sample rows that `dailies build --sample` adds to a database that never had any.

Their newest time is that of the build, so that queries about the last days show something.
"""

from __future__ import annotations

import json
import re
import sqlite3
import tempfile
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from dailies.home import HOME
from loaders import tables
from loaders.campaigns import files
from loaders.connections import acting_as, has_rows
from loaders.import_options import ImportOptions
from loaders.registry import database_spec

SAMPLES = HOME / "samples"
TIME = re.compile(r"(?P<date>20\d\d-\d\d-\d\d)(?P<between>[T ])(?P<time>\d\d:\d\d:\d\d)", re.ASCII)


def add(name: str, connection: sqlite3.Connection) -> int:
    """Add the sample rows unless the database has or had rows; the number of rows added."""
    if had_rows(name, connection):
        return 0
    if name == "campaigns":
        return add_campaigns(connection)
    return add_tables(name, connection)


def had_rows(name: str, connection: sqlite3.Connection) -> bool:
    """True if a served table has rows, or numbered rows that were deleted since."""
    served = database_spec(name).tables
    if any(has_rows(connection, table) for table in served):
        return True
    if not connection.execute("select 1 from pragma_table_list('sqlite_sequence')").fetchone():
        return False
    numbered = {table for (table,) in connection.execute("select name from sqlite_sequence")}
    return not numbered.isdisjoint(served)


def add_campaigns(connection: sqlite3.Connection) -> int:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "campaigns.yaml"
        file.write_text(text_of(file.name), encoding="utf-8")
        return files.import_jobs(connection, [file], ImportOptions(actor="sample")).imported


def add_tables(name: str, connection: sqlite3.Connection) -> int:
    """Add the rows of `samples/NAME.json`, which maps tables to rows."""
    document = json.loads(text_of(f"{name}.json"))
    for row in document.get("image_library", ()):
        add_image_file(row)
    with acting_as(connection, "sample"):
        for table, rows in document.items():
            target = tables.Table(connection, table)
            for row in rows:
                target.insert({column: tables.to_sql(value) for column, value in row.items()})
    return sum(map(len, document.values()))


def add_image_file(row: dict[str, Any]) -> None:
    """Draw the image of a row of `image_library`, and let the row describe the file."""
    from dailies.cli import sample_images  # here: Pillow is slow to load

    file = sample_images.draw(row)
    row["file_size_bytes"] = file.stat().st_size
    row["width"], row["height"] = sample_images.size_of(file)


def text_of(filename: str) -> str:
    """A sample file, with its times moved by as much as all of them."""
    text = (SAMPLES / filename).read_text(encoding="utf-8")
    return TIME.sub(moved, text)


def moved(found: re.Match[str]) -> str:
    later = time_of(found) + shift()
    return f"{later:%Y-%m-%d}{found['between']}{later:%H:%M:%S}"


def time_of(found: re.Match[str]) -> datetime:
    return datetime.fromisoformat(f"{found['date']}T{found['time']}")


@cache
def shift() -> timedelta:
    """From the newest time of all sample files until now."""
    texts = (path.read_text(encoding="utf-8") for path in SAMPLES.iterdir())
    newest = max(time_of(found) for text in texts for found in TIME.finditer(text))
    now = datetime.now(UTC).replace(tzinfo=None)
    return timedelta(seconds=int((now - newest).total_seconds()))
