"""What the page of a chart shows: what its form offers and holds, and the rows of its query."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from datasette.app import Datasette
from datasette.database import QueryInterrupted, Results
from datasette.resources import QueryResource
from datasette.utils import named_parameters
from jinja2.utils import htmlsafe_json_dumps

from dailies.auth.permissions import Actor
from dailies.datasette_compat import CustomJSONEncoder
from dailies.web.charts import Chart, Field, Source, measures

FAILURES = (sqlite3.Error, QueryInterrupted)

Values = Mapping[str, str]


class Form(NamedTuple):
    """Of each control, the value, and what it offers: values with their labels."""

    values: dict[str, str]
    choices: dict[str, dict[str, str]]


def resource(database: str, query: str) -> QueryResource:
    return QueryResource(database=database, query=query)


async def may_see(datasette: Datasette, actor: Actor, database: str, query: str) -> bool:
    asked = resource(database, query)
    return bool(await datasette.allowed(action="view-query", resource=asked, actor=actor))


async def read_form(datasette: Datasette, actor: Actor, chart: Chart, given: Values) -> Form:
    """The form with the values that the reader has given."""
    form = Form({}, {})
    for name, field in chart.form.items():
        offered: dict[str, str] = {}
        if field.source:
            offered = await offers(datasette, actor, chart.database, field.source, form.values)
        value = given[name] or value_of_empty(field, offered)
        if field.choices and value:
            offered.setdefault(value, value)
        form.values[name] = value
        form.choices[name] = offered
    return form


def value_of_empty(field: Field, offered: Values) -> str:
    if field.default:
        return field.default[0]
    return "" if field.empty else next(iter(offered), "")


async def offers(
    datasette: Datasette, actor: Actor, database: str, source: Source, values: Values
) -> dict[str, str]:
    """Values with their labels; none where the query is not for this actor, or fails."""
    if not await may_see(datasette, actor, database, source.query):
        return {}
    try:
        results = await ask(datasette, database, source.query, values)
    except FAILURES:
        return {}
    label = source.label or source.column
    return {
        str(row[source.column]): str(row[label] or row[source.column])
        for row in results.rows
        if row[source.column] is not None
    }


async def ask(datasette: Datasette, database: str, query: str, values: Values) -> Results:
    """What the query gives with these values, and every other parameter left empty."""
    sql = (await datasette.get_query(database, query)).sql
    parameters = {name: values.get(name, "") for name in named_parameters(sql)}
    return await datasette.databases[database].execute(sql, parameters, truncate=True)


async def draw(datasette: Datasette, chart: Chart, form: Form, given: Values) -> dict[str, Any]:
    """The rows and the values that gave them, or why there are none."""
    shown: dict[str, Any] = {}
    for values in attempts(chart, form, given):
        try:
            results = await ask(datasette, chart.database, chart.query, values)
        except FAILURES as error:
            return {"values": values, "failure": reason(error)}
        shown = {"values": values, **drawing(chart, results)}
        if not shown["empty"]:
            break
    return shown


def attempts(chart: Chart, form: Form, given: Values) -> Iterator[dict[str, str]]:
    """The form's values, and then those with later defaults for what the reader left empty."""
    yield form.values
    for name, field in chart.form.items():
        if not given[name]:
            for default in field.default[1:]:
                yield form.values | {name: default}


def drawing(chart: Chart, results: Results) -> dict[str, Any]:
    """The rows, and what static/charts.js needs to draw them."""
    rows = [dict(zip(results.columns, row, strict=True)) for row in results.rows]
    drawn = measures(chart, results.columns)
    data = {"spec": chart.spec.model_dump(exclude_unset=True), "rows": rows}
    return {
        "columns": results.columns,
        "rows": rows,
        "empty": all(row[column] is None for row in rows for column in drawn),
        "truncated": results.truncated,
        "data": htmlsafe_json_dumps(data, dumps=json.dumps, cls=CustomJSONEncoder),
    }


def reason(error: Exception) -> str:
    return "it took too long" if isinstance(error, QueryInterrupted) else str(error)
