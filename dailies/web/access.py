"""Who may use a page with a form."""

from __future__ import annotations

from typing import Any

from datasette import Forbidden, Request, Response
from datasette.app import Datasette

from dailies.auth.permissions import is_allowed
from dailies.web.page import FORM, refuse_method
from dailies.web.row_actions import FormPage

Actor = dict[str, Any] | None


async def missing_permission(datasette: Datasette, actor: Actor, page: FormPage) -> str | None:
    """The first permission for the page that the actor lacks."""
    needed = [(name, page.permission_table or page.table) for name in page.permissions]
    needed += [("view-table", table) for table in (page.table, page.reads) if table]
    for name, table in needed:
        if actor is None or not await is_allowed(datasette, actor, name, page, table):
            return name
    return None


async def check_request(datasette: Datasette, request: Request, page: FormPage) -> Response | None:
    """Raise Forbidden if the actor may not use the page; a 405 response for a wrong method."""
    if missing := await missing_permission(datasette, request.actor, page):
        raise Forbidden(f"Permission denied: need {missing}")
    return refuse_method(request, FORM)


def actor_id(request: Request) -> str:
    return str(request.actor["id"])
