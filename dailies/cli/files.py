"""Commands for files: import, export, verify."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from dailies.cli.options import NAME, TIMEZONE, Output, command
from dailies.cli.parameters import (
    PATH,
    STANDARD_INPUT,
    naming_standard_input,
    readable,
)
from loaders import open_database
from loaders.conflicts import POLICIES
from loaders.formats import FORMATS, IMPORT_FORMATS
from loaders.registry import database_spec


@click.command("import")
@NAME
@click.argument("paths", nargs=-1, required=True, type=PATH)
@click.option(
    "--table", help="Table to import into. Default: the main table, and others that a file names."
)
@click.option("--format", type=click.Choice(IMPORT_FORMATS), help="Default: by file name suffix.")
@click.option(
    "--map",
    "mappings",
    multiple=True,
    metavar="COLUMN=FIELD",
    help="Read COLUMN from this field of the files; repeatable.",
)
@click.option("--character", help="Character shown by a folder of images (image_library).")
@click.option(
    "--on-conflict",
    type=click.Choice(POLICIES),
    default="skip",
    show_default=True,
    help="What to do with a row that is stored already with different content.",
)
@click.option("--dry-run", is_flag=True, help="Print the report without changing anything.")
@TIMEZONE
@command
def import_files(
    name: str, paths: tuple[Path, ...], mappings: tuple[str, ...], **options: Any
) -> Output:
    """Import files into a database, and report every row that was not stored.

    Rows are read from YAML, JSON, NDJSON, CSV and TSV; campaigns also from a folder with one YAML
    file per job. A YAML or JSON file may hold several tables, as lists named after them. Image
    folders need --character. The path - is standard input, which needs --format.
    """
    from dailies.cli.progress import row_counter
    from loaders.import_export import import_files
    from loaders.import_options import ImportOptions

    rename = parse_mappings(mappings)
    check_table(name, options["table"])
    with (
        readable(paths, options["format"]) as (sources, file),
        closing(open_database(name)) as db,
        row_counter(name) as progress,
    ):
        settings = ImportOptions(actor="import", rename=rename, progress=progress, **options)
        report = import_files(name, db, sources, settings).as_dict()
        naming_standard_input(report["errors"], file)
    return Output(report, report_lines(report))


def check_table(name: str, table: str | None) -> None:
    known = database_spec(name).tables
    if table is not None and table not in known:
        raise ValueError(f'{name} has no table "{table}": choose from {", ".join(known)}')


def check_suffix(path: Path, format: str | None) -> None:
    """UsageError for a new file whose suffix names no format."""
    from loaders.formats.files import SUFFIXES

    if path == STANDARD_INPUT:
        raise click.UsageError("name a file: - is standard input, which cannot be written")
    if format is None and path.suffix and not path.exists() and path.suffix.lower() not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise click.UsageError(f"{path} has none of the suffixes {known}: add --format")


def parse_mappings(mappings: Iterable[str]) -> dict[str, str]:
    """Column -> field of the files."""
    pairs = {}
    for mapping in mappings:
        column, equals, field = mapping.partition("=")
        if not (column and equals and field):
            raise click.UsageError(f'--map needs COLUMN=FIELD, not "{mapping}"')
        pairs[column] = field
    return pairs


def report_lines(report: Mapping[str, Any]) -> Iterator[str]:
    for error in report["errors"]:
        key = f" ({error['id']})" if error["id"] else ""
        yield f"{error['source']}: {error['position']}{key}: {error['reason']}"
    counts = ("found", "imported", "updated", "skipped", "failed")
    yield ", ".join(f"{report[count]} {count}" for count in counts)
    if report["backup"]:
        yield f"backed up to {report['backup']}"


@click.command()
@NAME
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--table", help="Table to export. Default: the main table of the database.")
@click.option("--format", type=click.Choice(FORMATS), help="Default: by file name suffix.")
@command
def export(name: str, path: Path, table: str | None, format: str | None) -> Output:
    """Write rows of a table to a file, or jobs to a folder of YAML files with a manifest.

    An existing file is kept under another name.
    """
    from loaders.import_export import export_files

    check_table(name, table)
    check_suffix(path, format)
    with closing(open_database(name)) as db:
        report = export_files(name, db, path, table, format)
    lines = [f"{report.rows} rows written to {report.path}"]
    if report.backup:
        lines.append(f"the existing file is now {report.backup}")
    return Output(report.as_dict(), lines)


@click.command()
@NAME
@click.argument("path", type=PATH)
@click.option("--table", help="Table to compare. Default: the main table of the database.")
@click.option("--format", type=click.Choice(FORMATS), help="Default: by file name suffix.")
@command
def verify(name: str, path: Path, table: str | None, format: str | None) -> Output:
    """Compare a file or folder with a table, and list every difference.

    The path - is standard input, which needs --format.
    """
    from loaders.import_export import verify_files

    check_table(name, table)
    with readable([path], format) as ([source], file), closing(open_database(name)) as db:
        report = verify_files(name, db, source, table, format).as_dict()
        naming_standard_input(report["errors"], file)
    return Output(report, comparison_lines(report))


def comparison_lines(report: Mapping[str, Any]) -> Iterator[str]:
    from loaders.checks import shortened

    yield from (f"missing in the database: {key}" for key in report["missing"])
    yield from (f"missing in the file: {key}" for key in report["extra"])
    for job in report["different"]:
        yield f"different: {job['id']}: {shortened(job['paths'])}"
    for error in report["errors"]:
        yield f"{error['source']}: {error['position']}: {error['reason']}"
    yield f"{report['found']} compared" + (", all equal" if report["ok"] else "")
