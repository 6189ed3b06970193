"""Reads JSON and NDJSON: one object at a time, with little more than that object in memory.

An object with duplicate keys, lone surrogates or keys that begin with "!!" and are not a documented
form is refused, and the others are read. After a syntax error in an array the rest is not read.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from loaders.formats.json_form import MAX_DEPTH, check_forms, check_text, is_form
from loaders.formats.record import (
    INCOMPLETE,
    MANIFEST,
    NOT_TEXT,
    FileRecord,
    is_file_of_tables,
    is_manifest,
    lines,
    lists_of_rows,
    open_text,
)
from loaders.formats.yaml_scalars import MAX_DIGITS, float_form

_CHUNK = 1 << 16
_MAX_OBJECT = 1 << 26  # characters
_NEAR_END = 16  # an error this close to the end of a chunk may be due to the missing next chunk
_SPACE = re.compile(r"[ \t\r\n]*")


class BadRecordError(ValueError):
    """A record that is valid JSON but is refused."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        [(key, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise BadRecordError(f'duplicate key "{key}"')
    return result


def _number(text: str) -> Any:
    return float_form(float(text))


_DECODER: Any = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_number, parse_constant=_number
)
_LITERAL_DECODER: Any = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)


def _checked(raw: str, value: Any, text_fields: frozenset[str]) -> dict[str, Any]:
    """Check the value of the JSON text `raw`; its text fields are as they are written there."""
    if value.__class__ is not dict:
        raise BadRecordError(f"not an object but {raw[:40]}")
    if "\\u" in raw or not raw.isascii():
        _check_characters(raw, value)
    if '"!!' in raw or "\\u0021" in raw or raw.count("[") + raw.count("{") > MAX_DEPTH:
        check_forms(value)
        if is_form(value):
            raise BadRecordError(f"not an object but {raw[:40]}")
    for key, item in value.items():
        if item.__class__ is not str and item is not None and key in text_fields:
            return _with_texts(raw, value, text_fields)
    return value


def _check_characters(raw: str, value: Any) -> None:
    try:
        raw.encode()
    except UnicodeEncodeError:
        raise BadRecordError(NOT_TEXT) from None
    if "\\ud" in raw or "\\uD" in raw:
        check_text(json.dumps(value, ensure_ascii=False))


def _with_texts(raw: str, value: dict[str, Any], text_fields: frozenset[str]) -> dict[str, Any]:
    literals = _LITERAL_DECODER.decode(raw)
    for key in text_fields & value.keys():
        if isinstance(value[key], bool):
            value[key] = json.dumps(value[key])
        elif isinstance(literals[key], str):
            value[key] = literals[key]
    return value


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg}: column {error.colno}"
    if isinstance(error, RecursionError):
        return f"nested deeper than {MAX_DEPTH} levels"
    if "integer string conversion" in str(error):
        return f"an integer with more than {MAX_DIGITS:,} digits"
    return str(error)


def read_ndjson(path: Path, text_fields: frozenset[str]) -> Iterator[FileRecord]:
    """The objects of a file with one object per line; blank lines are skipped."""
    source, number = str(path), 0
    with open_text(path, newline="\n") as file:
        for number, line in enumerate(lines(file), 1):
            try:
                value = _checked(line, _line_value(line), text_fields)
            except (ValueError, RecursionError) as error:
                if line.strip():
                    yield FileRecord(source, f"line {number}", None, _line_reason(error, line))
            else:
                yield FileRecord(source, f"line {number}", value, None)
    if number == 0:
        yield FileRecord(source, "line 1", None, "is empty")


def _line_value(line: str) -> Any:
    """The same as _DECODER.decode(line), but a third faster."""
    try:
        value, end = _DECODER.scan_once(line, 0)
    except StopIteration:
        return _DECODER.decode(line)
    return value if line[end:] == "\n" else _DECODER.decode(line)


def _line_reason(error: Exception, line: str) -> str:
    if isinstance(error, json.JSONDecodeError) and not line.endswith("\n"):
        return f"the file ends in the middle of this line ({_reason(error)})"
    return _reason(error)


class _SyntaxError(Exception):
    """A syntax error; the rest of the file cannot be read."""


