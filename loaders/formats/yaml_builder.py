"""Builds YAML 1.1 values from the events of libyaml, one node at a time.

No node tree is composed: scalars become values at once. Only the events of nodes with an anchor
are kept, to build a new value for each alias.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from yaml.events import (
    AliasEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from loaders.formats.json_form import MAX_DEPTH, encode_key, is_form, parse_key
from loaders.formats.yaml_scalars import TAG, read_scalar, resolve

NextEvent = Callable[[], Any]

NOT_A_MAPPING = "not a mapping but"

_MAX_CACHED_SCALARS = 20_000
_MAX_CACHED_LENGTH = 64
_MAX_EXPANDED_NODES = 1_000_000
_NO_TEXT_FIELDS: frozenset[str] = frozenset()
_STARTS = frozenset({MappingStartEvent, SequenceStartEvent})
_ENDS = frozenset({MappingEndEvent, SequenceEndEvent})
_NULL = ScalarEvent(None, None, (True, False), "")


class _AnchoredNode(NamedTuple):
    """The recorded events of a node with an anchor; `weight` is the cost of expanding it."""

    events: list[Any]
    start: int
    stop: int
    weight: int
    start_mark: Any

    def replay(self) -> NextEvent:
        return map(self.events.__getitem__, range(self.start, self.stop)).__next__


class _BadAlias(NamedTuple):
    """Replaces an alias that cannot be resolved in a recording."""

    message: str
    start_mark: Any
    anchor: None = None


class Builder:
    """Builds the value of one job from its events; `error` is the first error found in it."""

    def __init__(self, text_fields: frozenset[str], list_key: str) -> None:
        self.text_fields = text_fields
        self.list_key = list_key
        self.error: str | None = None
        self.at_list_key = False
        self.anchors: dict[str, _AnchoredNode | None] = {}
        self.line: Callable[[Any], int] = _line_of
        self._budget = _MAX_EXPANDED_NODES
        self._values: dict[str, Any] = {}
        self._keys: dict[str, str] = {}

    def fail(self, mark: Any, message: str) -> None:
        if self.error is None:
            self.error = f"line {self.line(mark)}: {message}"

    def job(self, event: Event, get: NextEvent) -> dict[str, Any] | None:
        """The value of an item of the list; None, with `error` set, if it has an error."""
        self.error = None
        self._budget = _MAX_EXPANDED_NODES
        event, get = self.dereference(event, get)
        if event.__class__ is MappingStartEvent and _kind(event.tag) in ("", "map"):
            value = self.mapping({}, get, 1, self.text_fields)
        else:
            self.fail(event.start_mark, f"{NOT_A_MAPPING} {describe(event)}")
            value = self.node(event, get, 1)
        return value if self.error is None else None

    def mapping(
        self, result: dict[str, Any], get: NextEvent, depth: int, text_fields: frozenset[str]
    ) -> dict[str, Any]:
        """Add a mapping's pairs to `result`, up to its end, or at depth 0 up to the list key."""
        keys, values, merged = self._keys, self._values, None
        while (event := get()).__class__ is not MappingEndEvent:
            key = keys.get(event.value) if event.__class__ is ScalarEvent else None
            if key is None or event.tag is not None or event.anchor is not None:
                key = self._key(event, get, depth)
            if key is None:
                if self.at_list_key:
                    return result
                merged = self._merge(merged or {}, get, depth, text_fields)
                continue
            if key in result:
                self.fail(event.start_mark, f'duplicate key "{key}"')
            event = get()
            if event.__class__ is not ScalarEvent or event.anchor is not None:
                result[key] = self.node(event, get, depth + 1, as_text=key in text_fields)
                continue
            plain, quoted = event.implicit
            if quoted:
                result[key] = event.value
            elif plain and key not in text_fields and event.value in values:
                result[key] = values[event.value]
            else:
                result[key] = self._scalar(event, as_text=key in text_fields)
        return result if merged is None else {**merged, **result}

    def node(self, event: Any, get: NextEvent, depth: int, *, as_text: bool = False) -> Any:
        """The value of the node whose first event is `event`."""
        event, get = self.dereference(event, get)
        if event.__class__ is ScalarEvent:
            return self._scalar(event, as_text=as_text)
        if depth > MAX_DEPTH:
            self.fail(event.start_mark, f"nested deeper than {MAX_DEPTH} levels")
            return self.skip(get)
        mapping = event.__class__ is MappingStartEvent
        kind = _kind(event.tag) or ("map" if mapping else "seq")
        if mapping and kind in ("map", "set"):
            pairs = self.mapping({}, get, depth, _NO_TEXT_FIELDS)
            return pairs if kind == "map" else {"!!set": [parse_key(key) for key in pairs]}
        if not mapping and kind in ("seq", "omap", "pairs"):
            items = self._items(get, depth)
            return items if kind == "seq" else self._pairs(event, kind, items)
        self.fail(event.start_mark, f"unknown tag {event.tag} on {describe(event)}")
        return self.skip(get)

    def skip(self, get: NextEvent) -> None:
        """Read to the end of the innermost open collection."""
        level = 1
        while level:
            event = get()
            if event.__class__ in _STARTS:
                level += 1
            elif event.__class__ in _ENDS:
                level -= 1

    def _items(self, get: NextEvent, depth: int) -> list[Any]:
        result = []
        while (event := get()).__class__ is not SequenceEndEvent:
            if event.__class__ is not ScalarEvent or event.anchor is not None:
                result.append(self.node(event, get, depth + 1))
            elif event.implicit[1]:
                result.append(event.value)
            else:
                result.append(self._scalar(event))
        return result

    def _pairs(self, event: Event, kind: str, items: list[Any]) -> dict[str, list[Any]]:
        pairs = []
        for item in items:
            if not isinstance(item, dict) or len(item) != 1 or is_form(item):
                self.fail(event.start_mark, f"an item of !!{kind} that is not a single pair")
                continue
            [(key, value)] = item.items()
            pairs.append([parse_key(key), value])
        return {f"!!{kind}": pairs}

    def _scalar(self, event: Any, *, as_text: bool = False) -> Any:
        text = event.value
        plain, quoted = event.implicit
        if plain and not as_text and text in self._values:
            return self._values[text]
        kind = resolve(text) if plain else "str" if quoted else _kind(event.tag)
        if as_text and (plain or quoted) and kind not in ("null", "binary"):
            return text  # as it was written, unless it has a tag
        try:
            value = read_scalar(kind, text)
        except ValueError as error:
            return self.fail(event.start_mark, str(error))
        if plain and len(text) <= _MAX_CACHED_LENGTH and value.__class__ is not dict:
            if len(self._values) >= _MAX_CACHED_SCALARS:
                self._values.clear()
            self._values[text] = value
        return value

    def _key(self, event: Any, get: NextEvent, depth: int) -> str | None:
        """A key as text; None for a merge key, and at depth 0 for the list key."""
        event, get = self.dereference(event, get)
        if event.__class__ is not ScalarEvent:
            self.fail(event.start_mark, f"{describe(event)} as a key")
            self.skip(get)
            return ""
        text = event.value
        plain, quoted = event.implicit
        kind = resolve(text) if plain else "str" if quoted else _kind(event.tag)
        self.at_list_key = depth == 0 and kind == "str" and text == self.list_key
        if self.at_list_key or kind == "merge":
            return None
        try:
            key = encode_key(read_scalar(kind, text))
        except ValueError as error:
            self.fail(event.start_mark, str(error))
            return ""
        if key == text != self.list_key and resolve(text) == "str":
            if len(self._keys) >= _MAX_CACHED_SCALARS:
                self._keys.clear()
            self._keys[key] = key
        return key

    def _merge(
        self, merged: dict[str, Any], get: NextEvent, depth: int, text_fields: frozenset[str]
    ) -> dict[str, Any]:
        """Add the pairs of a `<<` key; the first mapping of a list takes precedence."""
        event, get = self.dereference(get(), get)
        sources = []
        if event.__class__ is SequenceStartEvent:
            while (item := get()).__class__ is not SequenceEndEvent:
                sources.append(self._merge_source(*self.dereference(item, get), depth, text_fields))
        else:
            sources.append(self._merge_source(event, get, depth, text_fields))
        for source in reversed(sources):
            merged.update(source)
        return merged

    def _merge_source(
        self, event: Any, get: NextEvent, depth: int, text_fields: frozenset[str]
    ) -> dict[str, Any]:
        if event.__class__ is MappingStartEvent and depth < MAX_DEPTH:
            return self.mapping({}, get, depth + 1, text_fields)
        self.fail(event.start_mark, f"{describe(event)} cannot be merged, only a mapping")
        if event.__class__ is not ScalarEvent:
            self.skip(get)
        return {}

    def dereference(self, event: Any, get: NextEvent) -> tuple[Any, NextEvent]:
        """The first event of a node and the source of the others; aliases are resolved."""
        if event.__class__ is AliasEvent:
            event = self._target(event)
        elif event.__class__ is not _AnchoredNode and event.anchor is not None:
            get = self._record_anchor(event, get).replay()
            return get(), get
        if event.__class__ is _BadAlias:
            self.fail(event.start_mark, event.message)
            return _NULL, get
        if event.__class__ is not _AnchoredNode:
            return event, get
        self._budget -= event.weight
        if self._budget < 0:
            self.fail(event.start_mark, f"aliases expand to over {_MAX_EXPANDED_NODES:,} nodes")
            return _NULL, get
        get = event.replay()
        return get(), get

    def _target(self, event: Any) -> _AnchoredNode | _BadAlias:
        if event.anchor not in self.anchors:
            return _BadAlias(f"alias *{event.anchor} without an anchor", event.start_mark)
        if (target := self.anchors[event.anchor]) is None:
            return _BadAlias(f"alias *{event.anchor} inside its own anchor", event.start_mark)
        return target

    def _record_anchor(self, event: Any, get: NextEvent) -> _AnchoredNode:
        """FileRecord the events of a node with an anchor, for its aliases.

        Aliases in it are resolved now, because their names may be reused later.
        """
        events: list[Any] = []
        opened: list[tuple[str, int, int, int]] = []
        level = weight = 0
        while True:
            weight += 1
            if event.__class__ is AliasEvent:
                event = self._target(event)
            elif event.__class__ not in _ENDS:
                if event.anchor is not None:
                    opened.append((event.anchor, len(events), weight - 1, level))
                    self.anchors[event.anchor], event.anchor = None, None
                weight += len(event.value) >> 4 if event.__class__ is ScalarEvent else 0
                event.end_mark = event.start_mark
            events.append(event)
            level += (event.__class__ in _STARTS) - (event.__class__ in _ENDS)
            while opened and opened[-1][3] == level:
                name, start, before, _ = opened.pop()
                target = _AnchoredNode(
                    events, start, len(events), weight - before, event.start_mark
                )
                self.anchors[name] = target
            if level == 0:
                return target
            event = get()


def _kind(tag: str | None) -> str:
    """The YAML tag without its prefix; "" for none, the whole tag if it is not a YAML tag."""
    return "" if tag in (None, "!") else str(tag).removeprefix(TAG)


def describe(event: Event) -> str:
    if event.__class__ is MappingStartEvent:
        return "a mapping"
    return "a list" if event.__class__ is SequenceStartEvent else "a single value"


def _line_of(mark: Any) -> int:
    return int(mark.line) + 1
