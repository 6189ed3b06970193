"""Charts of canned queries: `/-/charts` lists them, `/-/charts/{name}` shows one.

A chart has the permissions of its query.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from itertools import chain
from typing import Any
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

from datasette import Forbidden, NotFound, Request, Response, hookimpl
from datasette.app import Datasette
from datasette.utils import StartupError, named_parameters

from dailies.canned_queries import CannedQuery, all_queries, needed_by
from dailies.home import folders
from dailies.storage.availability import require_available
from dailies.web.chart_data import FAILURES, can_run, read_form, read_rows, reason
from dailies.web.charts import Chart, check_columns, read_charts
from dailies.web.page import refuse_method, render

CHARTS = "/-/charts"

# The databases of charts that are not shown, since one of these is not available.
lacking: WeakKeyDictionary[Datasette, dict[str, set[str]]] = WeakKeyDictionary()
loaded: WeakKeyDictionary[Datasette, dict[str, Chart]] = WeakKeyDictionary()


@hookimpl(trylast=True)
def startup(datasette: Datasette) -> Any:
    async def load() -> None:
        try:
            queries = {(query.database, query.name): query for query in all_queries()}
            charts = (read_charts(folder).items() for folder in folders("canned_queries"))
            loaded[datasette] = {
                name: chart
                for name, chart in chain.from_iterable(charts)
                if await check(datasette, chart, queries)
            }
        except ValueError as error:
            raise StartupError(str(error)) from error

    return load


async def check(
    datasette: Datasette, chart: Chart, queries: dict[tuple[str, str], CannedQuery]
) -> bool:
    """False if a database is missing; ValueError if the chart does not match its queries."""
    for name in chart.queries:
        if (chart.database, name) not in queries:
            raise ValueError(f"{chart.where}: there is no query {chart.database}/{name}")
    sql = queries[chart.database, chart.query].sql
    for name in chart.form.keys() - named_parameters(sql):
        raise ValueError(f'{chart.where}: the query {chart.query} has no parameter "{name}"')
    needed = {name for query in chart.queries for name in needed_by(queries[chart.database, query])}
    if not needed <= datasette.databases.keys():
        lacking.setdefault(datasette, {})[chart.name] = needed
        return False
    columns = {
        name: await query_columns(datasette, chart, queries[chart.database, name])
        for name in chart.queries
    }
    check_columns(chart, columns)
    return True


async def query_columns(datasette: Datasette, chart: Chart, query: CannedQuery) -> list[str]:
    database = datasette.databases[query.database]
    sql = f"select * from (\n{query.sql}\n) limit 0"  # noqa: S608
    empty = dict.fromkeys(named_parameters(query.sql), "")
    try:
        return list((await database.execute(sql, empty, log_sql_errors=False)).columns)
    except FAILURES as error:
        raise ValueError(f"{chart.where}: the query {query.name} fails: {reason(error)}") from error


@hookimpl
def register_routes() -> list[tuple[str, Any]]:
    return [(rf"{CHARTS}\Z", list_charts), (rf"{CHARTS}/(?P<chart>[^/]+)\Z", show_chart)]


@hookimpl
def database_actions(datasette: Datasette, database: str) -> list[dict[str, str]]:
    if not any(chart.database == database for chart in loaded[datasette].values()):
        return []
    href = datasette.urls.path(f"{CHARTS}#{database}")
    return [{"href": href, "label": "Charts", "description": "Charts of this database's queries."}]


@hookimpl
def query_actions(
    datasette: Datasette, database: str, query_name: str | None, params: dict[str, Any] | None
) -> list[dict[str, str]]:
    return [
        {
            "href": chart_href(datasette, chart, params or {}),
            "label": f"Chart: {chart.title}",
            "description": chart.description,
        }
        for chart in loaded[datasette].values()
        if (chart.database, chart.query) == (database, query_name)
    ]


def chart_href(datasette: Datasette, chart: Chart, values: dict[str, Any]) -> str:
    arguments = {name: values[name] for name in chart.form if values.get(name)}
    path = str(datasette.urls.path(f"{CHARTS}/{chart.name}"))
    return f"{path}?{urlencode(arguments)}" if arguments else path


async def list_charts(request: Request, datasette: Datasette) -> Response:
    if refused := refuse_method(request):
        return refused
    await datasette.ensure_permission(action="view-instance", actor=request.actor)
    charts: dict[str, list[Chart]] = {}
    for chart in loaded[datasette].values():
        if await can_run(datasette, request.actor, chart.database, chart.query):
            charts.setdefault(chart.database, []).append(chart)
    context = {"charts": charts, "chart_href": partial(chart_href, datasette, values={})}
    return await render(datasette, request, "charts.html", context)


async def show_chart(request: Request, datasette: Datasette) -> Response:
    if refused := refuse_method(request):
        return refused
    chart = loaded[datasette].get(request.url_vars["chart"])
    if chart is None:
        names = lacking.get(datasette, {}).get(request.url_vars["chart"], ())
        require_available(datasette, *names)
        raise NotFound("There is no chart with this name")
    if not await can_run(datasette, request.actor, chart.database, chart.query):
        raise Forbidden("Permission denied: need view-query")
    given = {name: request.args.get(name) or "" for name in chart.form}
    form = await read_form(datasette, request.actor, chart, given)
    found = await read_rows(datasette, chart, form, given)
    context = {
        "chart": chart,
        "choices": form.choices,
        "links": dict(data_links(datasette, chart, found["values"])),
        **found,
    }
    status = HTTPStatus.BAD_REQUEST if "failure" in found else HTTPStatus.OK
    return await render(datasette, request, "chart.html", context, status)


def data_links(
    datasette: Datasette, chart: Chart, values: dict[str, str]
) -> Iterator[tuple[str, str]]:
    """The name and address of each other format of the same rows."""
    arguments = [(name, value) for name, value in values.items() if value]
    for name, extension, shape in (
        ("table", None, []),
        ("JSON", "json", [("_shape", "array")]),
        ("CSV", "csv", []),
    ):
        path = str(datasette.urls.query(chart.database, chart.query, format=extension))
        yield name, f"{path}?{urlencode(shape + arguments)}" if shape + arguments else path
