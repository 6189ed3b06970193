"""Cuts a YAML file that the parser refuses into items that can be parsed one by one."""

import re
from collections.abc import Iterator
from typing import NamedTuple

LONGEST_PIECE = 1 << 25
_DASH = re.compile(rb"( *)-(?=[ \t\r\n]|\Z)")
_KEY_WITHOUT_VALUE = re.compile(rb"[^\s#\-\[{&*!|>%@`][^:]*:[ \t]*(?:#.*)?\r?\n?")
_DOCUMENT_MARK = re.compile(rb"(?:---|\.\.\.)(?=\s|\Z)")


class Piece(NamedTuple):
    """Lines to parse alone: an item, or what stands before a list.

    A `doubtful` item stands behind another key of the file: part of that key's list, or a job
    behind a line that lost its indentation.
    """

    first: int
    text: bytes
    is_item: bool
    keyed: bool
    doubtful: bool
    followed: bool
    last: bool
    too_long: bool


class Cutter:
    """Cuts the lines of a file from `start` on into pieces, without parsing them."""

    def __init__(self, list_key: str, start: int, indent: int | None, *, keyed: bool) -> None:
        self.doubtful = False
        self._list_key = re.compile(rb"""["']?%b["']?[ \t]*:""" % re.escape(list_key.encode()))
        self._start = start
        self._indent = indent
        self._keyed = keyed
        self._kind = "document" if indent is None else "item"
        self._above = b""
        self._first = start
        self._lines: list[bytes] = []
        self._size = 0

    def cut(self, lines: Iterator[bytes]) -> Iterator[Piece]:
        for number, line in enumerate(lines, 1):
            if number < self._start:
                self._pass_over(line, number)
                continue
            if kind := self._boundary(line):
                if number > self._start and (piece := self._take(followed=kind == "item")):
                    yield piece
                self._enter(kind, line, number)
            self._append(line)
        if piece := self._take(last=True):
            yield piece

    def _pass_over(self, line: bytes, number: int) -> None:
        """An item may begin, by its dash, some lines before its first key."""
        if self._indent is not None and self._is_item(line):
            self._enter("item", line, number)
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

    def _enter(self, kind: str, line: bytes, number: int) -> None:
        self._kind, self._lines, self._size, self._first = kind, [], 0, number
        if kind == "document":
            self._indent, self._above, self.doubtful = None, b"", False
        elif kind == "key":
            self.doubtful = not self._list_key.match(line)
        elif self._indent is None and (dash := _DASH.match(line)):
            self._indent, self._keyed = len(dash[1]), bool(self._above)

    def _append(self, line: bytes) -> None:
        self._size += len(line)
        mark = _DOCUMENT_MARK.match(line)
        if self._size <= LONGEST_PIECE and not (mark and line.startswith(b"...")):
            self._lines.append(line)
        if self._indent is None and not mark and line.strip() and line[:1] not in b" \t#%":
            opens = _KEY_WITHOUT_VALUE.fullmatch(line) or self._list_key.match(line)
            self._above = line if opens or not self._above else self._above

    def _take(self, *, followed: bool = False, last: bool = False) -> Piece | None:
        if not self._lines or self._kind == "key":
            return None
        return Piece(
            self._first,
            b"".join(self._lines),
            is_item=self._kind == "item",
            keyed=self._keyed,
            doubtful=self.doubtful,
            followed=followed,
            last=last,
            too_long=self._size > LONGEST_PIECE,
        )
