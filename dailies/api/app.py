"""The ASGI application of /api/{resource}: its requests do not pass through Datasette's router.

Datasette's router costs more than all the rest of a read. What it does for a request is done here:
finding the actor, refusing requests from other sites, keeping answers to a person out of caches.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

from datasette import Request
from datasette.app import Datasette
from datasette.tokens import TokenInvalid

from dailies.api.dispatch import with_cors
from dailies.api.responses import error_response
from dailies.api.routes import View, views
from dailies.datasette_compat import actor_of, exception_response, same_origin_only
from dailies.errors import RequestError

CHALLENGE = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
VARY = "Cookie, Authorization"


class JobsRequest(Request):
    """A request whose headers are decoded once, and cookies only if there are any."""

    @cached_property
    def headers(self) -> Any:
        return super().headers

    @cached_property
    def cookies(self) -> Any:
        return super().cookies if "cookie" in self.headers else {}


def application(datasette: Datasette, other: Any) -> Any:
    """Respond to requests of the jobs API, and let the ASGI application `other` do the rest."""
    base = datasette.setting("base_url").rstrip("/")
    known = [(re.compile(pattern), view) for pattern, view in views()]

    async def respond_to_job_request(scope: dict[str, Any], receive: Any, send: Any) -> None:
        request = JobsRequest({**scope, "url_route": {"kwargs": scope["job_route"][1]}}, receive)
        response = await response_to(datasette, request, scope["job_route"][0])
        keep_private(request, response)
        await response.asgi_send(send)

    protected = same_origin_only(datasette, respond_to_job_request)

    async def route(scope: dict[str, Any], receive: Any, send: Any) -> None:
        path = Request(scope, receive).path if scope["type"] == "http" else ""
        if path.startswith(f"{base}/api/"):
            path = path[len(base) :]
            for pattern, view in known:
                if match := pattern.match(path):
                    found = {**scope, "job_route": (view, match.groupdict())}
                    await protected(found, receive, send)
                    return
        await other(scope, receive, send)

    return route


async def response_to(datasette: Datasette, request: Request, view: View) -> Any:
    try:
        request.scope["actor"] = await actor_of(datasette, request)
        return await view(request, datasette)
    except TokenInvalid as error:
        refused = error_response(RequestError(401, str(error), CHALLENGE)).to_datasette()
        return with_cors(datasette, refused, {})
    except Exception as error:  # noqa: BLE001 - Datasette's router catches everything, too
        return await exception_response(datasette, request, error)


def keep_private(request: Request, response: Any) -> None:
    """Let no cache give the response to someone else."""
    personal = request.actor is not None or any(
        name in (b"authorization", b"cookie") for name, _ in request.scope["headers"]
    )
    if personal:
        response.headers["Cache-Control"] = "private, no-store"
    response.headers["Vary"] = VARY
