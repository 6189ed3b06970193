"""The JSON form of values: how JSON holds what YAML can and JSON cannot.

Text, null, booleans, integers, finite numbers, lists and mappings with text keys are themselves.
Everything else is a mapping with one key:

    {"!!binary": "R0lGOA=="}            base64 of the bytes
    {"!!timestamp": "2025-10-17 14:03:22 +02:00"}   a date or a time, as it was written
    {"!!float": ".nan"}                 .nan, .inf or -.inf
    {"!!set": ["a", 1]}                 scalars, in their order
    {"!!omap": [["key", "value"]]}      an ordered mapping as pairs
    {"!!pairs": [["key", "value"]]}     pairs whose keys may repeat

A mapping key that is not text becomes text: "!!int 1", "!!bool true", "!!float 2.5", "!!null null",
"!!timestamp 2025-10-17", "!!binary R0lGOA==". A text key that begins with "!!" is escaped:
"!!str !!binary". So `on:` and `1:` stay two keys, and no form is mistaken for a mapping.

`encode` converts Python values to this form, and `decode` converts them back.
"""

import base64
import binascii
import json
import math
from datetime import date, datetime
from typing import Any, TypeGuard

from loaders.formats.yaml_scalars import (
    SCALAR_KINDS,
    binary_form,
    check_integer,
    construct,
    float_form,
    read_scalar,
)

FORMS = frozenset({"!!binary", "!!timestamp", "!!float", "!!set", "!!omap", "!!pairs"})
MAX_DEPTH = 200

_SCALAR_FORMS = frozenset({"!!binary", "!!timestamp", "!!float"})
_NON_FINITE = {".nan": math.nan, ".inf": math.inf, "-.inf": -math.inf}


def encode(value: Any, depth: int = 1) -> Any:
    """The JSON form of a Python value; ValueError if it has none.

    Sets are sorted, because their order in memory changes from run to run. A list of tuples of
    two, which safe_load returns for !!omap and !!pairs, becomes !!pairs.
    """
    if isinstance(value, (dict, list, tuple)) and depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        return _encode_mapping(value, depth)
    if isinstance(value, (list, tuple)):
        items = [encode(item, depth + 1) for item in value]
        pairs = bool(value) and all(type(item) is tuple and len(item) == 2 for item in value)
        return {"!!pairs": items} if pairs else items
    if isinstance(value, (set, frozenset)):
        return {"!!set": sorted((encode(item, depth + 1) for item in value), key=json.dumps)}
    return _encode_scalar(value)


def _encode_mapping(value: dict[Any, Any], depth: int) -> dict[str, Any]:
    result = {}
    for name, item in value.items():
        key = encode_key(encode(name))
        if key in result:
            raise ValueError(f'duplicate key "{key}"')
        result[key] = encode(item, depth + 1)
    return result


def _encode_scalar(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return check_text(value)
    if isinstance(value, int):
        return check_integer(value)
    if isinstance(value, float):
        return float_form(value)
    if isinstance(value, (bytes, bytearray)):
        return binary_form(value)
    if isinstance(value, date):
        return {"!!timestamp": _timestamp(value)}
    raise ValueError(f"a value of type {type(value).__name__} cannot be stored")


def _timestamp(value: date) -> str:
    text = value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    if construct("timestamp", text) != value:
        raise ValueError(f"{value!r} has no YAML form")
    return text


def check_text(text: str) -> str:
    """The text itself; ValueError if it contains a lone surrogate."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            code = ord(text[error.start])
            raise ValueError(f"lone surrogate \\u{code:04X} in a text") from None
    return text


def encode_key(value: Any) -> str:
    """The text key for a key in its JSON form; ValueError for a list or mapping."""
    if isinstance(value, str):
        return f"!!str {value}" if value.startswith("!!") else value
    if value is None:
        return "!!null null"
    if isinstance(value, bool):
        return "!!bool true" if value else "!!bool false"
    if isinstance(value, int):
        return f"!!int {value}"
    if isinstance(value, float):
        return f"!!float {value!r}"
    if is_form(value):
        [(form, content)] = value.items()
        if form in _SCALAR_FORMS:
            return f"{form} {content}"
    raise ValueError("a list or a mapping as a key")


def parse_key(key: str) -> Any:
    """The JSON form of the key that a text key encodes; ValueError for an unknown "!!" form.

    Each key has one spelling: "!!int 007" is refused, because 7 is encoded as "!!int 7".
    """
    if not key.startswith("!!"):
        return key
    kind, _, text = key[2:].partition(" ")
    if kind in SCALAR_KINDS:
        value = read_scalar(kind, text)
        if encode_key(value) == key:
            return value
    raise ValueError(f'key "{key}" begins with "!!" but is not a documented form')


def is_form(value: Any) -> TypeGuard[dict[str, Any]]:
    """True for a mapping that is one of the documented forms, with valid content."""
    if not isinstance(value, dict) or len(value) != 1:
        return False
    [(form, content)] = value.items()
    return form in FORMS and _is_valid(form, content)


def _is_valid(form: str, content: Any) -> bool:
    if form in _SCALAR_FORMS:
        return isinstance(content, str) and _is_valid_scalar(form, content)
    if not isinstance(content, list):
        return False
    if form == "!!set":
        simple = all(
            not isinstance(item, (list, dict)) or _is_scalar_form(item) for item in content
        )
        return simple and len({json.dumps(item) for item in content}) == len(content)
    return all(isinstance(item, list) and len(item) == 2 for item in content)


def _is_scalar_form(value: Any) -> bool:
    return is_form(value) and value.keys() <= _SCALAR_FORMS


def _is_valid_scalar(form: str, content: str) -> bool:
    try:
        if form == "!!binary":
            return base64.b64decode(content, validate=True) is not None
        if form == "!!timestamp":
            return "\n" not in content and construct("timestamp", content) is not None
    except (ValueError, binascii.Error):
        return False
    return content in _NON_FINITE


def check_forms(value: Any, depth: int = 1) -> None:
    """ValueError for a key that begins with "!!" and is not a documented form, or deep nesting."""
    if isinstance(value, (dict, list)) and depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, list):
        for item in value:
            check_forms(item, depth + 1)
    elif isinstance(value, dict):
        form = is_form(value)
        for key, item in value.items():
            if not form:
                parse_key(key)
            check_forms(item, depth + 1)


def decode(value: Any) -> Any:
    """The Python value that safe_load returns for the JSON form.

    A key that begins with "!!" and is not a documented form stays as it is.
    """
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if is_form(value):
        [(form, content)] = value.items()
        return _decode_form(form, content)
    return {_decode_key(key): decode(item) for key, item in value.items()}


def _decode_key(key: str) -> Any:
    try:
        return decode(parse_key(key))
    except ValueError:
        return key


def _decode_form(form: str, content: Any) -> Any:
    if form == "!!binary":
        return base64.b64decode(content)
    if form == "!!timestamp":
        return construct("timestamp", content)
    if form == "!!float":
        return _NON_FINITE[content]
    if form == "!!set":
        return {decode(item) for item in content}
    return [(decode(key), decode(item)) for key, item in content]
