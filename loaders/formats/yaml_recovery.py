"""Describes YAML syntax errors, and splits a broken file into sections to parse one by one.

An item begins at a line with a dash at the indentation of the list and ends before the next one.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from yaml.reader import ReaderError

MAX_SECTION = 1 << 25  # bytes
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_DASH = re.compile(rb"( *)-(?=[ \t\r\n]|\Z)")
_KEY_WITHOUT_VALUE = re.compile(rb"[^\s#\-\[{&*!|>%@`][^:]*:[ \t]*(?:#.*)?\r?\n?")
_DOCUMENT_MARK = re.compile(rb"(?:---|\.\.\.)(?=\s|\Z)")


class Section(NamedTuple):
    """Lines to parse alone: an item, or what precedes a list. `first` is their line from 1.

    An `uncertain` item follows another key of the file: it belongs to that key's list, or is a job
    after a line that lost its indentation.
    """

    first: int
    text: bytes
    is_item: bool
    keyed: bool
    uncertain: bool
    followed: bool
    last: bool
    too_long: bool


class Splitter:
    """Splits the lines of a file from `start` on into sections, without parsing them."""

    def __init__(self, list_key: str, start: int, indent: int | None, *, keyed: bool) -> None:
        self.uncertain = False
        self._list_key = re.compile(rb"""["']?%b["']?[ \t]*:""" % re.escape(list_key.encode()))
        self._start = start
        self._indent = indent
        self._keyed = keyed
        self._kind = "document" if indent is None else "item"
        self._above = b""
        self._first = start
        self._lines: list[bytes] = []
        self._size = 0

    def split(self, lines: Iterator[bytes]) -> Iterator[Section]:
        for number, line in enumerate(lines, 1):
            if number < self._start:
                self._skip(line, number)
                continue
            if kind := self._boundary(line):
                if number > self._start and (section := self._section(followed=kind == "item")):
                    yield section
                self._begin(kind, line, number)
            self._append(line)
        if section := self._section(last=True):
            yield section

    def _skip(self, line: bytes, number: int) -> None:
        """Skip a line; the dash of the first item may be some lines above its first key."""
        if self._indent is not None and self._is_item(line):
            self._begin("item", line, number)
        if self._first < self._start:
            self._append(line)

    def _is_item(self, line: bytes) -> bool:
        dash = _DASH.match(line)
        return dash is not None and self._indent in (None, len(dash[1]))

    def _boundary(self, line: bytes) -> str | None:
        if _DOCUMENT_MARK.match(line):
            return "document"
        if self._indent is None:
            opens = not self._above or self._list_key.match(self._above)
            return "item" if opens and self._is_item(line) else None
        if self._is_item(line):
            return "item"
        return "key" if self._keyed and _KEY_WITHOUT_VALUE.fullmatch(line) else None

    def _begin(self, kind: str, line: bytes, number: int) -> None:
        self._kind, self._lines, self._size, self._first = kind, [], 0, number
        if kind == "document":
            self._indent, self._above, self.uncertain = None, b"", False
        elif kind == "key":
            self.uncertain = not self._list_key.match(line)
        elif self._indent is None and (dash := _DASH.match(line)):
            self._indent, self._keyed = len(dash[1]), bool(self._above)

    def _append(self, line: bytes) -> None:
        self._size += len(line)
        mark = _DOCUMENT_MARK.match(line)
        if self._size <= MAX_SECTION and not (mark and line.startswith(b"...")):
            self._lines.append(line)
        if self._indent is None and not mark and line.strip() and line[:1] not in b" \t#%":
            opens = _KEY_WITHOUT_VALUE.fullmatch(line) or self._list_key.match(line)
            self._above = line if opens or not self._above else self._above

    def _section(self, *, followed: bool = False, last: bool = False) -> Section | None:
        if not self._lines or self._kind == "key":
            return None
        return Section(
            self._first,
            b"".join(self._lines),
            is_item=self._kind == "item",
            keyed=self._keyed,
            uncertain=self.uncertain,
            followed=followed,
            last=last,
            too_long=self._size > MAX_SECTION,
        )


def describe_syntax_error(error: Any, text: bytes) -> tuple[int, str]:
    """Line (from 0, in the parsed text) and message of a syntax error."""
    if isinstance(error, ReaderError):
        return text.count(b"\n", 0, error.position), _reader_error(error)
    mark = error.problem_mark or error.context_mark
    problem = str(error.problem or error.context)
    if "escape code" in problem:
        lines = text.split(b"\n")
        if match := _SURROGATE.search(lines[mark.line] if mark.line < len(lines) else b""):
            return mark.line, f"lone surrogate {match[0].decode()}, half of a character"
    return mark.line, f"{error.context}: {problem}" if error.context else problem


def _reader_error(error: ReaderError) -> str:
    code = error.character if isinstance(error.character, int) else ord(error.character[:1])
    if 0xD800 <= code <= 0xDFFF:
        return f"lone surrogate \\u{code:04X}, half of a character"
    if error.encoding == "utf-8" or "UTF-8" in error.reason:
        return f"not valid UTF-8 ({error.reason})"
    return f"character U+{code:04X}: {error.reason}"
