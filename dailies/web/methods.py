"""Which methods of HTTP a page takes."""

from __future__ import annotations

from datasette import Request, Response

READING = ("GET", "HEAD")
FORM = (*READING, "POST")


def refuse_method(request: Request, allowed: tuple[str, ...] = READING) -> Response | None:
    """405 for a method that the page does not take; None for one that it does."""
    if request.method in allowed:
        return None
    message = f"{request.method} is not allowed here"
    return Response.error(message, 405, headers={"Allow": ", ".join(allowed)})
