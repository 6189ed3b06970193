"""Work that `dailies serve` repeats while it runs. What fails is logged and tried again."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from weakref import WeakKeyDictionary

from datasette.app import Datasette

log = logging.getLogger("dailies")

enabled = threading.Event()  # set by `dailies serve`

_failures: WeakKeyDictionary[Datasette, dict[str, str]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Task:
    """Work to be repeated; `name` says what it does, for messages."""

    name: str
    seconds: float
    work: Callable[[Datasette], Awaitable[None]]


def failures(datasette: Datasette) -> Mapping[str, str]:
    """The tasks whose last run failed, and the error."""
    return _failures.get(datasette, {})


def start(datasette: Datasette, task: Task) -> None:
    """Repeat the task while `dailies serve` runs; nothing happens in a Datasette of its own."""
    if enabled.is_set():
        datasette.add_background_task(partial(repeat, task=task), name=task.name)


async def repeat(datasette: Datasette, task: Task) -> None:
    """Run the task again and again, whatever it raises, until it is cancelled."""
    while True:
        await run_once(datasette, task)
        await asyncio.sleep(task.seconds)


async def run_once(datasette: Datasette, task: Task) -> None:
    failed = _failures.setdefault(datasette, {})
    try:
        await task.work(datasette)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the server goes on
        text = f"{type(error).__name__}: {error}"
        if failed.get(task.name) != text:  # a lasting error is logged once
            log.error("%s failed: %s", task.name, text)  # noqa: TRY400
        failed[task.name] = text
    else:
        failed.pop(task.name, None)
