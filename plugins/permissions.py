"""What of Datasette's own pages and actions is for whom.

That unserved tables and columns stay unread is the work of the connections in plugins/databases.py.
"""

from __future__ import annotations

import re
from typing import Any

import datasette.handle_exception
from datasette import Request, Response, hookimpl
from datasette.app import Datasette
from datasette.permissions import PermissionSQL
from datasette.utils.asgi import NotFound
from datasette.views.special import JsonDataView

# The schema is the migrations' alone, SQL that writes would go past each table's permissions,
# and a stored query would answer others with its author's rights.
REFUSED_ACTIONS = frozenset(
    {
        "alter-table",
        "create-table",
        "create-view",
        "delete-query",
        "drop-table",
        "drop-view",
        "execute-write-sql",
        "set-column-type",
        "store-query",
        "update-query",
        "view-database-download",
    }
)

DEBUGGING_PAGES = re.compile(
    r"/-/(?:actions|allow-debug|allowed|check|config|debug/autocomplete|messages|patterns"
    r"|permissions|rules|settings|tasks|threads)(?:\.json)?\Z"
)
# Tokens are made by the command line alone; a root link would open a session nobody can revoke.
ABSENT_PAGES = re.compile(r"/-/(?:create-token|auth-token)\Z")
DATABASES_PAGE = re.compile(r"/-/databases(?:\.(?P<format>json))?\Z")


@hookimpl
def startup(datasette: Datasette) -> None:
    # With rich installed every 404 logs all local variables, and with them tokens from headers.
    forget_rich()


def forget_rich() -> None:
    datasette.handle_exception.rich = None


@hookimpl
def permission_resources_sql(action: str) -> PermissionSQL | None:
    if action not in REFUSED_ACTIONS:
        return None
    return PermissionSQL(restriction_sql="select null as parent, null as child where 0")


@hookimpl
def register_routes() -> list[tuple[Any, Any]]:
    return [
        (DEBUGGING_PAGES, debugging_page),
        (ABSENT_PAGES, absent_page),
        (DATABASES_PAGE, databases_page),
    ]


async def debugging_page(request: Request, send: Any, datasette: Datasette) -> Response:
    """A page of Datasette's own, for those who may debug permissions."""
    await datasette.ensure_permission(action="permissions-debug", actor=request.actor)
    for pattern, view in datasette._routes():
        match = pattern.match(request.path)
        if match and pattern is not DEBUGGING_PAGES:
            request.scope = {**request.scope, "url_route": {"kwargs": match.groupdict()}}
            return await view(request, send)
    raise NotFound("Page not found")


def absent_page(request: Request) -> Response:
    raise NotFound("Page not found")


async def databases_page(request: Request, send: Any, datasette: Datasette) -> Response:
    """The databases without the paths of their files."""

    async def databases(request: Request) -> dict[str, Any]:
        shown = await datasette._connected_databases_for_actor(request.actor)
        return {"databases": [{**database, "path": None} for database in shown]}

    view = JsonDataView.as_view(datasette, "databases.json", databases, needs_request=True)
    return await view(request, send)
