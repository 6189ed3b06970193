"""Foreign documents in and out: YAML, JSON, NDJSON, CSV and folders of one-job YAML files.

`read` gives one record at a time and never raises for what stands in a file: a broken record has
`error` instead of `value`, and the others still come. `write` and `write_folder` are the reverse.
Values have the documented form of `yaml_values`: what JSON cannot hold (binary, sets, timestamps,
NaN, keys that are no text) is a mapping or a key that begins with "!!", `decode` and `encode`
convert. A JSON document may use that form; anything else in it that begins with "!!" is an error.

A **text field** of a record takes a scalar as it was written: `no`, `007`, `1e3`, `12:30:45`.

CSV knows texts only: a blank cell is an absent key, and lists, mappings, numbers are written as
JSON. A CSV file is therefore no lossless copy; the other formats are.
"""

import csv
import hashlib
import json
import re
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from loaders.formats.json_reader import read_json, read_ndjson
from loaders.formats.record import NOT_TEXT, Record, encoding_of, open_text
from loaders.formats.yaml_reader import CommonKeys, Item, read_list, read_one
from loaders.formats.yaml_scalars import decode, encode
from loaders.formats.yaml_writer import yaml_document, yaml_list

__all__ = [
    "FORMATS",
    "Record",
    "decode",
    "detect_format",
    "encode",
    "read",
    "write",
    "write_folder",
]

FORMATS = ("yaml", "json", "ndjson", "csv")

_SUFFIXES = {
    ".yaml": "yaml",
    ".yml": "yaml",
    ".json": "json",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".csv": "csv",
}
_LONGEST_CELL = 1 << 27
_YAML_START = re.compile(r"""(?:#|---|%YAML|-[ \n]|["']?\w[^\n,]*:(?:[ \n]|\Z))""")
_UNSAFE = re.compile(r"""[%/\\:*?"<>|\x00-\x1f\x7f]|^\.|[. ]\Z""")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?=\.|\Z)", re.IGNORECASE)
_LONGEST_NAME = 150  # bytes, with room for suffixes that other tools add to a file name


def detect_format(path: Path) -> str:
    """One of FORMATS by the suffix, else by how the file begins; ValueError when it is none."""
    if path.is_dir():
        return "yaml"
    if found := _SUFFIXES.get(path.suffix.lower()):
        return found
    with path.open("rb") as file:
        head = file.read(1 << 12)
    text = head.decode(encoding_of(head), "replace").lstrip()
    if not text:
        raise ValueError(f"{path} is empty")
    if "\0" in text:
        kind = "a SQLite database" if text.startswith("SQLite format 3") else "a binary file"
        raise ValueError(f"{path} is {kind}, not one of {', '.join(FORMATS)}")
    if text.startswith("{"):
        return "ndjson" if re.search(r"\}\s*\n\s*\{", text) else "json"
    if text.startswith("["):
        return "json"
    if _YAML_START.match(text):
        return "yaml"
    if "," in text.split("\n", 1)[0]:
        return "csv"
    raise ValueError(f"cannot tell the format of {path}: name one of {', '.join(FORMATS)}")


def read(
    path: Path,
    format: str | None = None,
    text_fields: frozenset[str] = frozenset(),
    list_key: str = "jobs",
) -> Iterator[Record]:
    """The records of a file, or of a folder's YAML files in the order of their names.

    ValueError for an unknown format and OSError for a file that cannot be read, at once.
    """
    chosen = format or detect_format(path)
    if chosen not in FORMATS:
        raise ValueError(f'unknown format "{chosen}": name one of {", ".join(FORMATS)}')
    if path.is_dir():
        return _read_folder(path, text_fields, list_key)
    path.open("rb").close()
    if chosen == "yaml":
        return _records(path, read_list(path, text_fields, list_key))
    if chosen == "json":
        return read_json(path, text_fields, list_key)
    return read_ndjson(path, text_fields) if chosen == "ndjson" else _read_csv(path)


def _records(path: Path, items: Iterable[Item]) -> Iterator[Record]:
    source = str(path)
    for number, line, value, error in items:
        position = f"job {number} (line {line})" if number else f"line {line}"
        yield Record(source, position, value, error)


def _read_folder(path: Path, text_fields: frozenset[str], list_key: str) -> Iterator[Record]:
    common = CommonKeys()
    for file in sorted(path.iterdir()):
        if file.suffix.lower() not in (".yaml", ".yml") or file.is_dir():
            continue
        try:
            yield from _records(file, read_one(file, text_fields, list_key, common))
        except OSError as error:
            yield Record(str(file), "line 1", None, f"cannot be read: {error.strerror}")


# CSV


