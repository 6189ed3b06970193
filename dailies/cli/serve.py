"""The commands `dailies serve` and `dailies demo`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from dailies.cli.databases import build_lines, build_one
from loaders.registry import DATABASES

CHECK_SECONDS = 0.05  # so that a large file does not delay the start


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--host", "-h", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", "-p", default=8001, show_default=True, type=click.IntRange(0, 65535), help="TCP port."
)
@click.option(
    "--config",
    "-c",
    "configs",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML or JSON file to merge over metadata.yml; repeatable.",
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[FILE | DATASETTE OPTION]...")
def serve(host: str, port: int, configs: tuple[Path, ...], options: tuple[str, ...]) -> None:
    """Build and upgrade all databases, then serve them with Datasette.

    Each FILE is another SQLite database, which is served read-only. Other options are those of
    `datasette serve`.
    """
    start(host, port, configs, options)


@click.command(context_settings={"ignore_unknown_options": True})
def demo(host: str, port: int, configs: tuple[Path, ...], options: tuple[str, ...]) -> None:
    """Add sample rows to databases that never had rows, then serve as `dailies serve` does."""
    start(host, port, configs, options, sample=True)


demo.params += serve.params


def start(
    host: str,
    port: int,
    configs: Iterable[Path],
    options: Iterable[str],
    *,
    sample: bool = False,
) -> None:
    from dailies import server

    arguments = server.parse(host, port, configs, options)
    build_databases(sample=sample)
    server.serve(arguments)


def build_databases(*, sample: bool = False) -> None:
    """Build every database; one that cannot be built is reported, and not served."""
    for name in DATABASES:
        report = build_one(name, sample, check_seconds=CHECK_SECONDS)
        for line in build_lines(report):
            click.echo(line, err=True)
        if report.error:
            click.echo(f"Error: {report.error}", err=True)
