"""The command line: `dailies ...`, also available as `sqlite-utils dailies ...`.

Commands import the code that they run inside their functions, so that `dailies --help` is fast.
Exit codes: 0 done, 1 done but with problems, 2 bad usage.
"""

from __future__ import annotations

import click

from dailies.cli import databases, files, init, jobs, queues, serve, tokens
from loaders.registry import load_environment


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="datasette-dailies")
def main() -> None:
    """Import, check and serve the data of short-form video pipelines.

    NAME in the commands is a database: campaigns, yt-builder, presentation_jobs, trends, metrics or
    image_library. Commands with [NAME]... act on all of them if none is named.
    """
    load_environment()


COMMANDS = (
    databases.build,
    databases.check,
    databases.info,
    databases.vacuum,
    databases.backup,
    databases.restore,
    files.import_files,
    files.export,
    files.verify,
    queues.cleanup,
    queues.recover,
    jobs.jobs,
    tokens.token,
    serve.serve,
    serve.demo,
    init.init,
)
for command in COMMANDS:
    main.add_command(command)


if __name__ == "__main__":
    main()
