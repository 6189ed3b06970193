"""Reads and writes CSV, and TSV with tabs: all values are read as text, empty cells as absent.

Lists, mappings and numbers are written as JSON, after `!!json ` where they would not be read back
otherwise. Null is `!!null null` where an empty cell means something else. `!!str ` is written
before the empty text and before text that looks like one of these.
"""

import csv
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Set
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from loaders.formats.json_form import check_forms, is_form
from loaders.formats.json_writer import json_text
from loaders.formats.record import NOT_TEXT, FileRecord, lines, open_text

_MAX_CELL = 1 << 27  # characters
_TEXT = "!!str "
_NULL = "!!null null"
_JSON = "!!json "
_TAGGED = ("!!", '{"!!')


def read_csv(path: Path, dialect: str = "excel") -> Iterator[FileRecord]:
    """The rows of a CSV file, which has a header."""
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_CELL))
    with open_text(path) as file:
        reader = csv.reader(lines(file), dialect, strict=True)
        header = _next_row(reader)
        if header == [] and all(row == [] for row in iter(lambda: _next_row(reader), None)):
            return
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
    if cell == _NULL:
        return None
    with suppress(ValueError, RecursionError):
        value = json.loads(cell.removeprefix(_JSON))
        if cell.startswith(_JSON) or is_form(value):
            check_forms(value)
            return value
    return cell.removeprefix(_TEXT)


class Cells(NamedTuple):
    """What a reader of the file knows of its columns; None stands for all columns.

    An empty cell of `defaults` means a default value, not null. A text in `plain` is converted to
    the type of its column.
    """

    defaults: Set[str] | None = frozenset()
    plain: Set[str] | None = None

    def text(self, column: str, value: Any) -> str:
        if value is None:
            return _NULL if self.defaults is None or column in self.defaults else ""
        if isinstance(value, str):
            return value if value and not value.startswith(_TAGGED) else f"{_TEXT}{value}"
        is_plain = self.plain is None or column in self.plain
        return json_text(value) if is_plain or is_form(value) else f"{_JSON}{json_text(value)}"


PLAIN = Cells()


def write_csv(
    file: IO[str],
    records: Iterable[dict[str, Any]],
    cells: Cells = PLAIN,
    dialect: str = "excel",
) -> None:
    """Write the records, which are buffered in a temporary file until all columns are known.

    Without records there is one empty line, since an empty file is one that was cut off.
    """
    columns: dict[str, None] = {}
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as buffer:
        for record in records:
            columns.update(dict.fromkeys(record))
            buffer.write(f"{json_text(record)}\n")
        buffer.seek(0)
        writer = csv.writer(file, dialect)
        writer.writerow(columns)
        for line in buffer:
            record = json.loads(line)
            writer.writerow(
                [cells.text(name, record[name]) if name in record else "" for name in columns]
            )
