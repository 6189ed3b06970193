"""Pages that draw canned queries: `/-/charts` lists them, `/-/charts/{name}` is one chart.

A chart shows what its query shows, to whom that query is shown; it grants nothing of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

from datasette import NotFound, Request, Response, hookimpl
from datasette.app import Datasette
from datasette.utils import StartupError, named_parameters

from dailies.canned_queries import CannedQuery, needed_by, read_queries
from dailies.web.chart_data import FAILURES, draw, may_see, read_form, reason, resource
from dailies.web.charts import Chart, check_columns, read_charts
from dailies.web.methods import refuse_method

FOLDER = Path(__file__).parent.parent / "canned_queries"
CHARTS = "/-/charts"

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
    if refused := refuse_method(request):
        return refused
    await datasette.ensure_permission(action="view-instance", actor=request.actor)
    shown: dict[str, list[Chart]] = {}
    for chart in known[datasette].values():
        if await may_see(datasette, request.actor, chart.database, chart.query):
            shown.setdefault(chart.database, []).append(chart)
    context = {"charts": shown, "address": partial(address, datasette, values={})}
    return await page(datasette, request, "charts.html", context)


async def show_chart(request: Request, datasette: Datasette) -> Response:
    if refused := refuse_method(request):
        return refused
    chart = known[datasette].get(request.url_vars["chart"])
    if chart is None:
        raise NotFound("There is no chart of this name")
    asked = resource(chart.database, chart.query)
    await datasette.ensure_permission(action="view-query", resource=asked, actor=request.actor)
    given = {name: request.args.get(name) or "" for name in chart.form}
    form = await read_form(datasette, request.actor, chart, given)
    shown = await draw(datasette, chart, form, given)
    context = {
        "chart": chart,
        "choices": form.choices,
        "links": dict(links(datasette, chart, shown["values"])),
        **shown,
    }
    status = HTTPStatus.BAD_REQUEST if "failure" in shown else HTTPStatus.OK
    return await page(datasette, request, "chart.html", context, status)


def links(datasette: Datasette, chart: Chart, values: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Where the same rows are to be had otherwise."""
    query = [(name, value) for name, value in values.items() if value]
    for name, kind, shape in (
        ("table", None, []),
        ("JSON", "json", [("_shape", "array")]),
        ("CSV", "csv", []),
    ):
        path = str(datasette.urls.query(chart.database, chart.query, format=kind))
        yield name, f"{path}?{urlencode(shape + query)}" if shape + query else path


async def page(
    datasette: Datasette,
    request: Request,
    template: str,
    context: dict[str, Any],
    status: int = HTTPStatus.OK,
) -> Response:
    body = await datasette.render_template(template, context, request=request)
    return Response.html(body, status=status)
