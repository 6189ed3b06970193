"""YAML 1.1 values and the documented form in which JSON holds them.

Text, null, booleans, integers, finite numbers, lists and mappings with text keys are themselves.
Everything else is a mapping with one key:

    {"!!binary": "R0lGOA=="}            base64 of the bytes
    {"!!timestamp": "2025-10-17 14:03:22 +02:00"}   a date or a time, as it was written
    {"!!float": ".nan"}                 .nan, .inf or -.inf
    {"!!set": ["a", 1]}                 scalars, in their order
    {"!!omap": [["key", "value"]]}      an ordered mapping as pairs
    {"!!pairs": [["key", "value"]]}     pairs whose keys may repeat

A mapping key that is no text becomes one: "!!int 1", "!!bool true", "!!float 2.5", "!!null null",
"!!timestamp 2025-10-17", "!!binary R0lGOA==". A text key that begins with "!!" is escaped:
"!!str !!binary". So `on:` and `1:` stay two keys, and no form is mistaken for a mapping.
"""

import base64
import binascii
import json
import math
from datetime import date, datetime
from typing import Any, TypeGuard

import yaml
from yaml.constructor import SafeConstructor

TAG = "tag:yaml.org,2002:"
FORMS = frozenset({"!!binary", "!!timestamp", "!!float", "!!set", "!!omap", "!!pairs"})
MAX_DEPTH = 200
MAX_DIGITS = 4300  # the longest integer that Python turns into text

_KEY_KINDS = frozenset({"str", "bool", "int", "float", "null", "timestamp", "binary"})
_SCALAR_KINDS = _KEY_KINDS | {"merge", "value"}
_SCALAR_FORMS = frozenset({"!!binary", "!!timestamp", "!!float"})
_NON_FINITE = {".nan": math.nan, ".inf": math.inf, "-.inf": -math.inf}
_RESOLVERS = {
    first: [(tag.removeprefix(TAG), pattern) for tag, pattern in resolvers]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_constructor: Any = SafeConstructor()


def resolve(text: str) -> str:
    """The kind of an unquoted scalar by YAML 1.1: "str", "int", "bool", "timestamp" ..."""
    for kind, pattern in _RESOLVERS.get(text[:1], ()):
        if pattern.match(text):
            return str(kind)
    return "str"


def scalar(kind: str, text: str) -> Any:
    """The JSON form of a scalar; ValueError when the text does not fit the kind.

    `=` and `<<` have no value in YAML 1.1 (safe_load fails on them): they are taken as text.
    """
    if kind not in _SCALAR_KINDS:
        raise ValueError(f"unknown tag {kind if '!' in kind or ':' in kind else '!!' + kind}")
    if kind in ("str", "merge", "value"):
        return text
    if kind == "null":
        return None
    value = _construct(kind, text)
    if kind == "timestamp":
        return {"!!timestamp": text}
    return encode(value)


def _construct(kind: str, text: str) -> Any:
    """What safe_load makes of the scalar."""
    if kind == "int" and len(text) > 5 * MAX_DIGITS:  # "1:59:59..." would take quadratic time
        raise ValueError(f"an integer with more than {MAX_DIGITS:,} digits")
    node = yaml.ScalarNode(TAG + kind, text)
    try:
        return SafeConstructor.yaml_constructors[TAG + kind](_constructor, node)
    except (ValueError, ArithmeticError, LookupError, AttributeError, yaml.YAMLError) as error:
        if kind == "int" and len(text) > MAX_DIGITS:
            raise ValueError(f"an integer with more than {MAX_DIGITS:,} digits") from error
        raise ValueError(f'"{text[:80]}" is no valid {kind}') from error


def encode(value: Any, depth: int = 1) -> Any:
    """The documented form of a Python value; ValueError for what has none.

    Sets are sorted, since their order in memory changes from run to run. A list of pairs (tuples)
    is what safe_load makes of !!omap and !!pairs, and becomes !!pairs.
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
        key = key_text(encode(name))
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
        if abs(value) >= 10**MAX_DIGITS:
            raise ValueError(f"an integer with more than {MAX_DIGITS:,} digits")
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"!!float": _non_finite(value)}
    if isinstance(value, (bytes, bytearray)):
        return {"!!binary": base64.b64encode(value).decode("ascii")}
    if isinstance(value, date):
        return {"!!timestamp": _timestamp(value)}
    raise ValueError(f"a value of type {type(value).__name__} cannot be stored")


def _non_finite(value: float) -> str:
    return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"


def _timestamp(value: date) -> str:
    text = value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    if _construct("timestamp", text) != value:
        raise ValueError(f"{value!r} has no YAML form")
    return text


def check_text(text: str) -> str:
    """The text itself; ValueError when it holds half of a character."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            code = ord(text[error.start])
            raise ValueError(f"lone surrogate \\u{code:04X} in a text") from None
    return text


def key_text(value: Any) -> str:
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


def key_value(key: str) -> Any:
    """The JSON form of what a text key stands for; ValueError for "!!" without a known meaning.

    One key has one text: "!!int 007" is none, since it would be "!!int 7" a second time.
    """
    if not key.startswith("!!"):
        return key
    kind, _, text = key[2:].partition(" ")
    if kind in _KEY_KINDS:
        value = scalar(kind, text)
        if key_text(value) == key:
            return value
    raise ValueError(f'key "{key}" begins with "!!" but is no documented form')


def is_form(value: Any) -> TypeGuard[dict[str, Any]]:
    """Is this mapping one of the documented forms, with a content that fits?"""
    if not isinstance(value, dict) or len(value) != 1:
        return False
    [(form, content)] = value.items()
    return form in FORMS and _fits(form, content)


def _fits(form: str, content: Any) -> bool:
    if form in _SCALAR_FORMS:
        return isinstance(content, str) and _scalar_fits(form, content)
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


def _scalar_fits(form: str, content: str) -> bool:
    try:
        if form == "!!binary":
            return base64.b64decode(content, validate=True) is not None
        if form == "!!timestamp":
            return "\n" not in content and _construct("timestamp", content) is not None
    except (ValueError, binascii.Error):
        return False
    return content in _NON_FINITE


def check_forms(value: Any, depth: int = 1) -> None:
    """ValueError for a key that begins with "!!" and is not in a documented form, or for depth."""
    if isinstance(value, (dict, list)) and depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, list):
        for item in value:
            check_forms(item, depth + 1)
    elif isinstance(value, dict):
        form = is_form(value)
        for key, item in value.items():
            if not form:
                key_value(key)
            check_forms(item, depth + 1)


def decode(value: Any) -> Any:
    """The Python value that safe_load gives for the documented form.

    What begins with "!!" without being a form is left as it is.
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
        return decode(key_value(key))
    except ValueError:
        return key


def _decode_form(form: str, content: Any) -> Any:
    if form == "!!binary":
        return base64.b64decode(content)
    if form == "!!timestamp":
        return _construct("timestamp", content)
    if form == "!!float":
        return _NON_FINITE[content]
    if form == "!!set":
        return {decode(item) for item in content}
    return [(decode(key), decode(item)) for key, item in content]
