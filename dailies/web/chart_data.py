"""The data of a chart's page: the values and choices of its form, and the rows of its query."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from datasette.app import Datasette
from datasette.database import QueryInterrupted, Results
from datasette.resources import QueryResource
from jinja2.utils import htmlsafe_json_dumps

from dailies.auth.permissions import Actor
from dailies.datasette_compat import CustomJSONEncoder
from dailies.web.charts import Chart, Field, Source, measures
from dailies.web.pages.viewer import run_canned

FAILURES = (sqlite3.Error, QueryInterrupted)

Values = Mapping[str, str]


class Form(NamedTuple):
    """For each control its value, and its choices: values with their labels."""

    values: dict[str, str]
    choices: dict[str, dict[str, str]]


async def can_run(datasette: Datasette, actor: Actor, database: str, query: str) -> bool:
    resource = QueryResource(database=database, query=query)
    return bool(await datasette.allowed(action="view-query", resource=resource, actor=actor))


async def read_form(datasette: Datasette, actor: Actor, chart: Chart, given: Values) -> Form:
    """The form with the values in the address, and defaults for the others."""
    form = Form({}, {})
    for name, field in chart.form.items():
        choices: dict[str, str] = {}
        if field.source:
            choices = await find_choices(
                datasette, actor, chart.database, field.source, form.values
            )
        value = given[name] or default_value(field, choices)
        if field.choices and value:
            choices.setdefault(value, value)
        form.values[name] = value
        form.choices[name] = choices
    return form


def default_value(field: Field, choices: Values) -> str:
    if field.default:
        return field.default[0]
    return "" if field.empty else next(iter(choices), "")


async def find_choices(
    datasette: Datasette, actor: Actor, database: str, source: Source, values: Values
) -> dict[str, str]:
    """Values with their labels; none if the actor may not see the query, or it fails."""
    if not await can_run(datasette, actor, database, source.query):
        return {}
    try:
        results = await run_canned(datasette, database, source.query, values)
    except FAILURES:
        return {}
    label = source.label or source.column
    return {
        str(row[source.column]): str(row[label] or row[source.column])
        for row in results.rows
        if row[source.column] is not None
    }


async def read_rows(
    datasette: Datasette, chart: Chart, form: Form, given: Values
) -> dict[str, Any]:
    """The variables of the template: the rows and the values used, or the failure."""
    found: dict[str, Any] = {}
    for values in attempts(chart, form, given):
        try:
            results = await run_canned(datasette, chart.database, chart.query, values)
        except FAILURES as error:
            return {"values": values, "failure": reason(error)}
        found = {"values": values, **chart_rows(chart, results)}
        if not found["empty"]:
            break
    return found


def attempts(chart: Chart, form: Form, given: Values) -> Iterator[dict[str, str]]:
    """The form's values, then those with the further defaults of fields that were left empty."""
    yield form.values
    for name, field in chart.form.items():
        if not given[name]:
            for default in field.default[1:]:
                yield form.values | {name: default}


def chart_rows(chart: Chart, results: Results) -> dict[str, Any]:
    """The rows, and the data for static/charts.js."""
    rows = [dict(zip(results.columns, row, strict=True)) for row in results.rows]
    columns = measures(chart, results.columns)
    data = {"spec": chart.spec.model_dump(exclude_unset=True), "rows": rows}
    return {
        "columns": results.columns,
        "rows": rows,
        "empty": all(row[column] is None for row in rows for column in columns),
        "truncated": results.truncated,
        "data": htmlsafe_json_dumps(data, dumps=json.dumps, cls=CustomJSONEncoder),
    }


def reason(error: Exception) -> str:
    return "it took too long" if isinstance(error, QueryInterrupted) else str(error)
