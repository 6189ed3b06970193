"""Imports, exports and comparisons: chooses the loader by database, table and kind of file."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path

from loaders import tables
from loaders.campaigns import files
from loaders.comparison import Comparison
from loaders.connections import Connection
from loaders.formats import YOUTUBE_TRENDING
from loaders.formats.atomic_write import ExportReport
from loaders.import_options import DEFAULT_OPTIONS, ImportOptions
from loaders.import_report import ImportReport
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
    if is_jobs_of_campaigns(name, options.table):
        return files.import_jobs(db, sources, options)
    return tables.import_rows(name, db, sources, options)


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
    """Compare a file or folder with the database."""
    if is_jobs_of_campaigns(name, table):
        return files.verify_jobs(db, [path], format)
    return tables.verify_rows(name, db, [path], table, format)
