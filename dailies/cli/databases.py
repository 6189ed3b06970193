"""Commands for whole databases: build, check, info, vacuum, backup, restore."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dailies.cli.options import NAME, NAMES, TIMEZONE, Output, command, for_each
from dailies.cli.parameters import PATH, require_files
from loaders import open_database
from loaders.registry import DATABASES, database_path

if TYPE_CHECKING:
    from dailies.cli.build import BuildReport


@click.command()
@NAMES
@click.option("--sample", is_flag=True, help="Add sample rows to databases that never had rows.")
@click.option("--reset", is_flag=True, help="Back up, delete and recreate. Needs --yes.")
@click.option("--yes", is_flag=True, help="Confirm --reset, which deletes all rows.")
@TIMEZONE
@command
def build(names: tuple[str, ...], sample: bool, reset: bool, yes: bool) -> Output:
    """Create, upgrade and repair databases.

    A file is backed up beside itself before it is upgraded or repaired.
    """
    if reset and not yes:
        raise click.UsageError("--reset deletes all rows: add --yes to confirm")
    reports = [build_one(name, sample, reset) for name in names or DATABASES]
    return Output(
        {"ok": all(one.ok for one in reports), "databases": [one.as_dict() for one in reports]},
        [line for one in reports for line in build_lines(one)],
        [f"Error: {one.error}" for one in reports if one.error],
    )


def build_one(
    name: str, sample: bool = False, reset: bool = False, check_seconds: float = math.inf
) -> BuildReport:
    from dailies.cli.build import build
    from dailies.cli.progress import progress_bar

    with progress_bar(name) as progress:
        return build(name, sample, reset, progress, check_seconds)


def build_lines(report: BuildReport) -> Iterator[str]:
    from dailies.cli.files import report_lines

    if not report.error:
        yield from report.lines()
    if report.imported:
        yield from report_lines(report.imported)


@click.command()
@NAMES
@TIMEZONE
@command
def check(names: tuple[str, ...]) -> Output:
    """Check databases and report problems, without changing anything."""
    from loaders import checks

    found = {name: checks.examine(name, database_path(name)) for name in names or DATABASES}
    problems = {name: findings.problems for name, findings in found.items()}
    notes = {name: findings.notes for name, findings in found.items()}
    lines = [f"{name}: {line}" for name, lines in problems.items() for line in lines]
    lines += [f"{name}: note: {line}" for name, lines in notes.items() for line in lines]
    lines += [f"{name}: no problems found" for name, lines in problems.items() if not lines]
    document = {"ok": not any(problems.values()), "problems": problems, "notes": notes}
    return Output(document, lines)


@click.command()
@NAMES
@command
def info(names: tuple[str, ...]) -> Output:
    """Show path, size, pages, rows and schema version, and files of an earlier system."""
    from loaders.info import describe

    found, errors = for_each(names or DATABASES, describe)
    return Output(
        {"ok": not errors, "databases": list(found.values()), "errors": errors},
        [
            f"{name}: {key.replace('_', ' ')}: {value}"
            for name, facts in found.items()
            for key, value in facts.items()
            if key != "name"
        ],
        [f"Error: {error}" for error in errors],
    )


@click.command()
@NAMES
@command
def vacuum(names: tuple[str, ...]) -> Output:
    """Free unused disk space and update the statistics of the query planner."""
    from loaders.info import vacuum

    def vacuum_one(name: str) -> dict[str, int]:
        with closing(open_database(name)) as db:
            return vacuum(db)

    sizes, errors = for_each(names or DATABASES, vacuum_one)
    return Output(
        {"ok": not errors, "databases": sizes, "errors": errors},
        [
            f"{name}: {size['size_before']:,} bytes before, {size['size_after']:,} after"
            for name, size in sizes.items()
        ],
        [f"Error: {error}" for error in errors],
    )


@click.command()
@NAMES
@click.option(
    "--to", "folder", required=True, type=click.Path(path_type=Path), help="Folder to copy to."
)
@command
def backup(names: tuple[str, ...], folder: Path) -> Output:
    """Copy databases to a folder, also while they are in use, and check each copy."""
    from dailies.cli.progress import progress_bar
    from loaders.backups import back_up_file

    def copy_one(name: str) -> str:
        with progress_bar(name) as progress:
            return str(back_up_file(name, database_path(name), folder, progress))

    wanted = names or [name for name in DATABASES if database_path(name).exists()]
    copies, errors = for_each(wanted, copy_one)
    return Output(
        {"ok": not errors, "backups": copies, "errors": errors},
        [f"{name}: {path}" for name, path in copies.items()],
        [f"Error: {error}" for error in errors],
    )


@click.command()
@NAME
@click.argument("file", type=PATH)
@command
def restore(name: str, file: Path) -> Output:
    """Replace a database with a backup, which is checked first.

    The replaced database is kept under another name. Stop the server before.
    """
    from loaders.restore import restore

    require_files(file)
    kept = restore(name, database_path(name), file)
    lines = [f"{name}: restored from {file}"]
    if kept:
        lines.append(f"{name}: the replaced database is now {kept}")
    return Output({"ok": True, "name": name, "kept": str(kept) if kept else None}, lines)
