"""Exports of every table that are imported into an empty database and into the same one."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlite_utils

from dailies.cli import samples
from drill.case import Run, case
from loaders import open_database, tables
from loaders.formats import FORMATS
from loaders.import_export import export_files, import_files
from loaders.import_options import ImportOptions
from loaders.registry import DATABASES

DATA = "data"  # of campaign jobs, whose keys have no order in CSV


@case("every table is exported and imported, in every format")
def exports(run: Run) -> None:
    for folder in run.repeat(1):
        for name in DATABASES:
            with closing(open_database(name, folder / f"{name}.db")) as db:
                samples.add(name, db.conn)
                for format_ in FORMATS[:: 3 if run.quick else 1]:
                    again(run, name, db, folder / format_)


def again(run: Run, name: str, db: sqlite_utils.Database, folder: Path) -> None:
    """Export and import the tables of one database; count the rows that are not the same."""
    before = rows_of(name, db)
    with closing(open_database(name, folder / f"{name}.db")) as empty:
        for table in before:
            path = folder / name / f"{table}.{folder.name}"
            export_files(name, db, path, table)
            options = ImportOptions(table=table, actor="import")
            for target in (db, empty):
                report = import_files(name, target, [path], options)
                assert report.ok, f"{path.name}: {report.errors[:1]}"
        for target in (db, empty):
            after = rows_of(name, target)
            run.tries += len(before)
            run.lost += sum(row not in after[table] for table in before for row in before[table])
            assert {table: len(rows) for table, rows in after.items()} == {
                table: len(rows) for table, rows in before.items()
            }


def rows_of(name: str, db: sqlite_utils.Database) -> dict[str, list[dict[str, Any]]]:
    found = {table: list(db[table].rows) for table in tables.served_tables(name, db.conn)}
    for row in found["jobs"] if name == "campaigns" else []:
        row[DATA] = json.loads(row[DATA])
    return found
