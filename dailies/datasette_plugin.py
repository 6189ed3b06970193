"""Has `datasette FILE...` serve databases of Dailies as closed as `dailies serve` does.

Other files are served as if Dailies were not installed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

import click
import pluggy

hookimpl = pluggy.HookimplMarker("datasette")  # datasette.hookimpl, which imports this module


@hookimpl
def register_commands(cli: click.Group) -> None:
    command = cli.commands["serve"]
    if command.callback:
        command.callback = serving_ours_closed(command.callback)


def serving_ours_closed(serve: Callable[..., Any]) -> Callable[..., Any]:
    """Datasette's function `serve`, except for databases of Dailies."""

    @wraps(serve)
    def checked(**given: Any) -> Any:
        if not any(map(is_ours, files_in([*given["files"], *given["immutable"]]))):
            return serve(**given)
        from dailies.cli.serve import build_databases
        from dailies.server import complete
        from dailies.server import serve as serve_closed

        configs = [Path(given["config"].name)] if given["config"] else []
        arguments = complete(given, configs)
        build_databases()
        return serve_closed(arguments)

    return checked


def files_in(names: list[str]) -> Iterator[Path]:
    """The files named and, as Datasette has it, the databases in a folder."""
    for path in map(Path, names):
        if path.is_dir():
            yield from (file for file in path.iterdir() if file.is_file())
        else:
            yield path


def is_ours(path: Path) -> bool:
    from dailies.storage.extra import kind_of

    with suppress(sqlite3.Error, OSError):
        return bool(kind_of(path))
    return False
