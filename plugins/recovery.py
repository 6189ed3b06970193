"""Takes jobs back from workers that stopped, while `dailies serve` runs."""

from __future__ import annotations

from functools import partial

from datasette import hookimpl
from datasette.app import Datasette

from dailies import background, recovery


@hookimpl
def startup(datasette: Datasette) -> None:
    if background.enabled.is_set():
        for task in recovery.tasks():
            datasette.add_background_task(partial(background.repeat, task=task), name=task.name)
