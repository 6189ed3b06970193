"""Reads YAML: the jobs of a file one by one, each with its line, whatever errors the others have.

The events of libyaml are converted to values job by job (`yaml_builder`); the whole file is never
composed. After a syntax error the file is read a second time (`yaml_recovery`): it is split at the
items of the list, from the broken one on, and each is parsed alone. A list in flow style
(`[{...}]`) cannot be split and ends at its first error. The last job of a file that was cut off is
refused (`yaml_truncation`).
"""

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

from loaders.formats.json_form import check_text
from loaders.formats.record import (
    INCOMPLETE,
    MANIFEST,
    FileRecord,
    is_file_of_tables,
    is_manifest,
    lists_of_rows,
)
from loaders.formats.yaml_builder import NOT_A_MAPPING, Builder, NextEvent, describe
from loaders.formats.yaml_recovery import (
    MAX_SECTION,
    Section,
    Splitter,
    describe_syntax_error,
)
from loaders.formats.yaml_scalars import resolve
from loaders.formats.yaml_source import Source
from loaders.formats.yaml_truncation import CommonKeys
from loaders.formats.yaml_writer import scalar_text

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NOT_READ = "the rest of the file is not read"
_OUTSIDE = "contains a line outside the list"


class Item(NamedTuple):
    """One job: its number from 1 (0 for the file as a whole), its line from 1."""

    number: int
    line: int
    value: dict[str, Any] | None
    error: str | None

    def record(self, source: Path) -> FileRecord:
        line = f"line {self.line}"
        position = f"job {self.number} ({line})" if self.number else line
        return FileRecord(str(source), position, self.value, self.error)


def read_yaml(
    path: Path, text_fields: frozenset[str], list_key: str, others: list[str]
) -> Iterator[FileRecord]:
    """The jobs of a YAML file: a list, a mapping with a list, or one job per document.

    The keys of other lists in the mapping are added to `others`.
    """
    reader = _Reader(path, text_fields, list_key, others, one_job=False)
    common = CommonKeys()
    previous: Item | None = None
    for item in reader.items():
        # After a syntax error the job before it may be read again, now with an error.
        if previous is not None and (item.number == 0 or item.number != previous.number):
            if previous.value is not None:
                common.add(previous.value)
            yield previous.record(path)
        previous = item
    if previous is not None:
        whole = reader.source.ends_in_line_break
        yield _refuse_if_cut_off(previous, common, ends_in_line_break=whole).record(path)


def read_yaml_job(
    path: Path, text_fields: frozenset[str], list_key: str, common: CommonKeys
) -> Iterator[FileRecord]:
    """The job of one file of a folder; nothing for a manifest."""
    reader = _Reader(path, text_fields, list_key, [], one_job=True)
    for item in list(reader.items()):
        checked = item
        if not reader.source.ends_in_line_break:
            checked = _refuse_if_cut_off(item, common, ends_in_line_break=False)
        if checked.value is not None:
            common.add(checked.value)
        yield checked.record(path)


def _refuse_if_cut_off(item: Item, common: CommonKeys, *, ends_in_line_break: bool) -> Item:
    if item.value is not None:
        cut = common.is_cut_off(item.value, ends_in_line_break=ends_in_line_break)
        return item._replace(value=None, error=INCOMPLETE) if cut else item
    if not ends_in_line_break and item.number and NOT_A_MAPPING in str(item.error):
        return item._replace(error=f"{INCOMPLETE} ({item.error})")  # cut within its first key
    return item


