"""The command `dailies init`."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from dailies.home import HOME


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def init(folder: Path) -> None:
    """Write a FOLDER for metadata, plugins, templates and queries of your own.

    `dailies serve`, started in the folder, merges them over those of Dailies.
    """
    if folder.exists() and any(folder.iterdir()):
        raise click.UsageError(f"{folder} is not empty: name a new folder")
    shutil.copytree(HOME / "starter", folder, dirs_exist_ok=True)
    click.echo(f"{folder}: read README.md there, then run `dailies serve` in it")
