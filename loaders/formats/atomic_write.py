"""Writes exports: to a file beside the target, synced, then renamed. The old file is kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loaders.backups import free_name, second_name, sync
from loaders.formats.csv import PLAIN, Cells
from loaders.formats.files import detect_format, write
from loaders.formats.folder import JOBS, MANIFEST_NAME, Summary, write_document, write_folder
from loaders.times import file_stamp


@dataclass
class ExportReport:
    """What an export wrote; `backup` is the new name of the file that was there before."""

    path: str
    rows: int = 0
    backup: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return {"ok": True, **asdict(self)}


def write_export(
    path: Path,
    rows: Iterable[dict[str, Any]],
    format: str | None,
    list_key: str,
    text_fields: frozenset[str] = frozenset(),
    cells: Cells = PLAIN,
    summary: Summary | None = None,
) -> ExportReport:
    """Write `rows` to a file, or to a folder with one YAML file for each row.

    It is a folder if `path` is one, or has no suffix and no format is named. With `summary` it gets
    a manifest.
    """
    manifest: dict[str, Any] = {}
    report = ExportReport(str(path))
    counted = count_rows(rows, report)
    partial = free_name(path.with_name(f".{path.name}.partial"))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        if path.is_dir() or (format is None and not path.suffix):
            manifest = write_folder(partial, counted, text_fields, summary)
            if manifest and path.name != JOBS:
                write_document(partial / MANIFEST_NAME, manifest)
        else:
            chosen = format or detect_format(path)
            write(partial, counted, chosen, list_key, text_fields, cells)
            sync(partial)
        backup = back_up_existing(path)
        partial.replace(path)
        if manifest and path.name == JOBS:
            write_manifest_beside(path, manifest)
    except BaseException:
        remove(partial)
        raise
    sync(path.parent)
    report.backup = str(backup) if backup else None
    return report


def write_manifest_beside(folder: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest where earlier programs look for it; an existing one is kept."""
    target = folder.with_name(MANIFEST_NAME)
    partial = free_name(target.with_name(f".{target.name}.partial"))
    for entry in manifest.values():
        entry["file_path"] = f"{folder.name}/{entry['file_path']}"
    write_document(partial, manifest)
    sync(partial)
    back_up_existing(target)
    partial.rename(target)


def count_rows(rows: Iterable[dict[str, Any]], report: ExportReport) -> Iterator[dict[str, Any]]:
    for row in rows:
        report.rows += 1
        yield row


def back_up_existing(path: Path) -> Path | None:
    """Give what is at `path` a second name, and return that; a folder loses its first name."""
    if not path.exists():
        return None
    backup = free_name(path.with_name(f"{path.name}.backup-{file_stamp()}"))
    if path.is_dir():
        path.rename(backup)
    else:
        second_name(path, backup)
    return backup


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
