"""JSON that earlier systems wrote although it is none: NaN, infinities, halves of an emoji."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

LONE_SURROGATE = re.compile("[\ud800-\udfff]")

# Each way to be unpaired begins with the same letters, which the search then leaps to.
HIGH, LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
UNPAIRED_ESCAPE = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!%b)|(?<!%b\\u[dD])[c-fC-F][0-9a-fA-F]{2})" % (LOW, HIGH)
)


class Mended(NamedTuple):
    """A JSON object's text, and the text (bytes where they are no UTF-8) that it was made from."""

    text: str
    original: str | bytes


def mend(content: bytes | None) -> Mended | None:
    """The JSON object in `content`, or None where it needs no mending.

    NaN and infinities become null, lone surrogates U+FFFD. What cannot be read at all, or is no
    object, becomes `{}`.
    """
    if content is None:
        return Mended("{}", "")
    try:
        original: str | bytes = content.decode()
    except UnicodeDecodeError:
        original = content
    constants: list[str] = []
    try:
        value = json.loads(content.decode("utf-8", "replace"), parse_constant=constants.append)
    except (ValueError, RecursionError):
        return Mended("{}", original)
    if not isinstance(value, dict):
        return Mended("{}", original)
    whole = without_lone_surrogates(value)
    if not constants and whole == value and isinstance(original, str):
        return None
    return Mended(json.dumps(whole, ensure_ascii=False), original)


def may_hold_lone_surrogate(content: bytes) -> bool:
    """Quick, and right when it says no."""
    return UNPAIRED_ESCAPE.search(content) is not None


def without_lone_surrogates(value: Any) -> Any:
    """`value` with each text that UTF-8 cannot hold mended."""
    if isinstance(value, str):
        return LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [without_lone_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {
            LONE_SURROGATE.sub("\ufffd", key): without_lone_surrogates(item)
            for key, item in value.items()
        }
    return value
