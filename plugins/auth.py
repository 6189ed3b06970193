"""Proves who is asking: tokens in a header for programs, a session in a cookie for people.

A session is a signed cookie that names the token it was opened with. Whether that token still holds
is looked up at every request, so revoking it ends the session too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from http.cookies import CookieError
from typing import Any
from urllib.parse import parse_qs, urlencode
from weakref import WeakKeyDictionary

from datasette import Request, Response, hookimpl
from datasette.app import Datasette
from datasette.tokens import TokenHandler, TokenInvalid
from datasette.utils import baseconv
from itsdangerous import BadSignature

from dailies.auth import tokens
from dailies.auth.sign_in import SESSION_SECONDS, Throttle, local_path
from dailies.auth.tokens import Actor, InvalidTokenError
from dailies.web.page import FORM, refuse_method

COOKIE = "ds_actor"
SIGN_IN = "/-/sign-in"
LONGEST_FORM = 10_000
CHALLENGE = {"WWW-Authenticate": "Bearer", "Cache-Control": "private, no-store"}

throttles: WeakKeyDictionary[Datasette, Throttle] = WeakKeyDictionary()


class StoredTokens(TokenHandler):
    """Knows every token there is: what the store does not hold is bad, not merely unknown."""

    name = "dailies"

    async def create_token(self, *_: Any, **__: Any) -> str:
        raise ValueError("Tokens are made by the command `dailies token`")

    async def verify_token(self, _: Datasette, token: str) -> Actor:
        try:
            return tokens.verify(token)
        except InvalidTokenError as error:
            raise TokenInvalid(str(error)) from error


@hookimpl
def register_token_handler() -> StoredTokens:
    return StoredTokens()


@hookimpl
def actor_from_request(datasette: Datasette, request: Request) -> Any:
    """The spellings of `Bearer` that Datasette overlooks, and so would take for anonymous."""
    header = request.headers.get("authorization", "")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or header.startswith("Bearer "):
        return None

    async def verified() -> Any:
        return await datasette.verify_token(token.strip())

    return verified


@hookimpl
def asgi_wrapper(datasette: Datasette) -> Callable[[Any], Any]:
    """Answers 401 to a session whose token no longer holds, and has the browser forget it."""

    def wrap(app: Any) -> Any:
        async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            scope = with_sound_cookies(scope)
            request = Request(scope, receive)
            reason = end_of_session(datasette, request)
            if reason is None:
                await app(scope, receive, send)
                return
            response = await unauthorized(datasette, request, reason)
            forget_session(response)
            await response.asgi_send(send)

        return wrapped

    return wrap


def with_sound_cookies(scope: dict[str, Any]) -> dict[str, Any]:
    """The request without cookies that cannot be parsed, which Datasette answers by 500."""
    try:
        _ = Request(scope, None).cookies
    except CookieError:
        headers = [header for header in scope["headers"] if header[0].lower() != b"cookie"]
        return {**scope, "headers": headers}
    return scope


def end_of_session(datasette: Datasette, request: Request) -> str | None:
    """Why the session in this request's cookie is over; None if it is not, or there is none."""
    cookie = request.cookies.get(COOKIE)
    if not cookie:
        return None
    try:
        token_id = datasette.unsign(cookie, "actor")["a"]["token"]
    except (BadSignature, KeyError, TypeError):
        return None
    try:
        tokens.verify_session(str(token_id))
    except InvalidTokenError as error:
        return str(error)
    return None


@hookimpl
def register_routes() -> list[tuple[str, Any]]:
    return [(rf"{SIGN_IN}\Z", sign_in)]


@hookimpl
def menu_links(datasette: Datasette, actor: Actor | None, request: Request | None) -> Any:
    if actor:
        return []
    home = str(datasette.urls.instance())
    target = local_path(request.full_path, home) if request else home
    href = f"{datasette.urls.path(SIGN_IN)}?{urlencode({'next': target})}"
    return [{"href": href, "label": "Sign in"}]


async def sign_in(request: Request, datasette: Datasette) -> Response:
    if refused := refuse_method(request, FORM):
        return refused
    if request.method == "POST":
        return await check_form(datasette, request)
    return await form(datasette, request, request.args.get("next") or "")


async def check_form(datasette: Datasette, request: Request) -> Response:
    throttle = throttles.setdefault(datasette, Throttle())
    address = (request.scope.get("client") or ("",))[0]
    target, token = await read_form(request)
    if wait := throttle.seconds_to_wait(address):
        response = await form(datasette, request, target, "Too many attempts: wait a minute", 429)
        response.headers["Retry-After"] = str(wait)
        return response
    try:
        actor = tokens.verify(token)
    except InvalidTokenError as error:
        throttle.failed(address)
        return await form(datasette, request, target, str(error), 401)
    home = str(datasette.urls.instance())
    response = Response.redirect(local_path(target, home), status=303)
    start_session(datasette, request, response, actor)
    return response


async def read_form(request: Request) -> tuple[str, str]:
    """Where to go afterwards, and the token."""
    body = await request.post_body(max_bytes=LONGEST_FORM)
    fields = parse_qs(body.decode(errors="replace"))
    return fields.get("next", [""])[0], fields.get("token", [""])[0].strip()


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


def start_session(datasette: Datasette, request: Request, response: Response, actor: Actor) -> None:
    expires_at = baseconv.base62.encode(int(time.time()) + SESSION_SECONDS)
    response.set_cookie(
        COOKIE,
        datasette.sign({"a": actor, "e": expires_at}, "actor"),
        max_age=SESSION_SECONDS,
        secure=is_encrypted(datasette, request),
        httponly=True,
        samesite="lax",
    )


def forget_session(response: Response) -> None:
    response.set_cookie(COOKIE, "", expires=0, max_age=0, httponly=True)


def is_encrypted(datasette: Datasette, request: Request) -> bool:
    return request.scheme == "https" or bool(datasette.setting("force_https_urls"))
