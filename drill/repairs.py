"""Commands of sqlite-utils that drop triggers, columns or tables, which the next build restores."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import sqlite_utils
from click.testing import CliRunner
from sqlite_utils.cli import cli

from dailies.cli import samples
from drill.case import Run, case
from loaders import checks, open_database, schema, upgrade
from loaders.connections import quoted
from loaders.registry import DATABASES

UPDATING = ("convert", "upsert --alter")  # of which triggers keep times and logs
Rows = dict[str, list[str]]
SCRATCH = ("write_context", "job_replaced", "jobs_before", "pending_changes")  # of triggers
SHELL = shutil.which("sqlite3")


class Target(NamedTuple):
    """A table, its key, and a column that is neither a key nor refers to one."""

    path: str
    table: str
    key: list[str]
    column: str


Arguments = Callable[[Target], list[str]]

# Commands that leave the rows as they are.
KEEPING: dict[str, Arguments] = {
    "transform": lambda at: ["transform", at.path, at.table],
    "transform --type": lambda at: ["transform", at.path, at.table, "--type", at.column, "text"],
    "transform --default": lambda at: [
        *("transform", at.path, at.table, "--default", at.column, "other")
    ],
    "transform --column-order": lambda at: [
        *("transform", at.path, at.table, "--column-order", at.column)
    ],
    "transform --strict": lambda at: ["transform", at.path, at.table, "--strict"],
    "enable-fts": lambda at: ["enable-fts", at.path, at.table, at.column],
    "enable-fts --replace": lambda at: ["enable-fts", at.path, at.table, at.column, "--replace"],
    "enable-fts --create-triggers": lambda at: [
        *("enable-fts", at.path, at.table, at.column, "--replace", "--create-triggers")
    ],
    "disable-fts": lambda at: ["disable-fts", at.path, at.table],
    "rebuild-fts": lambda at: ["rebuild-fts", at.path],
    "add-column": lambda at: ["add-column", at.path, at.table, "remark", "text"],
    "add-foreign-keys": lambda at: [
        *("add-foreign-key", at.path, at.table, at.column, "set_aside", "id")
    ],
    "index-foreign-keys": lambda at: ["index-foreign-keys", at.path],
    "create-index": lambda at: ["create-index", at.path, at.table, at.column],
    "convert": lambda at: ["convert", at.path, at.table, at.column, "value"],
    "enable-counts": lambda at: ["enable-counts", at.path, at.table],
    "optimize": lambda at: ["optimize", at.path],
    "vacuum": lambda at: ["vacuum", at.path],
    "analyze-tables": lambda at: ["analyze-tables", at.path, at.table, "--save"],
    "duplicate": lambda at: ["duplicate", at.path, at.table, "copied"],
    "upsert --alter": lambda at: [
        *("upsert", at.path, at.table, "-", "--alter"),
        *(part for name in at.key for part in ("--pk", name)),
    ],
    "insert --ignore": lambda at: [
        *("insert", at.path, at.table, "-", "--ignore"),
        *(part for name in at.key for part in ("--pk", name)),
    ],
}

REMOVING_ROWS = ("drop-table", "rename-table", "create-table --replace")

# Commands that take columns or a table away: the definition comes back, other rows stay.
REMOVING: dict[str, Arguments] = {
    "transform --drop": lambda at: ["transform", at.path, at.table, "--drop", at.column],
    "transform --rename": lambda at: ["transform", at.path, at.table, "--rename", at.column, "x"],
    "transform --pk": lambda at: ["transform", at.path, at.table, "--pk", at.column],
    "extract": lambda at: ["extract", at.path, at.table, at.column],
    "drop-table": lambda at: ["drop-table", at.path, at.table],
    "rename-table": lambda at: ["rename-table", at.path, at.table, "renamed"],
    "create-table --replace": lambda at: [
        *("create-table", at.path, at.table, "id", "integer", "--replace")
    ],
}


@case("sqlite-utils changes a schema, and a build restores it")
def sqlite_utils_commands(run: Run) -> None:
    step = 97 if run.quick else 1
    for folder in run.repeat(1):
        for number, (name, table, command) in enumerate(attempts()):
            if number % step == 0:
                path = sample(name, folder)
                if apply(path, table, command):
                    run.tries += 1
                    restored(path, name, command, table)
                path.unlink()


@case("a dump of the sqlite3 shell is restored, and a build follows", quick=bool(SHELL))
def dumps(run: Run) -> None:
    for folder in run.repeat(1):
        for name in DATABASES:
            path = sample(name, folder)
            dump = subprocess.run([str(SHELL), path, ".dump"], check=True, capture_output=True)
            path.unlink()
            subprocess.run([str(SHELL), path], check=True, input=dump.stdout)
            restored(path, name, "dump")


def attempts() -> Iterator[tuple[str, str, str]]:
    """Every command on every table of every database."""
    for name in DATABASES:
        found = schema.reference(name).values()
        for table in (one.name for one in found if one.kind == "table" and not one.is_virtual):
            for command in (*KEEPING, *REMOVING):
                yield name, table, command


def sample(name: str, folder: Path) -> Path:
    """A new copy of the database with its sample rows."""
    original = folder / f"{name}.db"
    if not original.exists():
        with closing(open_database(name, original)) as db:
            samples.add(name, db.conn)
    for copied in folder.glob("copy.db*"):
        copied.unlink()
    return Path(shutil.copy(original, folder / "copy.db"))


def apply(path: Path, table: str, command: str) -> bool:
    """Run the command; False if sqlite-utils itself refuses it."""
    with closing(sqlite_utils.Database(path)) as db:
        db.conn.execute("pragma wal_checkpoint(truncate)")
        columns = db[table].columns
        key = db[table].pks
        column = next((one.name for one in columns if one.name not in key), columns[-1].name)
        row = next(iter(db[table].rows), {})
    if command in ("upsert --alter", "insert --ignore") and not row:
        return False
    arguments = {**KEEPING, **REMOVING}[command](Target(str(path), table, key, column))
    extra = {"remark": "new"} if command == "upsert --alter" else {}
    done = CliRunner().invoke(cli, arguments, input=json.dumps([{**row, **extra}], default=str))
    return done.exit_code == 0


def restored(path: Path, name: str, command: str, table: str = "") -> None:
    """AssertionError unless a build makes the file right, with all rows that it could keep."""
    label = f"{command} of {name} {table}"
    before = rows_of(path.with_name(f"{name}.db"), name)
    upgrade.build(name, path)
    with closing(sqlite3.connect(path)) as connection:
        assert schema.differences(name, connection).labels == [], label
    after = rows_of(path, name)
    if command not in REMOVING:
        changed = [one for one in before if not is_kept(command, before[one], after.get(one, []))]
        assert changed == [], f"{label}: the rows of {changed} changed"
    elif command not in REMOVING_ROWS:
        aside = len(after["set_aside"]) - len(before["set_aside"])
        assert len(after.get(table, ())) + aside >= len(before.get(table, ())), (
            f"{label}: rows gone"
        )
    if command in KEEPING:
        assert checks.check(name, path) == [], label
    assert upgrade.build(name, path).repaired == [], label


def is_kept(command: str, before: list[str], after: list[str]) -> bool:
    return len(after) >= len(before) if command in UPDATING else after == before


def rows_of(path: Path, name: str) -> Rows:
    """The rows of every table of ours, of the columns that are ours."""
    tables = [one for one in schema.reference(name).values() if one.kind == "table"]
    with closing(sqlite3.connect(path)) as connection:
        return {
            one.name: sorted(map(repr, connection.execute(select_all(one))))
            for one in tables
            if not one.is_virtual and one.name not in SCRATCH
        }


def select_all(table: schema.SchemaObject) -> str:
    columns = ", ".join(map(quoted, schema.columns_of(table)))
    return f"select {columns} from {quoted(table.name)}"