def _read_csv(path: Path) -> Iterator[Record]:
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
    with open_text(path) as file:
        reader = csv.reader(file, strict=True)
        header = _next_row(reader)
        if problem := _header_problem(header):
            yield Record(str(path), "line 1", None, problem)
            return
        number = 0
        while (row := _next_row(reader)) is not None:
            if row:
                number += 1
                position = f"row {number} (line {reader.line_num})"
                yield Record(str(path), position, *_row_value(header or [], row))


def _next_row(reader: Any) -> list[str] | str | None:
    """The cells, or the reason why there are none; None at the end."""
    try:
        row: list[str] | None = next(reader, None)
    except csv.Error as error:
        if "end of data" in str(error):
            return "the file ends in the middle of this row (a quote is not closed)"
        return str(error)
    if row is not None and not "".join(row).isascii():
        try:
            "".join(row).encode()
        except UnicodeEncodeError:
            return NOT_TEXT
    return row


def _header_problem(header: list[str] | str | None) -> str | None:
    if not header:
        return "is empty"
    if isinstance(header, str):
        return header
    [(name, count)] = Counter(header).most_common(1)
    return f'the header names "{name}" {count} times' if count > 1 else None


def _row_value(
    header: list[str] | str, row: list[str] | str
) -> tuple[dict[str, Any] | None, str | None]:
    if isinstance(row, str):
        return None, row
    if len(row) != len(header):
        return None, f"{len(row)} cells where the header has {len(header)}"
    return {name: cell for name, cell in zip(header, row, strict=True) if cell}, None


# Writing


def write(
    path: Path,
    records: Iterable[dict[str, Any]],
    format: str,
    list_key: str = "jobs",
    text_fields: frozenset[str] = frozenset(),
) -> None:
    """Write the records to exactly this path; ValueError for an unknown format or no text.

    What is no text in `text_fields`, YAML tells by a tag, since they are read as text.
    """
    if format not in FORMATS:
        raise ValueError(f'unknown format "{format}": name one of {", ".join(FORMATS)}')
    with path.open("w", encoding="utf-8", newline="") as file:
        if format == "csv":
            _write_csv(file, records)
        elif format == "yaml":
            file.writelines(yaml_list(records, list_key, text_fields))
        elif format == "ndjson":
            file.writelines(f"{_json(record)}\n" for record in records)
        else:
            file.writelines(_json_list(records, list_key))


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)


def _json_list(records: Iterable[dict[str, Any]], list_key: str) -> Iterator[str]:
    yield f"{{\n  {_json(list_key)}: ["
    between = "\n    "
    for record in records:
        yield between + _json(record, indent=2).replace("\n", "\n    ")
        between = ",\n    "
    yield "]\n}\n" if between == "\n    " else "\n  ]\n}\n"


def _write_csv(file: IO[str], records: Iterable[dict[str, Any]]) -> None:
    """The header needs the keys of all records: they wait in a temporary file."""
    names: dict[str, None] = {}
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as waiting:
        for record in records:
            names.update(dict.fromkeys(record))
            waiting.write(f"{_json(record)}\n")
        waiting.seek(0)
        writer = csv.writer(file)
        if names:
            writer.writerow(names)
        for line in waiting:
            record = json.loads(line)
            writer.writerow([_cell(record.get(name)) for name in names])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else _json(value)


def write_folder(
    path: Path, records: Iterable[dict[str, Any]], text_fields: frozenset[str] = frozenset()
) -> None:
    """Write each record as a YAML file named after its id; the true id stands in the file."""
    path.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    for record in records:
        name = _file_name(record, taken)
        (path / name).write_text(yaml_document(record, text_fields), encoding="utf-8", newline="")


def _file_name(record: dict[str, Any], taken: set[str]) -> str:
    """A name that every system accepts and that differs from the others not only by case."""
    key = record.get("id")
    stem = key if isinstance(key, str) else "" if key is None else _json(key)
    name = _UNSAFE.sub(lambda match: f"%{ord(match[0]):02X}", stem)
    if _RESERVED.match(name):
        name = f"%{ord(name[0]):02X}{name[1:]}"
    if not name or len(name.encode()) > _LONGEST_NAME or _same(name) in taken:
        digest = hashlib.sha256((stem or _json(record)).encode()).hexdigest()
        name = _shortened(name, taken, digest)
    taken.add(_same(name))
    return f"{name}.yaml"


def _shortened(name: str, taken: set[str], digest: str) -> str:
    start = name.encode()[: _LONGEST_NAME - 20].decode(errors="ignore")
    start = re.sub(r"%.?\Z", "", start)
    size = 8
    while _same(f"{start}~{digest[:size]}") in taken and size < len(digest):
        size += 8
    return f"{start}~{digest[:size]}"


def _same(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
