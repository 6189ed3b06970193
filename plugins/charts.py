"""Pages that draw canned queries: `/-/charts` lists them, `/-/charts/{name}` is one chart.

A chart shows what its query shows, to whom that query is shown; it grants nothing of its own.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

from datasette import NotFound, Request, Response, hookimpl
from datasette.app import Datasette
from datasette.database import QueryInterrupted, Results
from datasette.resources import QueryResource
from datasette.utils import CustomJSONEncoder, StartupError, named_parameters
from jinja2.utils import htmlsafe_json_dumps

from loaders.canned_queries import CannedQuery, needed_by, read_queries
from loaders.charts import Chart, Field, Source, check_columns, measures, read_charts

FOLDER = Path(__file__).parent.parent / "canned_queries"
CHARTS = "/-/charts"
FAILURES = (sqlite3.Error, QueryInterrupted)

Actor = dict[str, Any] | None

known: WeakKeyDictionary[Datasette, dict[str, Chart]] = WeakKeyDictionary()


@hookimpl(trylast=True)
def startup(datasette: Datasette) -> Any:
    async def load() -> None:
        known[datasette] = {}
        try:
            charts = read_charts(FOLDER)
            queries = {(query.database, query.name): query for query in read_queries(FOLDER)}
            for name, chart in charts.items():
                if await check(datasette, chart, queries):
                    known[datasette][name] = chart
        except ValueError as error:
            raise StartupError(str(error)) from error

    return load


async def check(
    datasette: Datasette, chart: Chart, queries: dict[tuple[str, str], CannedQuery]
) -> bool:
    """Whether its databases are there; ValueError if it does not fit its queries."""
    for name in chart.queries:
        if (chart.database, name) not in queries:
            raise ValueError(f"{chart.where}: there is no query {chart.database}/{name}")
    sql = queries[chart.database, chart.query].sql
    for name in chart.form.keys() - named_parameters(sql):
        raise ValueError(f'{chart.where}: the query {chart.query} has no parameter "{name}"')
    if any(name not in datasette.databases for name in needed_by(chart.database)):
        return False
    columns = {
        name: await columns_of(datasette, chart, queries[chart.database, name])
        for name in chart.queries
    }
    check_columns(chart, columns)
    return True


async def columns_of(datasette: Datasette, chart: Chart, query: CannedQuery) -> list[str]:
    database = datasette.databases[query.database]
    nothing = f"select * from (\n{query.sql}\n) limit 0"  # noqa: S608
    database.canned.add(nothing)
    empty = dict.fromkeys(named_parameters(query.sql), "")
    try:
        return list((await database.execute(nothing, empty, log_sql_errors=False)).columns)
    except FAILURES as error:
        raise ValueError(f"{chart.where}: the query {query.name} fails: {reason(error)}") from error


@hookimpl
def register_routes() -> list[tuple[str, Any]]:
    return [(rf"{CHARTS}\Z", list_charts), (rf"{CHARTS}/(?P<chart>[^/]+)\Z", show_chart)]


@hookimpl
def menu_links(datasette: Datasette) -> list[dict[str, str]]:
    return [{"href": datasette.urls.path(CHARTS), "label": "Charts"}]


@hookimpl
def database_actions(datasette: Datasette, database: str) -> list[dict[str, str]]:
    if not any(chart.database == database for chart in known[datasette].values()):
        return []
    href = datasette.urls.path(f"{CHARTS}#{database}")
    return [{"href": href, "label": "Charts", "description": "See the numbers of its queries."}]


@hookimpl
def query_actions(
    datasette: Datasette, database: str, query_name: str | None, params: dict[str, Any] | None
) -> list[dict[str, str]]:
    return [
        {
            "href": address(datasette, chart, params or {}),
            "label": f"Chart: {chart.title}",
            "description": chart.description,
        }
        for chart in known[datasette].values()
        if (chart.database, chart.query) == (database, query_name)
    ]


def address(datasette: Datasette, chart: Chart, values: dict[str, Any]) -> str:
    chosen = {name: values[name] for name in chart.form if values.get(name)}
    path = str(datasette.urls.path(f"{CHARTS}/{chart.name}"))
    return f"{path}?{urlencode(chosen)}" if chosen else path


async def list_charts(request: Request, datasette: Datasette) -> Response:
    if refused := refused_method(request):
        return refused
    await datasette.ensure_permission(action="view-instance", actor=request.actor)
    shown: dict[str, list[Chart]] = {}
    for chart in known[datasette].values():
        if await may_see(datasette, request.actor, chart.database, chart.query):
            shown.setdefault(chart.database, []).append(chart)
    context = {"charts": shown, "address": partial(address, datasette, values={})}
    return await page(datasette, request, "charts.html", context)


async def show_chart(request: Request, datasette: Datasette) -> Response:
    if refused := refused_method(request):
        return refused
    chart = known[datasette].get(request.url_vars["chart"])
    if chart is None:
        raise NotFound("There is no chart of this name")
    await datasette.ensure_permission(
        action="view-query", resource=resource(chart.database, chart.query), actor=request.actor
    )
    values, choices = await form(datasette, request, chart)
    context = {
        "chart": chart,
        "values": values,
        "choices": choices,
        "links": dict(links(datasette, chart, values)),
    }
    try:
        results = await ask(datasette, chart.database, chart.query, values)
    except FAILURES as error:
        context["failure"] = reason(error)
        return await page(datasette, request, "chart.html", context, HTTPStatus.BAD_REQUEST)
    return await page(datasette, request, "chart.html", context | drawing(chart, results))


def refused_method(request: Request) -> Response | None:
    if request.method in ("GET", "HEAD"):
        return None
    message = f"{request.method} is not allowed here"
    return Response.error(message, 405, headers={"Allow": "GET, HEAD"})


def resource(database: str, query: str) -> QueryResource:
    return QueryResource(database=database, query=query)


async def may_see(datasette: Datasette, actor: Actor, database: str, query: str) -> bool:
    return bool(
        await datasette.allowed(
            action="view-query", resource=resource(database, query), actor=actor
        )
    )


async def form(
    datasette: Datasette, request: Request, chart: Chart
) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """The value of each control, and what it offers."""
    values: dict[str, str] = {}
    choices: dict[str, dict[str, str]] = {}
    for name, field in chart.form.items():
        offered: dict[str, str] = {}
        if field.source:
            offered = await offers(datasette, request.actor, chart.database, field.source, values)
        choices[name] = offered
        values[name] = request.args.get(name) or value_of_empty(field, offered)
        if field.choices and values[name]:
            offered.setdefault(values[name], values[name])
    return values, choices


def value_of_empty(field: Field, offered: dict[str, str]) -> str:
    return field.default or ("" if field.empty else next(iter(offered), ""))


async def offers(
    datasette: Datasette, actor: Actor, database: str, source: Source, values: dict[str, str]
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


async def ask(datasette: Datasette, database: str, query: str, values: dict[str, str]) -> Results:
    """What the query gives with these values, and every other parameter left empty."""
    sql = (await datasette.get_query(database, query)).sql
    parameters = {name: values.get(name, "") for name in named_parameters(sql)}
    return await datasette.databases[database].execute(sql, parameters, truncate=True)


def reason(error: Exception) -> str:
    return "it took too long" if isinstance(error, QueryInterrupted) else str(error)


def drawing(chart: Chart, results: Results) -> dict[str, Any]:
    """The rows and what static/charts.js needs to draw them."""
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


def links(datasette: Datasette, chart: Chart, values: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Where the same rows are to be had otherwise."""
    query = urlencode(values)
    for name, kind, more in (
        ("table", None, ""),
        ("JSON", "json", "_shape=array"),
        ("CSV", "csv", ""),
    ):
        path = datasette.urls.query(chart.database, chart.query, format=kind)
        arguments = "&".join(filter(None, [query, more]))
        yield name, f"{path}?{arguments}" if arguments else str(path)


async def page(
    datasette: Datasette,
    request: Request,
    template: str,
    context: dict[str, Any],
    status: int = HTTPStatus.OK,
) -> Response:
    body = await datasette.render_template(template, context, request=request)
    return Response.html(body, status=status)
