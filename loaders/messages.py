"""Values as error messages show them."""

from __future__ import annotations

import json
from typing import Any

MAX_SHOWN = 80  # characters
KINDS = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", type(None): "null"}


def quoted(text: str) -> str:
    """`text` in double quotes, shortened and with every odd character escaped."""
    shown = text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"
    return json.dumps(shown.encode(errors="replace").decode(), ensure_ascii=False)


def kind_of(value: Any) -> str:
    """The JSON type of a value, such as `a list`."""
    return KINDS.get(type(value), "a number")


def but_is(value: Any) -> str:
    """The end of a message about a wrong value: `, not "x"`; empty for None."""
    if value is None:
        return ""
    return f", not {kind_of(value) if isinstance(value, dict | list) else quoted(str(value))}"
