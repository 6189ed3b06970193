"""`dailies import`, `export` and `verify`: which loader reads or writes which kind of file."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from loaders import tables
from loaders.campaigns import files
from loaders.connections import Connection
from loaders.formats import documents
from loaders.formats.atomic_write import Exported
from loaders.import_report import ImportReport, Progress
from loaders.registry import database_spec

YOUTUBE_TRENDING = "youtube-trending"
FORMATS = (*documents.FORMATS, YOUTUBE_TRENDING)


def import_files(
    name: str,
    db: Connection,
    paths: Iterable[Path],
    table: str | None = None,
    format: str | None = None,
    on_conflict: str = "skip",
    dry_run: bool = False,
    actor: str | None = None,
    rename: Mapping[str, str] | None = None,
    character: str | None = None,
    progress: Progress | None = None,
) -> ImportReport:
    """Load files; every row is accounted for. ValueError for a combination that means nothing."""
    common: dict[str, Any] = {
        "on_conflict": on_conflict, "dry_run": dry_run, "actor": actor, "progress": progress,
    }  # fmt: skip
    sources = list(paths)
    if format == YOUTUBE_TRENDING:
        if name != "metrics":
            raise ValueError(f"{YOUTUBE_TRENDING} files go into metrics, not {name}")
        report: ImportReport = loader("metrics.youtube_import").load(db, sources, **common)
        return report
    folders = [source for source in sources if source.is_dir()]
    if name == "image_library" and folders:
        if len(folders) < len(sources):
            raise ValueError("folders of images and files of rows take an import each")
        if character is None:
            raise ValueError("a folder of images needs --character, whom they show")
        loaded: ImportReport = loader("image_library.image_files").load(
            db, sources, character, **common
        )
        return loaded
    if is_jobs_of_campaigns(name, table):
        return files.import_jobs(db, sources, format, rename=rename, **common)
    return tables.import_rows(name, db, sources, table, format, rename=rename, **common)


def loader(module: str) -> Any:
    return importlib.import_module(f"loaders.{module}")


def is_jobs_of_campaigns(name: str, table: str | None) -> bool:
    """Campaign jobs are documents; every other table holds rows as they stand."""
    return name == "campaigns" and table in (None, database_spec(name).main_table)


def export_files(
    name: str, db: Connection, path: Path, table: str | None = None, format: str | None = None
) -> Exported:
    if is_jobs_of_campaigns(name, table):
        return files.export_jobs(db, path, format)
    return tables.export_rows(name, db, path, table, format)
