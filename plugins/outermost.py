"""What surrounds everything else: log, security headers, limits, known hosts, and a place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from datasette import hookimpl

from dailies.http.admission import admitted
from dailies.http.hosts import of_known_host
from dailies.http.limits import limited
from dailies.http.logs import logged

# Datasette's own pages hold inline scripts and styles; none of them evaluates text as code.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; "
    "script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; "
    "object-src 'none'; "
    "base-uri 'none'; "
    "form-action 'self'; "
    "frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)


Header = tuple[bytes, bytes]


@hookimpl(trylast=True)
def asgi_wrapper() -> Callable[[Any], Any]:
    return surrounded


def surrounded(app: Any) -> Any:
    return logged(with_security_headers(limited(of_known_host(admitted(app)))))


def with_security_headers(app: Any) -> Any:
    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        async def send_with_headers(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": secured(list(message.get("headers", [])))}
            await send(message)

        await app(scope, receive, send_with_headers)

    return wrapped


def secured(headers: list[Header]) -> list[Header]:
    """Add ours where a response has none. A policy without default-src is replaced."""
    kept = [header for header in headers if not is_partial_policy(*header)]
    present = {name.lower() for name, _ in kept}
    return kept + [header for header in HEADERS if header[0] not in present]


def is_partial_policy(name: bytes, value: bytes) -> bool:
    return name.lower() == b"content-security-policy" and b"default-src" not in value
