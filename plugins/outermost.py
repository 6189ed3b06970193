"""What surrounds everything else: log, security headers, limits, known hosts, and a place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from datasette import hookimpl

from dailies.http.exchange import surrounded


@hookimpl(trylast=True)
def asgi_wrapper() -> Callable[[Any], Any]:
    return surrounded
