"""The jobs API: /api/{resource}, its description, and permissions.

The table of routes is in dailies/api/routes.py, the registry of resources in
dailies/api/resources.py.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Any

from datasette import Request, Response, hookimpl
from datasette.app import Datasette
from datasette.permissions import Action
from datasette.resources import TableResource

from dailies.api.app import application
from dailies.api.dispatch import respond
from dailies.api.handlers import docs
from loaders.registry import DATABASES

ACTIONS = {
    "create-job": "Create jobs",
    "update-job": "Update jobs",
    "delete-job": "Delete jobs",
}
Page = Callable[[Datasette, Request], Awaitable[Response]]


@hookimpl
def register_actions() -> list[Action]:
    return [
        Action(name=name, description=description, resource_class=TableResource)
        for name, description in ACTIONS.items()
    ]


@hookimpl(trylast=True)
def register_routes() -> list[tuple[str, Any]]:
    return [
        (r"/api/openapi\.json\Z", get(docs.read_openapi)),
        (r"/api/docs\Z", get(docs.docs_page)),
        (r"/api(?:/.*)?\Z", not_found),
    ]


@hookimpl(tryfirst=True)
def asgi_wrapper(datasette: Datasette) -> Callable[[Any], Any]:
    return partial(application, datasette)


def get(page: Page) -> Callable[..., Awaitable[Response]]:
    async def view(request: Request, datasette: Datasette) -> Response:
        return await respond(datasette, request, {"GET": partial(page, datasette, request)})

    return view


async def not_found(request: Request, datasette: Datasette) -> Response:
    """404 as JSON, where Datasette would send a page."""
    return await respond(datasette, request, {})


@hookimpl
def menu_links(datasette: Datasette) -> list[dict[str, str]]:
    return [{"href": str(datasette.urls.path("/api/docs")), "label": "Jobs API"}]


@hookimpl
def write_wrapper(database: str, request: Request | None, transaction: bool) -> Any:
    """Record the actor of writes through Datasette's own pages and API, too."""
    if request is None or not transaction or database not in DATABASES:
        return None
    actor = (request.actor or {}).get("id")

    def as_actor(conn: sqlite3.Connection) -> Generator[None, Any, None]:
        conn.execute("update write_context set actor = :actor", {"actor": actor and str(actor)})
        yield
        conn.execute("update write_context set actor = null")

    return as_actor
