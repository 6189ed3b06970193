"""What all commands share: the names of databases, and how a command ends."""

from __future__ import annotations

import functools
import json
import sqlite3
import sys
from collections.abc import Callable
from typing import Any

import click

from loaders.registry import DATABASES

Command = Callable[..., Any]


class DatabaseName(click.ParamType[str]):
    """One of the names in the registry, or of the few that a command is for."""

    name = "database"

    def __init__(self, names: tuple[str, ...] = tuple(DATABASES)) -> None:
        self.names = names

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        if value not in self.names:
            self.fail(f'"{value}" is no database: choose from {", ".join(self.names)}', param, ctx)
        return str(value)


NAME = click.argument("name", type=DatabaseName())
NAMES = click.argument("names", nargs=-1, type=DatabaseName(), metavar="[NAME]...")


def command(function: Command) -> Command:
    """Print the document and the lines that `function` returns.

    `ok: false` in the document exits with 1; so does an error, as a message and never a traceback.
    """

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
    @functools.wraps(function)
    def run(*args: Any, as_json: bool, **options: Any) -> None:
        try:
            document, lines = function(*args, **options)
        except (ValueError, OSError, sqlite3.Error) as error:
            document = {"ok": False, "error": str(error), "errors": [str(error)]}
            lines = [f"Error: {error}"]
        if as_json:
            click.echo(json.dumps(document, ensure_ascii=False, indent=2))
        for line in lines:
            click.echo(line, err=True)
        sys.exit(0 if document["ok"] else 1)

    return run
