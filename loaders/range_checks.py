"""Old rows that break today's rules: they stay, and `dailies check` names them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping

from loaders.checks import shortened
from loaders.migrations.rules import Rule


def broken_rules(
    connection: sqlite3.Connection, rules: Mapping[str, Iterable[Rule]]
) -> Iterator[str]:
    """One line for each rule that rows break, by table; their numbers are named."""
    for table, of_table in rules.items():
        for rule in of_table:
            rows = connection.execute(
                f"select id from {table} where {rule.broken.format(rule.column)} order by id"  # noqa: S608
            )
            ids = [str(number) for (number,) in rows]
            if ids:
                yield f"{table}.{rule.column} {rule.message}: {shortened(ids)}"
