"""What all commands share: common arguments, output, and exit codes."""

from __future__ import annotations

import functools
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import click

from dailies.cli.tables import Rows, print_rows
from loaders.errors import DAMAGED, REASONS, code_of, describe_error
from loaders.registry import DATABASES

Command = Callable[..., Any]
Result = TypeVar("Result")

# Errors that exit with 1 and a message; errors of the domain are ValueError.
EXPECTED_ERRORS = (ValueError, OSError, sqlite3.Error)


class Output(NamedTuple):
    """The result of a command: `document` with --json, otherwise `rows` and `lines`.

    `messages` go to stderr. The exit code is 1 if the document's `ok` is false.
    """

    document: Mapping[str, Any]
    lines: Iterable[str] = ()
    messages: Iterable[str] = ()
    rows: Rows | None = None


def command(function: Callable[..., Output]) -> Command:
    """Add --json to a command, print its output and exit with 0 or 1."""

    @click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
    @functools.wraps(function)
    def run(*args: Any, as_json: bool, **options: Any) -> None:
        try:
            output = function(*args, **options)
        except EXPECTED_ERRORS as error:
            output = error_output(error)
        if as_json:
            click.echo(json.dumps(output.document, ensure_ascii=False, indent=2))
        else:
            if output.rows is not None:
                print_rows(output.rows)
            for line in output.lines:
                click.echo(line)
        for message in output.messages:
            click.echo(message, err=True)
        sys.exit(0 if output.document["ok"] else 1)

    return run


def for_each(
    names: Iterable[str], work: Callable[[str], Result]
) -> tuple[dict[str, Result], list[str]]:
    """The results of `work` by name, and the errors: one that fails does not stop the others."""
    results: dict[str, Result] = {}
    errors = []
    for name in names:
        try:
            results[name] = work(name)
        except EXPECTED_ERRORS as error:
            errors.append(f"{name}: {error_text(error)}")
    return results, errors


def error_text(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, sqlite3.Error) and code_of(error) in (*REASONS, *DAMAGED):
        return f"the database {describe_error(error)}"
    return str(error)


def error_output(error: Exception) -> Output:
    """The output for an error; `errors` has one entry for each fault."""
    text = error_text(error)
    document = {"ok": False, "error": text, "errors": getattr(error, "messages", [text])}
    return Output(document, messages=[f"Error: {text}"])


class DatabaseName(click.ParamType[str]):
    """One of the names in the registry, or of the few that a command accepts."""

    name = "database"

    def __init__(self, names: tuple[str, ...] = tuple(DATABASES)) -> None:
        self.names = names

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        if value not in self.names:
            choices = ", ".join(self.names)
            self.fail(f'unknown database "{value}": choose from {choices}', param, ctx)
        return str(value)


def set_timezone(_context: click.Context, _option: click.Parameter, value: str | None) -> None:
    """Set the environment variable, which is where all code reads the time zone."""
    from loaders.times import timezone

    if value is None:
        return
    try:
        timezone(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    os.environ["DAILIES_TIMEZONE"] = value


NAME = click.argument("name", type=DatabaseName())
NAMES = click.argument("names", nargs=-1, type=DatabaseName(), metavar="[NAME]...")
TIMEZONE = click.option(
    "--timezone",
    callback=set_timezone,
    expose_value=False,
    help="Time zone of times without one, such as Europe/Berlin. Default: DAILIES_TIMEZONE or UTC.",
)
