"""Deep comparison of two JSON values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

ABSENT = object()


@dataclass(frozen=True)
class Difference:
    """A value that is not the same, under its path; `ABSENT` on the side that has none."""

    path: str
    expected: Any
    actual: Any


def differences(expected: Any, actual: Any, path: str = "$") -> Iterator[str]:
    """The path of each value that is not the same, its type included: `$.captions[2].size`."""
    for difference in compare(expected, actual, path):
        yield difference.path


def compare(expected: Any, actual: Any, path: str = "$") -> Iterator[Difference]:
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in {**expected, **actual}:
            one, other = expected.get(key, ABSENT), actual.get(key, ABSENT)
            yield from compare(one, other, f"{path}.{key}")
    elif isinstance(expected, list) and isinstance(actual, list):
        for index, (one, other) in enumerate(zip_longest(expected, actual, fillvalue=ABSENT)):
            yield from compare(one, other, f"{path}[{index}]")
    elif type(expected) is not type(actual) or expected != actual:
        yield Difference(path, expected, actual)
