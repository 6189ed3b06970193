"""YAML in: the jobs of a file one by one, each with its line, whatever is wrong with the others.

libyaml's events are turned into values here, a job at a time; the whole document is never
composed. Only nodes with an anchor are kept, as their events.

When the parser refuses something, the file is read a second time from the job at fault: every
item, a line at the list's own indent that begins with a dash up to the next such line, is then
parsed alone. A list in flow style (`[{...}]`) has no such lines and ends at its first error.

**A file that was cut off** may still be valid YAML. Its last job counts as incomplete

- if the parser finds its end unexpectedly;
- if the file does not end in a line break and the job lacks a top-level key that all earlier jobs
  (two at least) have;
- if all earlier jobs (or the only one) share 20 keys or more, so that a program wrote them, and
  the file does not end in a line break or, two jobs being earlier, the job lacks one of these keys.

Anything else is accepted: people often leave out the last line break. One-job files of a folder
are compared with the files before them, and only when they do not end in a line break.
"""

import codecs
import io
import re
from collections import deque
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from yaml.reader import ReaderError

from loaders.formats.record import INCOMPLETE, MANIFEST, is_manifest
from loaders.formats.yaml_builder import NOT_A_MAPPING, Builder, NextEvent, name_of
from loaders.formats.yaml_recovery import LONGEST_PIECE, Cutter, Piece
from loaders.formats.yaml_scalars import check_text, resolve
from loaders.formats.yaml_writer import scalar_text

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_BLOCK = 1 << 16
_LONGEST_LINE = 1 << 24
_MACHINE_WRITTEN_KEYS = 20
_OTHER_BREAK = re.compile(rb"\r(?!\n)|\xc2\x85|\xe2\x80[\xa8\xa9]")  # as YAML 1.1 counts lines
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


class Item(NamedTuple):
    """One job: its number from 1 (0 for the file as a whole), its line from 1."""

    number: int
    line: int
    value: dict[str, Any] | None
    error: str | None


