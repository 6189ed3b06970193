"""YAML 1.1 scalars: from the text of a scalar to its value, in the JSON form of `json_form`."""

import base64
import math
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

TAG = "tag:yaml.org,2002:"
MAX_DIGITS = 4300  # the longest integer that Python converts to text

_TOO_LARGE = 10**MAX_DIGITS
SCALAR_KINDS = frozenset({"str", "bool", "int", "float", "null", "timestamp", "binary"})
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


def read_scalar(kind: str, text: str) -> Any:
    """The JSON form of a scalar; ValueError if the text does not fit the kind.

    `=` and `<<` have no value in YAML 1.1 (safe_load fails on them): they are read as text.
    """
    if kind in ("str", "merge", "value"):
        return text
    if kind not in SCALAR_KINDS:
        raise ValueError(f"unknown tag {kind if '!' in kind or ':' in kind else '!!' + kind}")
    if kind == "null":
        return None
    value = construct(kind, text)
    if kind == "timestamp":
        return {"!!timestamp": text}
    if kind == "binary":
        return binary_form(value)
    return float_form(value) if kind == "float" else value


def construct(kind: str, text: str) -> Any:
    """The Python value that safe_load returns for the scalar; ValueError if there is none."""
    if kind == "int" and len(text) > 5 * MAX_DIGITS:  # "1:59:59..." would take quadratic time
        raise too_many_digits()
    node = yaml.ScalarNode(TAG + kind, text)
    try:
        value = SafeConstructor.yaml_constructors[TAG + kind](_constructor, node)
    except (ValueError, ArithmeticError, LookupError, AttributeError, yaml.YAMLError) as error:
        if kind == "int" and len(text) > MAX_DIGITS:
            raise too_many_digits() from error
        raise ValueError(f'"{text[:80]}" is not a valid {kind}') from error
    return check_integer(value) if kind == "int" else value


def check_integer(value: int) -> int:
    """The integer itself; ValueError if it is too long."""
    if abs(value) >= _TOO_LARGE:
        raise too_many_digits()
    return value


def too_many_digits() -> ValueError:
    return ValueError(f"an integer with more than {MAX_DIGITS:,} digits")


def binary_form(value: bytes | bytearray) -> dict[str, str]:
    return {"!!binary": base64.b64encode(value).decode("ascii")}


def float_form(value: float) -> float | dict[str, str]:
    """A finite number is itself."""
    if math.isfinite(value):
        return value
    return {"!!float": ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"}
