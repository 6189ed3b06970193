"""Reads and writes CSV: all values are read as text, empty cells as absent.

Lists, mappings and numbers are written as JSON; only the forms of `json_form` are read back. Null
is `!!null null` where an empty cell means something else. `!!str ` is written before the empty text
and before text that looks like one of these.
"""

import csv
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from loaders.formats.json_form import is_form
from loaders.formats.json_writer import json_text
from loaders.formats.record import NOT_TEXT, FileRecord, lines, open_text

_MAX_CELL = 1 << 27  # characters
_TEXT = "!!str "
_NULL = "!!null null"
_TAGGED = ("!!", '{"!!')


def read_csv(path: Path) -> Iterator[FileRecord]:
    """The rows of a CSV file, which has a header."""
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_CELL))
    with open_text(path) as file:
        reader = csv.reader(lines(file), strict=True)
        header = _next_row(reader)
        if problem := _header_problem(header):
            yield FileRecord(str(path), "line 1", None, problem)
            return
        number = 0
        while (row := _next_row(reader)) is not None:
            if row:
                number += 1
                position = f"row {number} (line {reader.line_num})"
                yield FileRecord(str(path), position, *_row_value(header or [], row))


def _next_row(reader: Any) -> list[str] | str | None:
    """The cells of the next row, or an error message; None at the end of the file."""
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
    return f'the header has "{name}" {count} times' if count > 1 else None


def _row_value(
    header: list[str] | str, row: list[str] | str
) -> tuple[dict[str, Any] | None, str | None]:
    """Value and error of a record."""
    if isinstance(row, str):
        return None, row
    if len(row) != len(header):
        return None, f"{len(row)} cells where the header has {len(header)}"
    return {name: _value(cell) for name, cell in zip(header, row, strict=True) if cell}, None


def _value(cell: str) -> Any:
    if not cell.startswith(_TAGGED):
        return cell
    if cell.startswith("!!"):
        return None if cell == _NULL else cell.removeprefix(_TEXT)
    with suppress(ValueError, RecursionError):
        form = json.loads(cell)
        return form if is_form(form) else cell
    return cell


def write_csv(
    file: IO[str], records: Iterable[dict[str, Any]], defaults: frozenset[str] = frozenset()
) -> None:
    """Write the records, which are buffered in a temporary file until all columns are known.

    Of the columns `defaults`, an empty cell means the default value.
    """
    columns: dict[str, None] = {}
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as buffer:
        for record in records:
            columns.update(dict.fromkeys(record))
            buffer.write(f"{json_text(record)}\n")
        buffer.seek(0)
        writer = csv.writer(file)
        if columns:
            writer.writerow(columns)
        for line in buffer:
            record = json.loads(line)
            nulls = dict.fromkeys(defaults & record.keys(), _NULL)
            writer.writerow([_cell(record.get(name), nulls.get(name, "")) for name in columns])


def _cell(value: Any, null: str) -> str:
    if value is None:
        return null
    if not isinstance(value, str):
        return json_text(value)
    return value if value and not value.startswith(_TAGGED) else f"{_TEXT}{value}"
