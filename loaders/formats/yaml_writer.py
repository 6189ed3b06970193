"""Writes YAML in block style, in the order of the keys, one record at a time.

Values are in the JSON form of `json_form` and are written as real YAML. A text is quoted if YAML
1.1 or 1.2, or a common parser of either, would read it as another type (`no`, `y`, `1e3`, `0o17`,
`12:30`, `1,000`). A text with line breaks, tabs, control characters or spaces at its ends is
written on one line in double quotes with escapes, which every parser reads as the same characters.
"""

import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from loaders.formats.json_form import is_form, parse_key
from loaders.formats.yaml_scalars import resolve

_UNPRINTABLE = "\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff"
_ESCAPED = re.compile(f"[{_UNPRINTABLE}]")
_PLAIN = re.compile(rf"[\w/(](?:[^{_UNPRINTABLE}: ]|:(?![ ]|\Z)| (?![ #]|\Z))*")
_YAML_1_2 = re.compile(
    r"[-+]?\d+ | 0o[0-7]+ | 0x[0-9a-fA-F]+ | [-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?",
    re.VERBOSE | re.ASCII,
)
_LIKE_A_NUMBER = re.compile(r"\d[\d,._:+\-eE TZtz]*|[yYnN]|null|~|true|false", re.IGNORECASE)
_MAX_SIMPLE_KEY = 200  # YAML allows 1,024 characters before the colon; escapes count


def yaml_list(
    records: Iterable[dict[str, Any]], list_key: str, text_fields: frozenset[str] = frozenset()
) -> Iterator[str]:
    """The text of `list_key: [records]`, record by record; numbers in `text_fields` are tagged."""
    head = f"{scalar_text(list_key)}:"
    for record in records:
        yield f"{head}\n" if head else ""
        head = ""
        out: list[str] = ["-"]
        if record and not is_form(record):
            _mapping(out, record, "  ", on_line=True, text_fields=text_fields)
        else:
            _node(out, record, "  ", on_line=True)
        yield "".join(out)
    if head:
        yield f"{head} []\n"


def yaml_document(record: dict[str, Any], text_fields: frozenset[str] = frozenset()) -> str:
    """The text of one record as one document; numbers in `text_fields` are tagged."""
    if not record or is_form(record):
        return "--- " + _inline(record) + "\n"
    out: list[str] = []
    _mapping(out, record, "", on_line=True, text_fields=text_fields)
    return "".join(out).removeprefix(" ")


def _node(out: list[str], value: Any, pad: str, *, on_line: bool) -> None:
    """Append a value after its "key:" or "-". `pad` indents a mapping's keys and a list's dashes.

    With `on_line` a collection starts on the line of the dash.
    """
    if not isinstance(value, dict | list):
        out.append(f" {scalar_text(value)}\n")
    elif isinstance(value, dict) and value:
        if is_form(value):
            _form(out, value, pad)
        else:
            _mapping(out, value, pad, on_line=on_line)
    elif isinstance(value, list) and value:
        _sequence(out, value, pad, on_line=on_line)
    else:
        out.append(f" {_inline(value)}\n")


def _mapping(
    out: list[str],
    value: dict[str, Any],
    pad: str,
    *,
    on_line: bool,
    text_fields: frozenset[str] = frozenset(),
) -> None:
    lead = " " if on_line else f"\n{pad}"
    for key, item in value.items():
        out.append(f"{lead or pad}{_key(key, pad)}")
        lead = ""
        if key in text_fields and isinstance(item, int | float):
            out.append(f" {_tagged(item)}\n")
        else:
            _child(out, item, pad, under_key=True)


def _tagged(value: float) -> str:
    """A number or boolean in a text field, tagged because it would be read as text."""
    kind = "bool" if isinstance(value, bool) else "int" if isinstance(value, int) else "float"
    return f"!!{kind} {scalar_text(value)}"


def _sequence(out: list[str], value: list[Any], pad: str, *, on_line: bool) -> None:
    lead = " " if on_line else f"\n{pad}"
    for item in value:
        out.append(f"{lead or pad}-")
        lead = ""
        _child(out, item, pad, under_key=False)


def _child(out: list[str], item: Any, pad: str, *, under_key: bool) -> None:
    if under_key and isinstance(item, list):  # a list's dashes are aligned with its key
        _node(out, item, pad, on_line=False)
    else:
        _node(out, item, pad + "  ", on_line=not under_key)


def _key(key: str, pad: str) -> str:
    text = _key_text(key)
    return f"{text}:" if len(text) <= _MAX_SIMPLE_KEY else f"? {text}\n{pad}:"


@lru_cache(maxsize=4096)
def _key_text(key: str) -> str:
    try:
        return scalar_text(parse_key(key))
    except ValueError:
        return scalar_text(key)


def _form(out: list[str], value: dict[str, Any], pad: str) -> None:
    [(form, content)] = value.items()
    if form not in ("!!set", "!!omap", "!!pairs") or not content:
        out.append(f" {_inline(value)}\n")
        return
    out.append(f" {form}\n")
    for item in content:
        if form == "!!set":
            out.append(f"{pad}? {scalar_text(item)}\n")
        else:
            out.append(f"{pad}- ?")
            _node(out, item[0], pad + "    ", on_line=True)
            out.append(f"{pad}  :")
            _node(out, item[1], pad + "    ", on_line=True)


def _inline(value: Any) -> str:
    if value in ({"!!set": []}, {"!!omap": []}, {"!!pairs": []}):
        [form] = value
        return f"{form} {'{}' if form == '!!set' else '[]'}"
    if value == [] or value == {}:
        return "[]" if isinstance(value, list) else "{}"
    return scalar_text(value)


def scalar_text(value: Any) -> str:
    """A scalar in its JSON form, on one line."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        text = repr(value)
        return text if "." in text else text.replace("e", ".0e")
    if isinstance(value, dict):
        [(form, content)] = value.items()
        plain = form == "!!float" or resolve(content) == "timestamp"
        return str(content) if plain else f'{form} "{content}"'
    return json.dumps(value)


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and not _resolves(text):
        return text
    if text and not _ESCAPED.search(text):
        return "'" + text.replace("'", "''") + "'"
    quoted = json.dumps(text, ensure_ascii=False)
    return _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)


def _resolves(text: str) -> bool:
    return (
        resolve(text) != "str"
        or _YAML_1_2.fullmatch(text) is not None
        or _LIKE_A_NUMBER.fullmatch(text) is not None
    )