class _Source:
    """The bytes of a file as UTF-8, in blocks of whole lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ends_in_line_break = True
        self._pending = self.blocks()
        self._newlines = 0
        self._other_breaks: deque[int] = deque()
        self._passed = 0

    def blocks(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            head = file.read(4)
            wide = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            decoder = codecs.getincrementaldecoder("utf-16")("surrogatepass") if wide else None
            rest = head.removeprefix(codecs.BOM_UTF8) if decoder is None else b""
            data = b"" if decoder is None else head
            while data := data or file.read(_BLOCK):
                rest += data if decoder is None else _as_utf8(decoder, data)
                data = b""
                if (cut := rest.rfind(b"\n") + 1) or len(rest) > _LONGEST_LINE:
                    yield rest[: cut or len(rest)]
                    rest = rest[cut:] if cut else b""
            if decoder is not None:
                rest += _last_of_utf16(decoder)
            self.ends_in_line_break = not rest or rest.endswith((b"\n", b"\r"))
            if rest:
                yield rest

    def lines(self) -> Iterator[bytes]:
        for block in self.blocks():
            yield from io.BytesIO(block)

    def read(self, _size: int) -> bytes:
        """What libyaml calls; a block may be longer than it asks for."""
        block = next(self._pending, b"")
        if not block.isascii() or b"\r" in block:
            self._note_other_breaks(block)
        self._newlines += block.count(b"\n")
        return block

    def _note_other_breaks(self, block: bytes) -> None:
        count = self._newlines + len(self._other_breaks) + self._passed
        for extra, match in enumerate(_OTHER_BREAK.finditer(block)):
            self._other_breaks.append(count + extra + block.count(b"\n", 0, match.start()))

    def line(self, mark: Any) -> int:
        """The line from 1 as an editor counts it; YAML also breaks lines at CR, NEL, LS and PS."""
        while self._other_breaks and self._other_breaks[0] < mark.line:
            self._other_breaks.popleft()
            self._passed += 1
        return int(mark.line) + 1 - self._passed


def _as_utf8(decoder: codecs.IncrementalDecoder, data: bytes) -> bytes:
    return decoder.decode(data).removeprefix("\ufeff").encode("utf-8", "surrogatepass")


def _last_of_utf16(decoder: codecs.IncrementalDecoder) -> bytes:
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return b"\xff"  # a byte that the parser refuses, where the character should be
    return b""


class _Reader:
    """Reads one file: first as a stream, behind an error of the parser piece by piece."""

    def __init__(
        self, path: Path, text_fields: frozenset[str], list_key: str, *, one_job: bool
    ) -> None:
        self.source = _Source(path)
        self._list_key = list_key
        self._one_job = one_job
        self._builder = Builder(text_fields, list_key)
        self._builder.line = self.source.line
        self._number = 0
        self._restart = (0, 1)
        self._indent: int | None = None
        self._keyed = False
        self._in_flow = False
        self._is_open = False
        self._last_keys: Set[str] = frozenset()
        self._in_piece = False
        self._outside = False
        self._has_content = False

    def items(self) -> Iterator[Item]:
        try:
            yield from self._documents(LOADER(self.source))
        except yaml.YAMLError as error:
            yield from self._go_on_behind(error)
        if not self._has_content:
            yield Item(0, 1, None, "is empty")

    def _documents(self, loader: Any) -> Iterator[Item]:
        get = loader.get_event if LOADER is not yaml.SafeLoader else self._checked(loader)
        while (event := get()).__class__ is not StreamEndEvent:
            if event.__class__ is not DocumentStartEvent:
                continue
            if not self._in_piece:
                self._builder.anchors.clear()
                self._restart = (self._number, self._builder.line(event.start_mark))
                self._indent = None
            yield from self._root(get(), get)

    def _checked(self, loader: Any) -> NextEvent:
        """Events of the pure Python parser, which lets lone surrogates through."""

        def get() -> Any:
            event = loader.get_event()
            if event.__class__ is ScalarEvent:
                try:
                    check_text(event.value)
                except ValueError as error:
                    self._builder.fail(event.start_mark, str(error))
            return event

        return get

    def _root(self, event: Any, get: NextEvent) -> Iterator[Item]:
        line = self._builder.line(event.start_mark)
        if event.__class__ is ScalarEvent and resolve(event.value) == "null":
            return
        self._has_content = True
        event.anchor = None
        if event.__class__ is MappingStartEvent:
            yield from self._mapping(line, get)
        elif event.__class__ is SequenceStartEvent and not self._one_job:
            self._keyed = False
            yield from self._list(event, get)
        else:
            self._builder.node(event, get, 1)
            yield Item(0, line, None, f"holds {name_of(event)}, no job")

    def _mapping(self, line: int, get: NextEvent) -> Iterator[Item]:
        builder, result, has_list, before = self._builder, dict[str, Any](), False, 0
        builder.error = None
        while True:
            builder.at_list_key = False
            result = builder.fill(result, get, 0, builder.text_fields)
            if not builder.at_list_key:
                break
            has_list, before = True, len(result)
            self._keyed = True
            yield from self._list_value(get(), get)
            builder.error = None
        self._outside = has_list and len(result) > before
        if not has_list:
            yield from self._single(result, line)

    def _list_value(self, event: Any, get: NextEvent) -> Iterator[Item]:
        line = self._builder.line(event.start_mark)
        if event.__class__ is AliasEvent:
            event, get = self._builder.follow(event, get)
        event.anchor = None
        if event.__class__ is SequenceStartEvent:
            yield from self._list(event, get)
        elif event.__class__ is not ScalarEvent or resolve(event.value) != "null":
            self._builder.node(event, get, 1)
            yield Item(0, line, None, f'"{self._list_key}" holds {name_of(event)}, no list')

    def _list(self, event: Any, get: NextEvent) -> Iterator[Item]:
        builder = self._builder
        self._in_flow = bool(event.flow_style)
        while (item := get()).__class__ is not SequenceEndEvent:
            line = builder.line(item.start_mark)
            if not self._in_piece:
                self._restart = (self._number, line)
                self._indent = event.start_mark.column
            self._number += 1
            self._is_open = True
            value = builder.job(item, get)
            self._is_open = False
            if value is not None and not self._in_piece:
                self._last_keys = value.keys()
            yield Item(self._number, line, value, builder.error)

    def _single(self, result: dict[str, Any], line: int) -> Iterator[Item]:
        error = self._builder.error
        if is_manifest(result):
            if not self._one_job:
                yield Item(0, line, None, MANIFEST)
        elif self._one_job or result.keys() & {"id", "job_name"}:
            self._number += 1
            yield Item(self._number, line, None if error else result, error)
        else:
            yield Item(0, line, None, f'has no "{self._list_key}" and is no job')

    def _go_on_behind(self, error: yaml.YAMLError) -> Iterator[Item]:
        self._has_content = True
        number, start = self._restart
        if self._in_flow:
            line, reason = _reason(error, b"")
            reason = f"line {max(line + 1, start)}: {reason}; the file is not read any further"
            yield Item(self._number if self._is_open else self._number + 1, start, None, reason)
            return
        self._number, self._in_piece = number, True
        cutter = Cutter(self._list_key, start, self._indent, keyed=self._keyed)
        before: Item | None = None
        for piece in cutter.cut(self.source.lines()):
            items = self._parse(piece)
            if piece.doubtful and piece.is_item:
                if not self._continues(items):
                    self._number = number
                    continue
                cutter.doubtful = False
                if before is not None and before.value is not None:
                    reason = "a line stands outside of the list"
                    yield before._replace(value=None, error=reason)
            yield from items
            before = items[-1] if items else before
            self._last_keys = ((before and before.value) or {}).keys() or self._last_keys
            number = self._number

    def _continues(self, items: list[Item]) -> bool:
        """Is this item a job like the last one, by the keys that they share?"""
        if len(items) != 1 or items[0].value is None:
            return False
        shared = len(items[0].value.keys() & self._last_keys)
        return shared > 1 and shared * 2 > len(self._last_keys)

    def _parse(self, piece: Piece) -> list[Item]:
        head = (
            f"{scalar_text(self._list_key)}:\n".encode() if piece.is_item and piece.keyed else b""
        )
        text = head + piece.text
        shift = piece.first - (1 if head else 0)
        self._builder.line = lambda mark: int(mark.line) + shift
        self._outside = False
        number = self._number
        if piece.too_long:
            return [self._failed(piece, number, f"over {LONGEST_PIECE:,} bytes in a broken file")]
        try:
            items = list(self._documents(LOADER(text)))
        except yaml.YAMLError as error:
            line, reason = _reason(error, text)
            cut = piece.last and line >= text.count(b"\n")
            reason = f"line {line + shift}: {reason}"
            return [self._failed(piece, number, f"{INCOMPLETE} ({reason})" if cut else reason)]
        if piece.followed and self._outside:
            return [self._failed(piece, number, "a line stands outside of the list")]
        return items

    def _failed(self, piece: Piece, number: int, reason: str) -> Item:
        self._number = number + (1 if piece.is_item else 0)
        return Item(self._number if piece.is_item else 0, piece.first, None, reason)


class CommonKeys:
    """The top-level keys that all jobs so far have, by which a job cut short is recognised."""

    def __init__(self) -> None:
        self._jobs = 0
        self._keys: set[str] = set()

    def add(self, value: dict[str, Any]) -> None:
        if not self._jobs:
            self._keys = set(value)
        elif not self._keys <= value.keys():
            self._keys &= value.keys()
        self._jobs += 1

    def cut_short(self, value: dict[str, Any], *, ends_in_line_break: bool) -> bool:
        by_program = len(self._keys if self._jobs else value) >= _MACHINE_WRITTEN_KEYS
        if by_program and not ends_in_line_break:
            return True
        if self._jobs < 2 or (ends_in_line_break and not by_program):
            return False
        return not self._keys <= value.keys()


def read_list(path: Path, text_fields: frozenset[str], list_key: str) -> Iterator[Item]:
    """The jobs of a YAML file: a list, a mapping with a list, or one job per document."""
    reader = _Reader(path, text_fields, list_key, one_job=False)
    common = CommonKeys()
    held: Item | None = None
    for item in reader.items():
        # behind an error of the parser the job before it may come again, now with its error
        if held is not None and (item.number == 0 or item.number != held.number):
            if held.value is not None:
                common.add(held.value)
            yield held
        held = item
    if held is not None:
        yield _judged(held, common, ends_in_line_break=reader.source.ends_in_line_break)


def read_one(
    path: Path, text_fields: frozenset[str], list_key: str, common: CommonKeys
) -> Iterator[Item]:
    """The job of one file of a folder; nothing for a manifest."""
    reader = _Reader(path, text_fields, list_key, one_job=True)
    for item in list(reader.items()):
        judged = item
        if not reader.source.ends_in_line_break:
            judged = _judged(item, common, ends_in_line_break=False)
        if judged.value is not None:
            common.add(judged.value)
        yield judged


def _judged(item: Item, common: CommonKeys, *, ends_in_line_break: bool) -> Item:
    if item.value is not None:
        cut = common.cut_short(item.value, ends_in_line_break=ends_in_line_break)
        return item._replace(value=None, error=INCOMPLETE) if cut else item
    if not ends_in_line_break and item.number and NOT_A_MAPPING in str(item.error):
        return item._replace(error=f"{INCOMPLETE} ({item.error})")  # cut within its first key
    return item


def _reason(error: Any, text: bytes) -> tuple[int, str]:
    """Line (from 0, in the text parsed) and wording of a parser's error."""
    if isinstance(error, ReaderError):
        return text.count(b"\n", 0, error.position), _refused(error)
    mark = error.problem_mark or error.context_mark
    problem = str(error.problem or error.context)
    if "escape code" in problem:
        lines = text.split(b"\n")
        if match := _SURROGATE.search(lines[mark.line] if mark.line < len(lines) else b""):
            return mark.line, f"lone surrogate {match[0].decode()}, half of a character"
    return mark.line, f"{error.context}: {problem}" if error.context else problem


def _refused(error: ReaderError) -> str:
    code = error.character if isinstance(error.character, int) else ord(error.character[:1])
    if 0xD800 <= code <= 0xDFFF:
        return f"lone surrogate \\u{code:04X}, half of a character"
    if error.encoding == "utf-8" or "UTF-8" in error.reason:
        return f"not valid UTF-8 ({error.reason})"
    return f"character U+{code:04X}: {error.reason}"
