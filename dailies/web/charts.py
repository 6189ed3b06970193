"""Read and check `canned_queries/charts.yml`: chart name -> title, query, form, Vega-Lite spec."""

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
    """A query of the same database whose `column` has the values to choose from.

    Its parameters get the values of earlier fields with the same name.
    """

    query: str
    column: str
    label: str | None = None


class Range(Part):
    min: int
    max: int


class Field(Part):
    """The control for the query parameter of the same name: a list, a text box with suggestions
    or a number.

    If left empty, its value is the choice called `empty`, else the first `default` with which the
    query returns numbers, else the first choice.
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
    """The part of Vega-Lite that a chart may use; its data are always the rows of the query."""

    transform: list[dict[str, Any]] = []
    mark: str | dict[str, Any] | None = None
    encoding: dict[str, dict[str, Any] | list[dict[str, Any]]] = {}
    layer: list[Spec] | None = None

    @model_validator(mode="after")
    def check_marks(self) -> Spec:
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
        """The names of the queries for its rows and its choices."""
        return list(dict.fromkeys([self.query, *(source.query for source in self.sources)]))


def read_charts(folder: Path) -> dict[str, Chart]:
    """Every chart by name; ValueError with the file and chart if one is invalid."""
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
    """ValueError if the chart uses a column that its query does not return.

    `columns` has the columns of each query.
    """
    spec = chart.spec.model_dump(exclude_none=True)
    made = set(fields_made(spec))
    wanted = [(chart.query, name) for name in fields_read(spec) if name not in made]
    wanted += [(source.query, source.column) for source in chart.sources]
    wanted += [(source.query, source.label) for source in chart.sources if source.label]
    for query, column in wanted:
        if column not in columns[query]:
            raise ValueError(f'{chart.where}: the query {query} returns no column "{column}"')


def measures(chart: Chart, columns: Collection[str]) -> list[str]:
    """The columns with the numbers that the chart draws; all columns if it only counts rows.

    Rows in which they are all null draw nothing.
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
        if drawn & set(fields_made(step)):
            drawn |= set(fields_read(step))
    return [column for column in columns if column in drawn] or list(columns)


def fields_read(part: Any) -> Iterator[str]:
    """The fields that a part of a spec uses."""
    if isinstance(part, list):
        for item in part:
            yield from fields_read(item)
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "field":
                yield value
            elif key in ("fold", "groupby"):
                yield from value
            elif key in ("calculate", "filter") and isinstance(value, str):
                yield from DATUM.findall(value)
            else:
                yield from fields_read(value)


def fields_made(part: Any) -> Iterator[str]:
    """The fields that transforms in a part of a spec add."""
    if isinstance(part, list):
        for item in part:
            yield from fields_made(item)
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "as":
                yield from [value] if isinstance(value, str) else value
            else:
                yield from fields_made(value)
