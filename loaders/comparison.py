"""Deep comparison of what a file says with what a database holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Comparison:
    """Keys missing in the database, extra in it, and different, with the paths that differ."""

    found: int = 0
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    different: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not (self.missing or self.extra or self.different or self.errors)

    def as_dict(self) -> dict[str, Any]:
        return {"ok": self.ok, **asdict(self)}


def differences(expected: Any, actual: Any, path: str = "$") -> Iterator[str]:
    """The path of each value that is not the same, its type included: `$.captions[2].size`."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in expected.keys() | actual.keys():
            if key in expected and key in actual:
                yield from differences(expected[key], actual[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif isinstance(expected, list) and isinstance(actual, list):
        yield from list_differences(expected, actual, path)
    elif type(expected) is not type(actual) or expected != actual:
        yield path


def list_differences(expected: list[Any], actual: list[Any], path: str) -> Iterator[str]:
    for index, (one, other) in enumerate(zip(expected, actual, strict=False)):
        yield from differences(one, other, f"{path}[{index}]")
    for index in range(min(len(expected), len(actual)), max(len(expected), len(actual))):
        yield f"{path}[{index}]"
