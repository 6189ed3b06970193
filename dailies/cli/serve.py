"""The command `dailies serve`."""

from __future__ import annotations

import sys

import click

from dailies.cli.databases import build_lines, build_one
from dailies.cli.options import EXPECTED_ERRORS
from dailies.cli.queues import QUEUES, recover_one, recovered_line
from loaders.registry import DATABASES


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--host", "-h", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", "-p", default=8001, show_default=True, type=click.IntRange(0, 65535), help="TCP port."
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[DATASETTE OPTIONS]...")
def serve(host: str, port: int, options: tuple[str, ...]) -> None:
    """Build and upgrade all databases, then serve them with Datasette.

    Other options are passed to `datasette serve`.
    """
    from dailies.server import serve

    try:
        build_databases()
        recover_jobs()
    except EXPECTED_ERRORS as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    serve(host, port, options)


def build_databases() -> None:
    """Build every database; ValueError if one cannot be built."""
    reports = [build_one(name) for name in DATABASES]
    for line in (line for report in reports for line in build_lines(report)):
        click.echo(line, err=True)
    if errors := [report.error for report in reports if report.error]:
        raise ValueError("; ".join(errors))


def recover_jobs() -> None:
    for name in QUEUES:
        recovered = recover_one(name)
        if recovered.queued or recovered.failed:
            click.echo(recovered_line(name, recovered), err=True)
