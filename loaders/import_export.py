"""Imports, exports and comparisons: chooses the loader by database, table and kind of file."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from loaders import tables
from loaders.campaigns import files
from loaders.comparison import Comparison
from loaders.connections import Connection, reading, snapshot
from loaders.formats import YOUTUBE_TRENDING
from loaders.formats.atomic_write import ExportReport
from loaders.import_options import DEFAULT_OPTIONS, ImportOptions, import_transaction
from loaders.import_report import ImportReport, unknown_lists
from loaders.registry import database_spec


def import_files(
    name: str,
    db: Connection,
    paths: Iterable[Path],
    options: ImportOptions = DEFAULT_OPTIONS,
) -> ImportReport:
    """Load files into a database; ValueError for options that do not go together."""
    sources = list(paths)
    if options.format == YOUTUBE_TRENDING:
        if name != "metrics":
            raise ValueError(f"{YOUTUBE_TRENDING} files go into metrics, not {name}")
        return run_loader("metrics.youtube_import", db, sources, options)
    folders = [source for source in sources if source.is_dir()]
    if name == "image_library" and folders:
        if len(folders) < len(sources):
            raise ValueError("import folders of images and files of rows separately")
        return run_loader("image_library.image_files", db, sources, options)
    if options.table is not None:
        return import_table(name, db, sources, options)
    return import_tables(name, db, sources, options)


def import_table(
    name: str, db: Connection, paths: Iterable[Path], options: ImportOptions
) -> ImportReport:
    if is_jobs_of_campaigns(name, options.table):
        return files.import_jobs(db, paths, options)
    return tables.import_rows(name, db, paths, options)


def import_tables(
    name: str, db: Connection, paths: Iterable[Path], options: ImportOptions
) -> ImportReport:
    """Import the main table, then the other tables of files that hold several, all or none."""
    report = ImportReport()
    with reading(db) as connection:
        names = tables.served_tables(name, connection)
    with import_transaction(db, names, options, report) as connection:
        options = replace(options, dry_run=False, is_backed_up=True)
        main = import_table(name, connection, paths, options)
        report.add(main)
        report.fail_all(unknown_lists(main.other_lists, name, names))
        for table in names[1:]:
            sources = [path for path, keys in main.other_lists.items() if table in keys]
            if sources:
                one = replace(options, table=table, rename={})
                report.add(import_table(name, connection, sources, one))
    return report


def run_loader(
    module: str, db: Connection, paths: list[Path], options: ImportOptions
) -> ImportReport:
    """Call `load` of a module that is imported only when it is needed, with all its libraries."""
    load = importlib.import_module(f"loaders.{module}").load
    report: ImportReport = load(db, paths, options)
    return report


def is_jobs_of_campaigns(name: str, table: str | None) -> bool:
    """True for the table of campaign jobs, which are documents; other tables have plain rows."""
    return name == "campaigns" and table in (None, database_spec(name).main_table)


def export_files(
    name: str, db: Connection, path: Path, table: str | None = None, format: str | None = None
) -> ExportReport:
    if is_jobs_of_campaigns(name, table):
        return files.export_jobs(db, path, format)
    return tables.export_rows(name, db, path, table, format)


def verify_files(
    name: str, db: Connection, path: Path, table: str | None = None, format: str | None = None
) -> Comparison:
    """Compare a file or folder with the table, or with all tables that the file holds."""
    if table is not None:
        return verify_table(name, db, path, table, format)
    with snapshot(db) as connection:
        names = tables.served_tables(name, connection)
        comparison = verify_table(name, connection, path, None, format)
        others = comparison.other_lists
        comparison.errors += unknown_lists(others, name, names)
        for other in names[1:]:
            if other in others.get(path, ()):
                comparison.add(verify_table(name, connection, path, other, format), other)
    return comparison


def verify_table(
    name: str, db: Connection, path: Path, table: str | None, format: str | None
) -> Comparison:
    if is_jobs_of_campaigns(name, table):
        return files.verify_jobs(db, [path], format)
    return tables.verify_rows(name, db, [path], table, format)
