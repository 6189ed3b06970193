"""Takes jobs back from workers that stopped, while `dailies serve` runs."""

from __future__ import annotations

from datasette import hookimpl
from datasette.app import Datasette

from dailies import background, recovery


@hookimpl
def startup(datasette: Datasette) -> None:
    for task in recovery.tasks():
        background.start(datasette, task)
