"""Authentication: tokens in a header for programs, a session in a cookie for people.

Tokens are checked in dailies/auth/tokens.py, sessions in dailies/auth/sign_in.py.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from datasette import Request, Response, hookimpl
from datasette.app import Datasette
from datasette.tokens import TokenHandler, TokenInvalid

from dailies.auth import tokens
from dailies.auth.sign_in import (
    Throttle,
    delete_cookie,
    end_session,
    local_path,
    reason_session_ended,
    start_session,
)
from dailies.auth.tokens import Actor, InvalidTokenError
from dailies.datasette_compat import core_page
from dailies.errors import RequestError
from dailies.http.clients import client_of
from dailies.web.forms import read_form
from dailies.web.page import FORM, refuse_method

BEARER = "bearer"
SIGN_IN = "/-/sign-in"
SIGN_OUT = re.compile(r"/-/logout\Z")
MAX_FORM_BYTES = 10_000
CHALLENGE = {"WWW-Authenticate": "Bearer", "Cache-Control": "private, no-store"}

throttles: WeakKeyDictionary[Datasette, Throttle] = WeakKeyDictionary()


class StoredTokens(TokenHandler):
    """The only token handler: a token that is not stored is invalid."""

    name = "dailies"

    async def create_token(self, *_: Any, **__: Any) -> str:
        raise ValueError("Tokens are created by the command `dailies token`")

    async def verify_token(self, _: Datasette, token: str) -> Actor:
        try:
            return tokens.verify(token.strip())
        except InvalidTokenError as error:
            raise TokenInvalid(str(error)) from error


@hookimpl
def register_token_handler() -> StoredTokens:
    return StoredTokens()


@hookimpl
def actor_from_request(datasette: Datasette, request: Request) -> Any:
    """Read other spellings of `Bearer`, which Datasette would take for anonymous requests."""
    header = request.headers.get("authorization", "")
    found = header.strip()
    if found[: len(BEARER)].lower() != BEARER or header.startswith("Bearer "):
        return None
    rest = found[len(BEARER) :]
    token = rest.strip() if rest[:1].isspace() else ""
    return lambda: datasette.verify_token(token)


@hookimpl
def asgi_wrapper(datasette: Datasette) -> Callable[[Any], Any]:
    """Respond with 401 to a session whose token is invalid, and delete its cookie."""

    def wrap(app: Any) -> Any:
        async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
            if scope["type"] != "http" or not has_cookie(scope):
                await app(scope, receive, send)
                return
            request = Request(scope, receive)
            reason = reason_session_ended(datasette, request)
            if reason is None:
                await app(scope, receive, send)
                return
            response = await unauthorized(datasette, request, reason)
            delete_cookie(response)
            await response.asgi_send(send)

        return wrapped

    return wrap


def has_cookie(scope: dict[str, Any]) -> bool:
    return any(name.lower() == b"cookie" for name, _ in scope["headers"])


@hookimpl
def register_routes() -> list[tuple[Any, Any]]:
    return [(rf"{SIGN_IN}\Z", sign_in), (SIGN_OUT, sign_out)]


async def sign_in(request: Request, datasette: Datasette) -> Response:
    if refused := refuse_method(request, FORM):
        return refused
    if request.method == "POST":
        return await check_form(datasette, request)
    return await form(datasette, request, request.args.get("next") or "")


async def sign_out(request: Request, send: Any, datasette: Datasette) -> Any:
    """Datasette's page, which only deletes the cookie."""
    response = await core_page(datasette, request, send, (SIGN_OUT,))
    if request.method == "POST":
        await asyncio.to_thread(end_session, datasette, request)
    return response


async def check_form(datasette: Datasette, request: Request) -> Response:
    try:
        fields = await read_form(request, MAX_FORM_BYTES)
    except RequestError as error:
        return await form(datasette, request, "", str(error), error.status)
    target = fields.get("next", "")
    try:
        actor = tokens.verify(fields.get("token", "").strip())
    except InvalidTokenError as error:
        return await refuse(datasette, request, target, str(error))
    home = str(datasette.urls.instance())
    response = Response.redirect(local_path(target, home), status=303)
    await asyncio.to_thread(start_session, datasette, request, response, actor)
    return response


async def refuse(datasette: Datasette, request: Request, target: str, message: str) -> Response:
    """401, or 429 after too many attempts from this address.

    A valid token is never refused: others may send from the same address, as behind a proxy, and
    nobody guesses 256 bits.
    """
    throttle = throttles.setdefault(datasette, Throttle())
    address = client_of(request.scope)
    wait = throttle.seconds_to_wait(address)
    if not wait:
        throttle.failed(address)
        return await form(datasette, request, target, message, 401)
    response = await form(datasette, request, target, "Too many attempts: wait a minute", 429)
    response.headers["Retry-After"] = str(wait)
    return response


async def form(
    datasette: Datasette, request: Request, target: str, message: str = "", status: int = 200
) -> Response:
    home = str(datasette.urls.instance())
    action = datasette.urls.path(SIGN_IN)
    context = {"next": local_path(target, home), "message": message, "action": action}
    body = await datasette.render_template("sign_in.html", context, request=request)
    headers = dict(CHALLENGE) if status == 401 else {}
    return Response.html(body, status=status, headers=headers)


async def unauthorized(datasette: Datasette, request: Request, message: str) -> Response:
    """401 as a page for people, and as JSON for everything else."""
    if request.method == "GET" and "text/html" in (request.headers.get("accept") or ""):
        return await form(datasette, request, request.full_path, message, 401)
    return Response.error(message, 401, headers=dict(CHALLENGE))