class _Buffer:
    """The text of a JSON file, of which only the part in use is in memory."""

    def __init__(self, file: IO[str]) -> None:
        self.text = ""
        self.at = 0
        self.kept: int | None = None
        self._file = file
        self._ended = False
        self._line = 1
        self._counted = 0

    def more(self) -> bool:
        """Read the next chunk and drop what was consumed; False at the end of the file."""
        self.line()
        start = self.at if self.kept is None else self.kept
        chunk = "" if self._ended else self._file.read(max(_CHUNK, len(self.text) - start))
        self._ended = not chunk
        self.text = self.text[start:] + chunk
        self.at, self._counted = self.at - start, self._counted - start
        self.kept = None if self.kept is None else 0
        return bool(chunk)

    def line(self) -> int:
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line

    def peek(self) -> str:
        """The next character that is not whitespace; "" at the end."""
        while True:
            match = _SPACE.match(self.text, self.at)
            self.at = match.end() if match else self.at
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def take(self, characters: str) -> str:
        """Consume the next character, which must be one of these."""
        found = self.peek()
        if not found or found not in characters:
            wanted = " or ".join(characters)
            if not found:
                raise _SyntaxError(f"the file ends where {wanted} should follow")
            raise self._syntax_error(f"expected {wanted}", at_end=False)
        self.at += 1
        return found

    def value(self, decoder: json.JSONDecoder) -> tuple[Any, str]:
        """The next value and its text; BadRecordError if it is valid JSON but is refused."""
        self.peek()
        while True:
            try:
                value, end = decoder.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                near = error.pos >= len(self.text) - _NEAR_END
                cut = near or error.msg.startswith("Unterminated string")
                if not cut or len(self.text) - self.at > _MAX_OBJECT or not self.more():
                    raise self._syntax_error(_reason(error), at_end=cut) from error
            except RecursionError as error:
                raise self._syntax_error(_reason(error), at_end=False) from error
            except ValueError as error:
                self.value(_LITERAL_DECODER)
                raise BadRecordError(_reason(error)) from error
            else:
                if end < len(self.text) or not self.more():
                    raw = self.text[self.at : end]
                    self.at = end
                    return value, raw

    def _syntax_error(self, reason: str, *, at_end: bool) -> _SyntaxError:
        if at_end and self._ended:
            return _SyntaxError(f"{INCOMPLETE} ({reason})")
        return _SyntaxError(f"line {self.line()}: {reason}; the rest of the file is not read")


class _ListReader:
    """Reads an array of objects, an object with such an array under the list key, or objects."""

    def __init__(
        self, path: Path, text_fields: frozenset[str], list_key: str, others: list[str]
    ) -> None:
        self._path = path
        self._text_fields = text_fields
        self._list_key = list_key
        self._others = others
        self._number = 0
        self._position = ""

    def records(self) -> Iterator[FileRecord]:
        with open_text(self._path) as file:
            buffer = _Buffer(file)
            try:
                if not buffer.peek():
                    yield self._record(None, "is empty", "line 1")
                while buffer.peek():
                    yield from self._root(buffer)
            except _SyntaxError as error:
                position = self._position or f"line {buffer.line()}"
                yield self._record(None, str(error), position)

    def _record(self, value: dict[str, Any] | None, error: str | None, position: str) -> FileRecord:
        return FileRecord(str(self._path), position, value, error)

    def _root(self, buffer: _Buffer) -> Iterator[FileRecord]:
        if buffer.peek() == "[":
            yield from self._array(buffer)
        elif buffer.peek() == "{":
            yield from self._object(buffer)
        else:
            raise _SyntaxError("not an object or a list; the rest of the file is not read")

    def _begin(self, line: int) -> None:
        self._number += 1
        self._position = f"job {self._number} (line {line})"

    def _array(self, buffer: _Buffer) -> Iterator[FileRecord]:
        buffer.take("[")
        while buffer.peek() != "]":
            self._begin(buffer.line())
            yield self._item(buffer)
            self._position = ""
            if buffer.peek() != "]":
                buffer.take(",")
        buffer.take("]")

    def _item(self, buffer: _Buffer) -> FileRecord:
        try:
            value, raw = buffer.value(_DECODER)
            return self._record(_checked(raw, value, self._text_fields), None, self._position)
        except ValueError as error:
            return self._record(None, str(error), self._position)

    def _object(self, buffer: _Buffer) -> Iterator[FileRecord]:
        """Read the array under the list key; without one, the object itself is a record."""
        line, buffer.kept, has_list = buffer.line(), buffer.at, False
        others: list[str] = []
        buffer.take("{")
        while buffer.peek() != "}":
            key, _ = buffer.value(_LITERAL_DECODER)
            buffer.take(":")
            if key == self._list_key and buffer.peek() == "[":
                has_list, buffer.kept = True, None
                yield from self._array(buffer)
            else:
                value, _ = buffer.value(_LITERAL_DECODER)
                others += lists_of_rows({key: value})
            if buffer.peek() != "}":
                buffer.take(",")
        if has_list:
            self._others += others
        else:
            self._begin(line)
            yield from self._object_record(buffer)
            self._position = ""
        buffer.take("}")
        buffer.kept = None

    def _object_record(self, buffer: _Buffer) -> Iterator[FileRecord]:
        raw = buffer.text[buffer.kept : buffer.at + 1]
        try:
            value = _checked(raw, _DECODER.decode(raw), self._text_fields)
        except ValueError as error:
            yield self._record(None, _reason(error), self._position)
            return
        if is_manifest(value):
            yield self._record(None, MANIFEST, self._position)
        elif is_file_of_tables(value):
            self._others += lists_of_rows(value)
        else:
            yield self._record(value, None, self._position)


def read_json(
    path: Path, text_fields: frozenset[str], list_key: str, others: list[str]
) -> Iterator[FileRecord]:
    """The objects of a JSON file: an array, an object with an array under the key, or objects.

    The keys of other arrays of objects beside that of `list_key` are added to `others`.
    """
    return _ListReader(path, text_fields, list_key, others).records()
