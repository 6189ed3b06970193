"""Reads `canned_queries/charts.yml`: chart name -> what it draws of which query, and how."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from dailies.canned_queries import CHARTS, read_named

DATUM = re.compile(r"\bdatum\.(\w+)")


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(Part):
    """A query of the same database in whose `column` the values to choose from stand.

    It gets the parameters of the same name that the form has before.
    """

    query: str
    column: str
    label: str | None = None


class Range(Part):
    min: int
    max: int


class Field(Part):
    """The control for the query's parameter of that name: a list, a box with a list, or a number.

    Left empty it means the choice called `empty`, else the first `default` with which there is
    something to draw, else the first value offered.
    """

    label: str
    choices: Source | None = None
    suggestions: Source | None = None
    number: Range | None = None
    empty: str | None = None
    default: tuple[str, ...] = ()

    @property
    def source(self) -> Source | None:
        return self.choices or self.suggestions


class Spec(Part):
    """The part of Vega-Lite that a chart may use: the data are the query's and no other."""

    transform: list[dict[str, Any]] = []
    mark: str | dict[str, Any] | None = None
    encoding: dict[str, dict[str, Any] | list[dict[str, Any]]] = {}
    layer: list[Spec] | None = None

    @model_validator(mode="after")
    def draws(self) -> Spec:
        if (self.mark is None) == (self.layer is None):
            raise ValueError("must have either a mark or layers")
        return self

    @property
    def parts(self) -> list[Spec]:
        return [self, *(part for layer in self.layer or [] for part in layer.parts)]


class Chart(Part):
    name: str
    title: str
    description: str
    database: str
    query: str
    form: dict[str, Field] = {}
    spec: Spec

    @property
    def where(self) -> str:
        return f'{CHARTS}: chart "{self.name}"'

    @property
    def sources(self) -> list[Source]:
        return [field.source for field in self.form.values() if field.source]

    @property
    def queries(self) -> list[str]:
        """The names of all queries that it asks."""
        return list(dict.fromkeys([self.query, *(source.query for source in self.sources)]))


def read_charts(folder: Path) -> dict[str, Chart]:
    """Every chart by its name; ValueError naming file and chart for what is wrong."""
    path = folder / CHARTS
    named = read_named(path, "charts") if path.exists() else {}
    return {name: read_chart(name, chart) for name, chart in named.items()}


def read_chart(name: str, chart: Any) -> Chart:
    where = f'{CHARTS}: chart "{name}"'
    if not isinstance(chart, dict):
        raise ValueError(f"{where}: has no title, description, database, query and spec")
    try:
        return Chart.model_validate({**chart, "name": name})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {place}: {first['msg']}") from error


def check_columns(chart: Chart, columns: Mapping[str, Collection[str]]) -> None:
    """ValueError if it names a column that its query, one of `columns`, does not give."""
    spec = chart.spec.model_dump(exclude_none=True)
    wanted = [(chart.query, name) for name in used(spec) if name not in set(made(spec))]
    wanted += [(source.query, source.column) for source in chart.sources]
    wanted += [(source.query, source.label) for source in chart.sources if source.label]
    for query, column in wanted:
        if column not in columns[query]:
            raise ValueError(f'{chart.where}: the query {query} gives no column "{column}"')


def measures(chart: Chart, columns: Collection[str]) -> list[str]:
    """The query's columns whose numbers it draws: a row with none of them shows nothing.

    All of its columns where it draws none of them, as a chart does that only counts rows.
    """
    parts = chart.spec.parts
    channels = [channel for part in parts for channel in part.encoding.values()]
    drawn = {
        channel["field"]
        for channel in channels
        if isinstance(channel, dict)
        and channel.get("type") == "quantitative"
        and "field" in channel
    }
    for step in reversed([step for part in parts for step in part.transform]):
        if drawn & set(made(step)):
            drawn |= set(used(step))
    return [column for column in columns if column in drawn] or list(columns)


def used(part: Any) -> Iterator[str]:
    """The fields that a part of a spec reads."""
    if isinstance(part, list):
        for item in part:
            yield from used(item)
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "field":
                yield value
            elif key in ("fold", "groupby"):
                yield from value
            elif key in ("calculate", "filter") and isinstance(value, str):
                yield from DATUM.findall(value)
            else:
                yield from used(value)


def made(part: Any) -> Iterator[str]:
    """The fields that a part of a spec makes."""
    if isinstance(part, list):
        for item in part:
            yield from made(item)
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "as":
                yield from [value] if isinstance(value, str) else value
            else:
                yield from made(value)
