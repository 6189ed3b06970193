"""Cases of the drill: functions that break or attack something, and count what was lost."""

from __future__ import annotations

import importlib
import pkgutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from drill.site import Site

MAX_DELAY_SECONDS = 1.0
UNTIMED_WATCH_INTERVAL_SECONDS = 0.2  # only that there is an answer counts


@dataclass
class Run:
    """One run of a case: its empty folder, and what was counted.

    `tries` counts repetitions, `lost` acknowledged writes that are gone, `delay` is the longest
    time in seconds that another client waited for an answer.
    """

    folder: Path
    quick: bool
    tries: int = 0
    lost: int = 0
    delay: float = 0.0
    notes: list[str] = field(default_factory=list)

    def repeat(self, full: int, quick: int = 1) -> Iterator[Path]:
        """Yield a new folder for each try: `full` times in `just drill`, `quick` in the tests."""
        for _ in range(quick if self.quick else full):
            self.tries += 1
            folder = self.folder / str(self.tries)
            folder.mkdir()
            yield folder

    @contextmanager
    def serving(self, folder: Path, *options: str, **settings: str) -> Iterator[Site]:
        """A server over `folder / "data"`, whose longest delay is counted by `site.watched()`."""
        with Site(folder / "data", *options, **settings) as site, self.counting_delays(site):
            yield site

    @contextmanager
    def counting_delays(self, site: Site) -> Iterator[None]:
        """Count the longest delay from now on, watched closely if it matters."""
        site.longest_delay = 0.0
        if self.quick:
            site.watch_interval = UNTIMED_WATCH_INTERVAL_SECONDS
        yield
        self.delay = max(self.delay, site.longest_delay)


@dataclass(frozen=True)
class Case:
    title: str
    in_quick: bool
    function: Callable[[Run], None]

    def run(self, folder: Path, *, quick: bool, timed: bool = True) -> Run:
        """Run the case; AssertionError when a promise was broken.

        Delays count only if `timed`: where nothing else keeps the machine busy.
        """
        run = Run(folder, quick)
        self.function(run)
        leftover = [thread.name for thread in threading.enumerate() if thread.name == "drill"]
        assert not leftover, "a client of the drill is still running"
        assert run.lost == 0, f"{run.lost} acknowledged writes are lost"
        late = timed and run.delay >= MAX_DELAY_SECONDS
        assert not late, f"another client waited {run.delay:.2f} s"
        return run


_cases: list[Case] = []


def case(title: str, *, quick: bool = True) -> Callable[[Callable[[Run], None]], Callable]:
    """Register a function as a case; with `quick=False` it runs in `just drill` only."""

    def register(function: Callable[[Run], None]) -> Callable[[Run], None]:
        _cases.append(Case(title, quick, function))
        return function

    return register


def all_cases() -> list[Case]:
    """Every case of every module of this package, by module and then as written."""
    package = importlib.import_module("drill")
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda found: found.name):
        if module.name != "__main__":
            importlib.import_module(f"drill.{module.name}")
    return list(_cases)