class _Reader:
    """Reads one file: as a stream, and after a syntax error section by section."""

    def __init__(
        self,
        path: Path,
        text_fields: frozenset[str],
        list_key: str,
        others: list[str],
        *,
        one_job: bool,
    ) -> None:
        self.source = Source(path)
        self._list_key = list_key
        self._others = others
        self._one_job = one_job
        self._builder = Builder(text_fields, list_key)
        self._builder.line = self.source.line
        self._number = 0
        self._restart = (0, 1)  # number of jobs before, and line, of the item being read
        self._indent: int | None = None
        self._keyed = False
        self._in_flow = False
        self._is_open = False
        self._last_keys: Set[str] = frozenset()
        self._in_section = False
        self._outside = False
        self._has_content = False

    def items(self) -> Iterator[Item]:
        try:
            yield from self._documents(LOADER(self.source))
        except yaml.YAMLError as error:
            yield from self._recover(error)
        if not self._has_content:
            yield Item(0, 1, None, "is empty")

    def _documents(self, loader: Any) -> Iterator[Item]:
        get = loader.get_event if LOADER is not yaml.SafeLoader else self._checked(loader)
        while (event := get()).__class__ is not StreamEndEvent:
            if event.__class__ is not DocumentStartEvent:
                continue
            if not self._in_section:
                self._builder.anchors.clear()
                self._restart = (self._number, self._builder.line(event.start_mark))
                self._indent = None
            yield from self._root(get(), get)

    def _checked(self, loader: Any) -> NextEvent:
        """The events of the parser in pure Python, which accepts lone surrogates."""

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
            yield Item(0, line, None, f"contains {describe(event)}, not a job")

    def _mapping(self, line: int, get: NextEvent) -> Iterator[Item]:
        builder, result, has_list, before = self._builder, dict[str, Any](), False, 0
        builder.error = None
        while True:
            builder.at_list_key = False
            result = builder.mapping(result, get, 0, builder.text_fields)
            if not builder.at_list_key:
                break
            has_list, before = True, len(result)
            self._keyed = True
            yield from self._list_value(get(), get)
            builder.error = None
        self._outside = has_list and len(result) > before
        if has_list or (is_file_of_tables(result) and not self._one_job):
            self._others += lists_of_rows(result)
        else:
            yield from self._single(result, line)

    def _list_value(self, event: Any, get: NextEvent) -> Iterator[Item]:
        line = self._builder.line(event.start_mark)
        if event.__class__ is AliasEvent:
            event, get = self._builder.dereference(event, get)
        event.anchor = None
        if event.__class__ is SequenceStartEvent:
            yield from self._list(event, get)
        elif event.__class__ is not ScalarEvent or resolve(event.value) != "null":
            self._builder.node(event, get, 1)
            yield Item(0, line, None, f'"{self._list_key}" is {describe(event)}, not a list')

    def _list(self, event: Any, get: NextEvent) -> Iterator[Item]:
        builder = self._builder
        self._in_flow = bool(event.flow_style)
        while (item := get()).__class__ is not SequenceEndEvent:
            line = builder.line(item.start_mark)
            if not self._in_section:
                self._restart = (self._number, line)
                self._indent = event.start_mark.column
            self._number += 1
            self._is_open = True
            value = builder.job(item, get)
            self._is_open = False
            if value is not None and not self._in_section:
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
            yield Item(0, line, None, f'has no "{self._list_key}" and is not a job')

    def _recover(self, error: yaml.YAMLError) -> Iterator[Item]:
        """Read the file again from the broken job on, section by section."""
        self._has_content = True
        number, start = self._restart
        if self._in_flow:
            line, reason = describe_syntax_error(error, b"")
            reason = f"line {max(line + 1, start)}: {reason}; {_NOT_READ}"
            yield Item(self._number if self._is_open else self._number + 1, start, None, reason)
            return
        self._number, self._in_section = number, True
        splitter = Splitter(self._list_key, start, self._indent, keyed=self._keyed)
        before: Item | None = None
        for section in splitter.split(self.source.lines()):
            items = self._parse(section)
            if section.uncertain and section.is_item:
                if not self._continues(items):
                    self._number = number
                    continue
                splitter.uncertain = False
                if before is not None and before.value is not None:
                    yield before._replace(value=None, error=_OUTSIDE)
            yield from items
            before = items[-1] if items else before
            self._last_keys = ((before and before.value) or {}).keys() or self._last_keys
            number = self._number

    def _continues(self, items: list[Item]) -> bool:
        """True if this item is a job like the last one, by the keys that they share."""
        if len(items) != 1 or items[0].value is None:
            return False
        shared = len(items[0].value.keys() & self._last_keys)
        return shared > 1 and shared * 2 > len(self._last_keys)

    def _parse(self, section: Section) -> list[Item]:
        """The items of a section, or one item with the error in it."""
        is_keyed = section.is_item and section.keyed
        head = f"{scalar_text(self._list_key)}:\n".encode() if is_keyed else b""
        text = head + section.text
        shift = section.first - (1 if head else 0)
        self._builder.line = lambda mark: int(mark.line) + shift
        self._outside = False
        number = self._number
        if section.too_long:
            return [self._failed(section, number, f"over {MAX_SECTION:,} bytes in a broken file")]
        try:
            items = list(self._documents(LOADER(text)))
        except yaml.YAMLError as error:
            line, reason = describe_syntax_error(error, text)
            cut = section.last and line >= text.count(b"\n")
            reason = f"line {line + shift}: {reason}"
            return [self._failed(section, number, f"{INCOMPLETE} ({reason})" if cut else reason)]
        if section.followed and self._outside:
            return [self._failed(section, number, _OUTSIDE)]
        return items

    def _failed(self, section: Section, number: int, reason: str) -> Item:
        self._number = number + (1 if section.is_item else 0)
        return Item(self._number if section.is_item else 0, section.first, None, reason)
