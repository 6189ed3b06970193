"""Rows as a table on a terminal, and as one line each for other programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

Rows = Sequence[Mapping[str, Any]]

MIN_COLUMN_WIDTH = 12  # with its border


def print_rows(rows: Rows) -> None:
    if sys.stdout.isatty():
        from rich.console import Console  # here: it is slow to load

        print_table(rows, Console())
    else:
        for line in lines_of(rows):
            click.echo(line)


def lines_of(rows: Rows) -> Iterator[str]:
    for row in rows:
        yield ", ".join(
            f"{name} {text_of(value)}" for name, value in row.items() if value is not None
        )


def print_table(rows: Rows, console: Console) -> None:
    """A column for each name; one row stands upright, with a line for each name."""
    from rich import box
    from rich.table import Table

    if not rows:
        console.print("no rows")
        return
    table = Table(box=box.SIMPLE_HEAD, show_header=len(rows) > 1, pad_edge=False)
    names = [name for name in names_of(rows) if any(row.get(name) is not None for row in rows)]
    if len(rows) == 1:
        table.add_column(style="bold", no_wrap=True)
        table.add_column()
        for name in names:
            table.add_row(name, cell(rows[0][name]))
        console.print(table)
        return
    shown = names[: max(2, console.width // MIN_COLUMN_WIDTH)]
    for name in shown:
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(cell(row.get(name)) for name in shown))
    console.print(table)
    if others := names[len(shown) :]:
        console.print(f"not shown: {', '.join(others)} (see --json)", style="dim", highlight=False)


def names_of(rows: Rows) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def cell(value: Any) -> Any:
    from rich.text import Text  # plain: the text may look like markup

    return Text("" if value is None else text_of(value))


def text_of(value: Any) -> str:
    """A value in one line, without characters that a terminal would obey."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "".join(
        character if character.isprintable() else json.dumps(character)[1:-1] for character in text
    )
