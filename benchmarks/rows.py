"""The rows that every measurement gives, and the tables made of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

BEGIN, END = "<!-- bench -->", "<!-- /bench -->"
HEADINGS = ("Dailies", "ratio to", "target", "met")


@dataclass(frozen=True)
class Row:
    """One value of ours, and the peer's; `ratio` is above 1 where ours is the better one.

    The target is the least ratio, or the limit of our own value.
    """

    name: str
    ours: float
    unit: str
    direction: Literal["more", "less"]  # which is better
    peer: str = ""
    theirs: float | None = None
    least_ratio: float | None = None
    limit: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        if not self.theirs or not self.ours:
            return None
        return self.ours / self.theirs if self.direction == "more" else self.theirs / self.ours

    @property
    def target(self) -> str:
        if self.least_ratio is not None:
            return f"{self.peer} ≥ {shown(self.least_ratio)}"
        if self.limit is not None:
            return f"{'≥' if self.direction == 'more' else '≤'} {shown(self.limit)} {self.unit}"
        return ""

    @property
    def met(self) -> bool | None:
        """None if there is no target, or nothing to compare with."""
        if self.least_ratio is not None:
            return None if self.ratio is None else self.ratio >= self.least_ratio
        if self.limit is None:
            return None
        return self.ours >= self.limit if self.direction == "more" else self.ours <= self.limit

    def __str__(self) -> str:
        beside = "" if self.ratio is None else f", ratio to {self.peer} {shown(self.ratio, 2)}"
        return f"{self.name}: {shown(self.ours)} {self.unit}{beside}"

    def as_dict(self) -> dict[str, Any]:
        ratio = None if self.ratio is None else float(f"{self.ratio:.3g}")
        return {
            **dataclasses.asdict(self),
            "ratio": ratio,
            "target": self.target,
            "met": self.met,
        }


def from_dict(values: dict[str, Any]) -> Row:
    return Row(**{field.name: values[field.name] for field in dataclasses.fields(Row)})


def compared(row: Row, theirs: Mapping[str, float | None]) -> Iterator[Row]:
    """The row beside its own peer, or else the first, with the target; then beside the others."""
    own = row.peer or next(iter(theirs), "")
    yield dataclasses.replace(row, peer=own, theirs=theirs.get(own))
    for peer, value in theirs.items():
        if peer != own:
            yield dataclasses.replace(row, peer=peer, theirs=value, least_ratio=None, limit=None)


def shown(value: float, significant: int = 3) -> str:
    """So many digits that count, at least, and commas between thousands."""
    if value == 0:
        return "0"
    digits = max(0, significant - 1 - math.floor(math.log10(abs(value))))
    text = f"{round(value, digits):,.{min(digits, 4)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def table(rows: Iterable[Row], title: str = "") -> str:
    """Markdown: a line for each name, with the ratios to all its peers."""
    headings = (title, *HEADINGS)
    lines = [cells(list(group)) for _, group in groupby(rows, key=lambda row: row.name)]
    return "\n".join(
        "| " + " | ".join(line) + " |" for line in [headings, ("---",) * len(headings), *lines]
    )


def cells(rows: list[Row]) -> tuple[str, ...]:
    first = rows[0]
    arrow = "↑" if first.direction == "more" else "↓"
    compared = [f"{row.peer} {shown(row.ratio, 2)}" for row in rows if row.ratio is not None]
    targets = [row.target for row in rows if row.target]
    mets = [{True: "yes", False: "**no**", None: ""}[row.met] for row in rows if row.target]
    ours = f"{shown(first.ours)} {first.unit} {arrow}"
    return first.name, ours, ", ".join(compared), "; ".join(targets), "; ".join(mets)


def write_between_marks(path: Path, text: str) -> None:
    path.write_text(replace_between_marks(path.read_text(), text))


def replace_between_marks(document: str, text: str) -> str:
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the marks {BEGIN} and {END} are missing")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"
