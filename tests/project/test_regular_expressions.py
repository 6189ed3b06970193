"""Regular expressions take linear time, whatever text they meet.

Each is tried on texts that are made from it: the beginning of a match, then a repeated part of it
for long, then something that does not match. Where a pattern is not linear, four times the text
takes sixteen times as long, which no noise explains.
"""

from __future__ import annotations

import ast
import importlib
import re
import re._constants as op
import re._parser as parser
import runpy
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasette.app  # noqa: F401 - with all that it imports
import pytest
from in_process import serving

from dailies.home import HOME

SHORT, LONG = 1_000, 4_000
NOTICEABLE_SECONDS = 0.01
MAX_GROWTH = 9  # linear is 4, quadratic 16
ENDINGS = ("\0", "!", "\n x")
ANYWHERE = {"search", "sub", "subn", "split", "findall", "finditer"}
NAMES_ONLY = {"datasette.utils.css_class_re"}  # of tables and columns

SOURCES = [
    path
    for folder in ("loaders", "dailies", "plugins")
    for path in sorted((HOME / folder).rglob("*.py"))
]


def patterns() -> Iterator[Any]:
    """Every pattern of ours, and whether it is looked for anywhere in a text."""
    for path in SOURCES:
        source = path.read_text()
        if "import re\n" not in source:
            continue
        where = path.relative_to(HOME).with_suffix("")
        for node in ast.walk(ast.parse(source)):
            if is_inline(node):
                pattern, anywhere = re.compile(node.args[0].value), node.func.attr in ANYWHERE
                yield pytest.param(pattern, anywhere, id=f"{where} {pattern.pattern}")
        for name, value in constants(path, ".".join(where.parts)):
            anywhere = re.search(rf"\b{name}\.({'|'.join(ANYWHERE)})\(", source) is not None
            yield pytest.param(value, anywhere, id=f"{where} {name}")


def is_inline(node: Any) -> bool:
    """True for `re.search("...", text)` and the like."""
    return (
        isinstance(node, ast.Call)
        and ast.unparse(node.func).startswith("re.")
        and ast.unparse(node.func) not in ("re.compile", "re.escape")
        and isinstance(node.args[0], ast.Constant)
    )


def constants(path: Path, module: str) -> Iterator[tuple[str, re.Pattern[Any]]]:
    found = (
        runpy.run_path(str(path)) if "plugins" in module else vars(importlib.import_module(module))
    )
    for name, value in found.items():
        if isinstance(value, re.Pattern):
            yield name, value


def of_datasette() -> Iterator[Any]:
    found = {
        value: f"{name}.{constant}"
        for name, module in sys.modules.items()
        if name.partition(".")[0] == "datasette"
        for constant, value in list(vars(module).items())
        if isinstance(value, re.Pattern)
    }
    for value, name in found.items():
        if name not in NAMES_ONLY:
            yield pytest.param(value, False, id=name)


@pytest.mark.parametrize(("pattern", "anywhere"), [*patterns(), *of_datasette()])
def test_is_linear(pattern: re.Pattern[Any], anywhere: bool) -> None:
    assert growth(pattern, anywhere) is None


def test_the_routes_are_linear(data_dir: Path) -> None:
    with serving() as instance:
        routes = [pattern for pattern, _ in instance._routes()]
    assert len(routes) > 80
    assert [found for pattern in routes if (found := growth(pattern, anywhere=False))] == []


@pytest.mark.parametrize(
    "text", [r"(a+)+b", r"\s*x?\s*", r"(a|a)*b", r"(?:ab?)+(?:b?a)+c", r"https?://[^\s/?#]+[^\s]*"]
)
def test_finds_what_is_not_linear(text: str) -> None:
    assert growth(re.compile(text), anywhere=False)


def growth(pattern: re.Pattern[Any], anywhere: bool) -> str | None:
    """The text for which the pattern is not linear."""
    tries = [pattern.fullmatch, *([pattern.search] if anywhere else [])]
    for start, repeated, end in texts(pattern):
        for method in tries:
            if grows(method, pattern, start, repeated, end):
                return f"{pattern.pattern!r}: {start!r} {repeated!r} {end!r}"
    return None


def grows(method: Callable[..., Any], pattern: Any, start: str, repeated: str, end: str) -> bool:
    def spent(length: int) -> float:
        text: Any = start + repeated * (length // len(repeated)) + end
        text = text.encode() if isinstance(pattern.pattern, bytes) else text
        before = time.thread_time()
        method(text)
        return time.thread_time() - before

    tiny = spent(20)  # exponential patterns would not return
    if tiny > NOTICEABLE_SECONDS:
        return True
    if spent(LONG) < NOTICEABLE_SECONDS:
        return False
    return min(spent(LONG) for _ in range(3)) > MAX_GROWTH * min(spent(SHORT) for _ in range(3))


def texts(pattern: re.Pattern[Any]) -> Iterator[tuple[str, str, str]]:
    text = pattern.pattern
    parsed = parser.parse(text, pattern.flags & ~re.UNICODE if isinstance(text, bytes) else 0)
    repeated = {example(item) for item in repeats(parsed)} - {""}
    starts = {"", *beginnings(parsed)}
    for start in sorted(starts):
        for one in sorted(repeated | {" ", '"', "a"}):
            for end in ENDINGS:
                yield start, one, end


def beginnings(parsed: Any) -> Iterator[str]:
    """The beginnings of the shortest match, each up to a part that may come many times."""
    text = ""
    for item in parsed:
        if item[0] not in (op.LITERAL, op.IN, op.AT):
            yield text
        text += example([item])


def repeats(parsed: Any) -> Iterator[Any]:
    """The parts that may come many times, wherever they are."""
    for code, value in parsed:
        if code in (op.MAX_REPEAT, op.MIN_REPEAT):
            if value[1] > 100:
                yield value[2]
            yield from repeats(value[2])
        elif code is op.SUBPATTERN:
            yield from repeats(value[3])
        elif code is op.BRANCH:
            for branch in value[1]:
                yield from repeats(branch)


def example(parsed: Any) -> str:
    """A short text that matches."""
    text = ""
    for code, value in parsed:
        if code is op.LITERAL:
            text += chr(value)
        elif code in (op.NOT_LITERAL, op.ANY):
            text += "a" if value != ord("a") else "b"
        elif code is op.IN:
            text += member(value)
        elif code in (op.MAX_REPEAT, op.MIN_REPEAT):
            text += example(value[2]) * value[0]
        elif code is op.SUBPATTERN:
            text += example(value[3])
        elif code is op.BRANCH:
            text += example(value[1][0])
    return text


def member(kinds: Any) -> str:
    """A character of a class: what it looks like in most texts."""
    characters = [chr(number) for number in range(32, 127)] + ["\t", "\n"]
    negated = kinds[0][0] is op.NEGATE
    inside = [one for one in characters if any(holds(kind, one) for kind in kinds)]
    found = [one for one in characters if (one in inside) != negated]
    return next((one for one in "a0 /" if one in found), found[0] if found else "\u00e9")


def holds(kind: Any, character: str) -> bool:
    code, value = kind
    if code is op.LITERAL:
        return ord(character) == value
    if code is op.RANGE:
        return bool(value[0] <= ord(character) <= value[1])
    if code is op.CATEGORY:
        name = str(value)
        positive = {
            "SPACE": character.isspace(),
            "DIGIT": character.isdigit(),
            "WORD": character.isalnum() or character == "_",
        }[name.rpartition("_")[2]]
        return positive != ("NOT_" in name)
    return False
