"""Reads a migration's SQL file as statements, so that it can be executed within a transaction.

`sqlite3.Connection.executescript` would commit the open transaction first.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent
CREATES = re.compile(
    r"create (?P<kind>table|virtual table|unique index|index|view|trigger)"
    r' (?:if not exists )?"?(?P<name>\w+)"?',
    re.IGNORECASE,
)


class Statement(NamedTuple):
    """One SQL statement; `kind` is table, virtual table, index, view, trigger or empty."""

    kind: str
    name: str
    sql: str


@cache
def statements(database: str, migration: str = "m001_create") -> tuple[Statement, ...]:
    """The statements of `migrations/<database>/<migration>.sql`, in their order."""
    text = (FOLDER / database / f"{migration}.sql").read_text(encoding="utf-8")
    return tuple(to_statement(sql) for sql in split(text))


def split(text: str) -> Iterator[str]:
    """The statements of a script. A trigger's body holds semicolons, which do not end it."""
    lines: list[str] = []
    for line in text.splitlines():
        if not lines and (not line.strip() or line.startswith("--")):
            continue
        lines.append(line)
        statement = "\n".join(lines)
        if sqlite3.complete_statement(statement):
            yield statement
            lines.clear()
    if lines:
        raise ValueError(f"unfinished SQL statement: {lines[0]}")


def to_statement(sql: str) -> Statement:
    found = CREATES.match(sql)
    if not found:
        return Statement("", "", sql)
    return Statement(found["kind"].lower().removeprefix("unique "), found["name"], sql)


def execute(connection: sqlite3.Connection, script: Iterable[Statement]) -> None:
    for statement in script:
        connection.execute(statement.sql)
