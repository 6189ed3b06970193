"""Notices files that are moved, deleted or replaced while the server runs."""

from __future__ import annotations

from functools import partial
from typing import Any

from datasette import hookimpl
from datasette.app import Datasette

from dailies import background
from dailies.storage import reopening


@hookimpl(trylast=True)
def startup(datasette: Datasette) -> Any:
    async def start() -> None:
        if background.enabled.is_set():
            await reopening.open_for_writing(datasette)
            background.start(datasette, reopening.task())

    return start


@hookimpl
def shutdown(datasette: Datasette) -> Any:
    return reopening.finish(datasette)


@hookimpl(trylast=True)
def asgi_wrapper(datasette: Datasette) -> Any:
    return partial(reopening.wrap, datasette)
