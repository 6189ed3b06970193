"""The jobs API described: /api/openapi.json for programs, /api/docs for people, to read and try.

Each reader is told of those resources only that are there for them.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from datasette import Request, Response, hookimpl
from datasette.app import Datasette

from dailies.api.dispatch import answer, refuse_parameters, respond
from dailies.api.openapi import describe
from dailies.api.resources import RESOURCES, Resource
from dailies.api.responses import Answer
from dailies.auth.permissions import denied, is_allowed

ACTIONS = ("view-table", "create-job", "update-job", "delete-job")


@hookimpl
def register_routes() -> list[tuple[str, Any]]:
    return [(r"/api/openapi\.json\Z", openapi), (r"/api/docs\Z", docs)]


@hookimpl
def menu_links(datasette: Datasette) -> list[dict[str, str]]:
    return [{"href": str(datasette.urls.path("/api/docs")), "label": "Jobs API"}]


async def openapi(request: Request, datasette: Datasette) -> Response:
    return await answer(datasette, request, {"GET": partial(send_description, datasette, request)})


async def send_description(datasette: Datasette, request: Request) -> Response:
    refuse_parameters(request)
    return respond(Answer(200, json.dumps(await description_for(datasette, request))))


async def docs(request: Request, datasette: Datasette) -> Response:
    return await answer(datasette, request, {"GET": partial(send_page, datasette, request)})


async def send_page(datasette: Datasette, request: Request) -> Response:
    document = await description_for(datasette, request)
    context = {"document": document, "openapi": datasette.urls.path("/api/openapi.json")}
    return Response.html(await datasette.render_template("api_docs.html", context, request=request))


async def description_for(datasette: Datasette, request: Request) -> dict[str, Any]:
    if not await datasette.allowed(action="view-instance", actor=request.actor):
        raise denied(request.actor, "view-instance")
    names = [
        name
        for name, resource in RESOURCES.items()
        if any([await is_allowed(datasette, request.actor, action, resource) for action in ACTIONS])
    ]
    prefix = str(datasette.urls.path("/")).rstrip("/")
    columns = {name: columns_of(datasette, RESOURCES[name]) for name in names}
    return describe(names, prefix, columns)


def columns_of(datasette: Datasette, resource: Resource) -> dict[str, str]:
    """What metadata.yml says of each column."""
    databases = (datasette.config or {}).get("databases") or {}
    tables = (databases.get(resource.database) or {}).get("tables") or {}
    return dict((tables.get(resource.table) or {}).get("columns") or {})
