"""GET /-/health: 200, or 503 with the reasons."""

from __future__ import annotations

from typing import Any

from datasette import Request, Response, hookimpl
from datasette.app import Datasette

from dailies.health import problems
from dailies.web.page import refuse_method

HEADERS = {"Cache-Control": "no-store"}


@hookimpl
def register_routes() -> list[tuple[str, Any]]:
    return [(r"/-/health\Z", read_health)]


async def read_health(request: Request, datasette: Datasette) -> Response:
    if refused := refuse_method(request):
        return refused
    found = await problems(datasette)
    if not found:
        return Response.json({"ok": True, "health": "ok", "status": 200}, headers=HEADERS)
    body = {
        "ok": False,
        "health": "degraded",
        "error": "degraded: " + "; ".join(found),
        "errors": found,
        "status": 503,
    }
    return Response.json(body, status=503, headers={**HEADERS, "Retry-After": "10"})
