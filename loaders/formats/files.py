"""Reads and writes records in any format: YAML, JSON, NDJSON, CSV, TSV, folders of YAML files.

`read` returns one record at a time. An error in the file never raises: the broken record has
`error` instead of `value`, and the others follow. `write` is the reverse.

Values are in the JSON form of `json_form`. A **text field** of a record is read as it is written:
`no`, `007`, `1e3`, `12:30:45`.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from loaders.formats import FORMATS
from loaders.formats.csv import PLAIN, Cells, read_csv, write_csv
from loaders.formats.folder import read_folder
from loaders.formats.json_reader import read_json, read_ndjson
from loaders.formats.json_writer import json_lines, json_list
from loaders.formats.record import FileRecord, detect_encoding
from loaders.formats.yaml_reader import read_yaml
from loaders.formats.yaml_writer import yaml_list

SUFFIXES = {
    ".yaml": "yaml",
    ".yml": "yaml",
    ".json": "json",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".csv": "csv",
    ".tsv": "tsv",
}
_DIALECTS = {"csv": "excel", "tsv": "excel-tab"}
_YAML_START = re.compile(r"""(?:#|---|%YAML|-[ \n]|["']?\w[^\n,]*:(?:[ \n]|\Z))""")


def detect_format(path: Path) -> str:
    """One of FORMATS by the suffix, else by how the file begins; ValueError if it is unknown."""
    if path.is_dir():
        return "yaml"
    if found := SUFFIXES.get(path.suffix.lower()):
        return found
    with path.open("rb") as file:
        head = file.read(1 << 12)
    text = head.decode(detect_encoding(head), "replace").lstrip()
    if not text:
        raise ValueError(f"{path} is empty")
    if "\0" in text:
        kind = "a SQLite database" if text.startswith("SQLite format 3") else "a binary file"
        raise ValueError(f"{path} is {kind}, not one of {', '.join(FORMATS)}")
    if found := _format_of_text(text):
        return found
    raise ValueError(f"cannot detect the format of {path}: name one of {', '.join(FORMATS)}")


def _format_of_text(text: str) -> str | None:
    if text.startswith("{"):
        return "ndjson" if re.search(r"\}\s*\n\s*\{", text) else "json"
    if text.startswith("["):
        return "json"
    if _YAML_START.match(text):
        return "yaml"
    first = text.split("\n", 1)[0]
    return "tsv" if "\t" in first else "csv" if "," in first else None


def check_format(format: str) -> str:
    """The format itself; ValueError if it is unknown."""
    if format not in FORMATS:
        raise ValueError(f'unknown format "{format}": name one of {", ".join(FORMATS)}')
    return format


def read(
    path: Path,
    format: str | None = None,
    text_fields: frozenset[str] = frozenset(),
    list_key: str = "jobs",
    others: list[str] | None = None,
) -> Iterator[FileRecord]:
    """The records of a file or folder.

    JSON and YAML files may hold several lists: only that of `list_key` is read, and the keys of
    the others are added to `others` meanwhile. Raises at once ValueError for an unknown format,
    OSError for a file that cannot be read.
    """
    chosen = check_format(format or detect_format(path))
    if path.is_dir():
        return read_folder(path, text_fields, list_key)
    path.open("rb").close()
    found = [] if others is None else others
    if chosen == "yaml":
        return read_yaml(path, text_fields, list_key, found)
    if chosen == "json":
        return read_json(path, text_fields, list_key, found)
    if chosen == "ndjson":
        return read_ndjson(path, text_fields)
    return read_csv(path, _DIALECTS[chosen])


def write(
    path: Path,
    records: Iterable[dict[str, Any]],
    format: str,
    list_key: str = "jobs",
    text_fields: frozenset[str] = frozenset(),
    cells: Cells = PLAIN,
) -> None:
    """Write the records to this path; ValueError for an unknown format.

    In YAML, a value in `text_fields` that is not text gets a tag, since it would be read as text.
    `cells` says the same of CSV.
    """
    check_format(format)
    with path.open("w", encoding="utf-8", newline="") as file:
        if format in _DIALECTS:
            write_csv(file, records, cells, _DIALECTS[format])
        elif format == "yaml":
            file.writelines(yaml_list(records, list_key, text_fields))
        elif format == "ndjson":
            file.writelines(json_lines(records))
        else:
            file.writelines(json_list(records, list_key))
