"""Jobs over HTTP: /api/{resource}, for programs with a token and people who are signed in.

Handlers are in dailies/api/handlers, the registry of resources in dailies/api/resources.py.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from typing import Any

from datasette import Request, hookimpl
from datasette.permissions import Action
from datasette.resources import TableResource

from dailies.api.dispatch import actor_id
from dailies.api.operations import routes_of
from dailies.api.routes import OPERATIONS
from loaders.registry import DATABASES

ACTIONS = {
    "create-job": "Create jobs",
    "update-job": "Change jobs",
    "delete-job": "Delete jobs",
}


@hookimpl
def register_actions() -> list[Action]:
    return [
        Action(name=name, description=description, resource_class=TableResource)
        for name, description in ACTIONS.items()
    ]


@hookimpl
def register_routes() -> list[tuple[str, Any]]:
    return routes_of(OPERATIONS)


@hookimpl
def write_wrapper(database: str, request: Request | None, transaction: bool) -> Any:
    """Histories name who wrote through Datasette's own pages, too."""
    if request is None or not transaction or database not in DATABASES:
        return None
    actor = actor_id(request)

    def as_actor(conn: sqlite3.Connection) -> Generator[None, Any, None]:
        conn.execute("update write_context set actor = :actor", {"actor": actor})
        yield
        conn.execute("update write_context set actor = null")

    return as_actor
