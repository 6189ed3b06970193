"""Adds `sqlite-utils dailies ...`, the commands of Dailies.

What goes wrong here must not break sqlite-utils, which loads this whatever it is asked to do: a
folder `loaders` of somebody else's may come before ours on the path.
"""

from __future__ import annotations

import click
import pluggy

hookimpl = pluggy.HookimplMarker("sqlite_utils")  # sqlite_utils.hookimpl, which is slow to import


@hookimpl
def register_commands(cli: click.Group) -> None:
    try:
        from dailies.cli.main import main
    except Exception as error:  # noqa: BLE001 - whatever another's module raises
        click.echo(f"Warning: there is no `sqlite-utils dailies`: {error}", err=True)
    else:
        cli.add_command(main, name="dailies")
