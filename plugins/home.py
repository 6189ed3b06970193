"""The home page: the six databases as what they are for, and what is going on in them.

Datasette's own, which counts the rows of every table, stays at `/-/`, and as JSON at `/.json`.
"""

from __future__ import annotations

from typing import Any

from datasette import Request, Response, hookimpl
from datasette.app import Datasette
from datasette.plugins import pm
from datasette.utils import await_me_maybe, make_slot_function

from dailies.web.methods import refuse_method
from dailies.web.pages import home
from dailies.web.pages.viewer import PRIVATE


@hookimpl
def register_routes() -> list[tuple[str, Any]]:
    return [(r"/\Z", home_page)]


async def home_page(request: Request, datasette: Datasette) -> Response:
    if refused := refuse_method(request):
        return refused
    await datasette.ensure_permission(action="view-instance", actor=request.actor)
    context = {
        **await home.read(datasette, request.actor),
        "metadata": await datasette.get_instance_metadata(),
        "private": not await datasette.allowed(action="view-instance", actor=None),
        "top_homepage": make_slot_function("top_homepage", datasette, request),
        "homepage_actions": await actions(datasette, request),
        "across": await across(datasette, request),
    }
    body = await datasette.render_template("home.html", context, request=request, view_name="index")
    return Response.html(body, headers=PRIVATE)


async def actions(datasette: Datasette, request: Request) -> list[dict[str, Any]]:
    """What plugins offer in the menu of the page, as on Datasette's own."""
    offered = [
        await await_me_maybe(links)
        for links in pm.hook.homepage_actions(
            datasette=datasette, actor=request.actor, request=request
        )
    ]
    return [link for links in offered for link in links or []]


async def across(datasette: Datasette, request: Request) -> list[dict[str, str]]:
    """The queries across databases that this actor may ask."""
    found = await datasette.list_queries("_memory", actor=request.actor)
    return [
        {
            "href": str(datasette.urls.query("_memory", query.name)),
            "title": query.title or query.name,
            "description": query.description or "",
        }
        for query in found.queries
    ]
