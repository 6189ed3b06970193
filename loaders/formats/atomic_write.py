"""Writing files: beside the target, made durable, renamed into place; what was there is kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loaders.backups import free_name, sync
from loaders.formats import documents
from loaders.times import file_stamp


@dataclass
class Exported:
    """How many rows went to `path`, and where the file that was there before is now."""

    path: str
    rows: int
    backup: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return {"ok": True, **asdict(self)}


class Counted:
    """Rows that are counted as they pass."""

    def __init__(self, rows: Iterable[dict[str, Any]]) -> None:
        self.rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row in self.rows:
            self.count += 1
            yield row


def write_beside(
    path: Path,
    rows: Iterable[dict[str, Any]],
    format: str | None,
    list_key: str,
    text_fields: frozenset[str] = frozenset(),
) -> Exported:
    """Write `rows` to the file `path`, or to a folder of one YAML file a row.

    A folder is meant when `path` is one, or has no suffix and no format is named. `text_fields` are
    those that are read as text.
    """
    counted = Counted(rows)
    partial = free_name(path.with_name(f".{path.name}.partial"))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        if path.is_dir() or (format is None and not path.suffix):
            documents.write_folder(partial, counted, text_fields)
        else:
            chosen = format or documents.detect_format(path)
            documents.write(partial, counted, chosen, list_key, text_fields)
            sync(partial)
        backup = keep_existing(path)
        partial.rename(path)
    except BaseException:
        remove(partial)
        raise
    sync(path.parent)
    return Exported(str(path), counted.count, str(backup) if backup else None)


def keep_existing(path: Path) -> Path | None:
    """Move what is at `path` out of the way, under a name that says when."""
    if not path.exists():
        return None
    backup = free_name(path.with_name(f"{path.name}.backup-{file_stamp()}"))
    path.rename(backup)
    return backup


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
