"""The bar on every page, and pages of errors that have it too."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any
from urllib.parse import urlencode

from datasette import Request, Response, hookimpl
from datasette.app import Datasette
from datasette.utils import await_me_maybe
from markupsafe import Markup

from dailies.auth.sign_in import local_path
from dailies.web import navigation
from dailies.web.page import READING, render

SIGN_IN = "/-/sign-in"


@hookimpl
def extra_template_vars(datasette: Datasette, request: Request | None) -> Any:
    """`navigation`: the links of the bar. `sign_in_href`: the page to sign in, and come back."""

    async def variables() -> dict[str, Any]:
        actor = request.actor if request else None
        return {
            "navigation": await navigation.links(datasette, actor, request),
            "sign_in_href": sign_in_href(datasette, request),
        }

    return variables


def sign_in_href(datasette: Datasette, request: Request | None) -> str:
    """The page to sign in, which leads back to the page of this request."""
    home = str(datasette.urls.instance())
    sign_in = str(datasette.urls.path(SIGN_IN))
    target = home
    if request is not None and request.path == sign_in:
        target = request.args.get("next") or home
    elif request is not None and request.method in READING:
        target = request.full_path
    return f"{sign_in}?{urlencode({'next': local_path(target, home)})}"


@hookimpl
def forbidden(datasette: Datasette, request: Request, message: str) -> Any:
    """403 in plain words; Datasette's own JSON for programs."""
    types = (request.headers.get(name) or "" for name in ("accept", "content-type"))
    if request.path.endswith(".json") or any("json" in one for one in types):
        return None
    missing = navigation.missing_permission(message)
    context = {"message": message, "needed": navigation.PERMISSIONS.get(missing or "")}

    async def respond() -> Response:
        return await render(datasette, request, "forbidden.html", context, 403)

    return respond


@hookimpl(wrapper=True)
def handle_exception(
    datasette: Datasette, request: Request
) -> Generator[None, list[Any], list[Any]]:
    """Put the HTML of the first response, which templates/error.html makes, on a page."""
    results = yield

    async def framed() -> Response | None:
        responses = [await await_me_maybe(result) for result in results]
        response = next((one for one in responses if one is not None), None)
        if response is None or not (response.content_type or "").startswith("text/html"):
            return response
        context = {
            "content": Markup(response.body),  # noqa: S704 - escaped by error.html
            "status": response.status,
        }
        page = await render(datasette, request, "error_page.html", context, response.status)
        page.headers.update(response.headers)
        return page

    return [framed]
