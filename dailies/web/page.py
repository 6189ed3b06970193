"""What every page does: check the request method, render a template."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from datasette import Request, Response
from datasette.app import Datasette

from dailies.home import HOME

READING = ("GET", "HEAD")
FORM = (*READING, "POST")
# Shared caches must not store a page whose content depends on the actor.
PRIVATE = {"Cache-Control": "private, no-cache"}


def refuse_method(request: Request, allowed: tuple[str, ...] = READING) -> Response | None:
    """Return a 405 response unless `allowed` contains the request method."""
    if request.method in allowed:
        return None
    message = f"{request.method} is not allowed here"
    return Response.error(message, 405, headers={"Allow": ", ".join(allowed)})


async def render(
    datasette: Datasette,
    request: Request,
    template: str,
    context: Mapping[str, Any],
    status: int = 200,
    view_name: str | None = None,
) -> Response:
    body = await datasette.render_template(
        template, dict(context), request=request, view_name=view_name
    )
    return Response.html(body, status=status, headers=PRIVATE)


def versioned(name: str) -> str:
    """The path of a static file, which changes with its content: browsers cache it."""
    content = (HOME / "static" / name).read_bytes()
    return f"/static/{name}?{sha256(content).hexdigest()[:12]}"
