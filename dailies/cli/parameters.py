"""Kinds of parameters that several commands take: files, standard input, durations."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

STANDARD_INPUT = Path("-")
PATH = click.Path(allow_dash=True, path_type=Path)
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
DURATION = re.compile(r"(?:[0-9]{1,12}[smhdw])+|[0-9]{1,12}", re.ASCII)
PART = re.compile(r"([0-9]+)([smhdw]?)", re.ASCII)


class Duration(click.ParamType[int]):
    """Seconds, or numbers with units: `90`, `30m`, `12h`, `1d12h`, `2w`."""

    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        text = str(value).strip()
        if not DURATION.fullmatch(text):
            self.fail(f'"{value}" is no duration: write 3600, 30m, 12h, 1d or 2w', param, ctx)
        seconds = sum(int(number) * UNITS[unit or "s"] for number, unit in PART.findall(text))
        if seconds < 1:
            self.fail("must be at least 1 second", param, ctx)
        return seconds


def require_files(*paths: Path) -> None:
    """UsageError for the first that is missing."""
    for path in paths:
        if path != STANDARD_INPUT and not os.path.lexists(path):
            raise click.UsageError(f"{path}: No such file or directory")


@contextmanager
def readable(paths: Sequence[Path], format: str | None) -> Iterator[tuple[list[Path], Path]]:
    """The paths, with a file instead of `-` that holds what standard input has; and that file."""
    require_files(*paths)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "standard-input"
        if STANDARD_INPUT in paths:
            if format is None:
                raise click.UsageError("standard input has no suffix: name its format by --format")
            if list(paths).count(STANDARD_INPUT) > 1:
                raise click.UsageError("standard input (-) can be read only once")
            with file.open("wb") as target:
                shutil.copyfileobj(sys.stdin.buffer, target)
        yield [file if path == STANDARD_INPUT else path for path in paths], file


def naming_standard_input(errors: list[dict[str, Any]], file: Path) -> None:
    """Have errors name `-` instead of the file that held standard input."""
    for error in errors:
        for key in ("source", "reason"):
            if isinstance(error.get(key), str):
                error[key] = error[key].replace(str(file), "-")
