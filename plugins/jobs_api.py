"""Jobs over HTTP: /api/{resource}, for programs with a token and people who are signed in.

Each endpoint reads top to bottom: permission, body, one read or write, answer. What a resource is
and does stands in loaders/resources.py; whatever is wrong arrives here as a `RefusalError`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Generator
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from datasette import Request, Response, hookimpl
from datasette.app import Datasette
from datasette.permissions import Action
from datasette.resources import TableResource
from datasette.utils import add_cors_headers

from loaders.access import FAILURES, may_see, read_from, refusal_of, require, write_to
from loaders.answers import Stored, error_text, rows_text
from loaders.databases import DATABASES
from loaders.listing import (
    Position,
    format_token,
    parse_listing,
    parse_version_page,
    read_page,
)
from loaders.requests import (
    Check,
    NoOptions,
    RefusalError,
    RestoreOptions,
    key_from_path,
    matches,
    merge_patch,
    parse_document,
    parse_documents,
    parse_options,
    precondition,
    quoted,
    read_body,
    refuse_unknown,
)
from loaders.resources import RESOURCES, Resource, Versions

Endpoint = Callable[[Datasette, Request, Resource], Awaitable[Response]]

ACTIONS = {
    "create-job": "Create jobs",
    "update-job": "Change jobs",
    "delete-job": "Delete jobs",
}
JSON = ("application/json",)
PATCHES = ("application/json", "application/merge-patch+json")
REQUEST_HEADERS = "Authorization, Content-Type, If-Match, If-None-Match"


@hookimpl
def register_actions() -> list[Action]:
    return [
        Action(name=name, description=description, resource_class=TableResource)
        for name, description in ACTIONS.items()
    ]


@hookimpl
def register_routes() -> list[tuple[str, Any]]:
    return [
        (r"/api/(?P<resource>[^/]+)\Z", collection),
        (r"/api/(?P<resource>[^/]+)/(?P<key>[^/]+)\Z", item),
        (r"/api/(?P<resource>[^/]+)/(?P<key>[^/]+)/(?P<part>[^/]+)\Z", part),
        (r"/api(?:/.*)?\Z", nothing),
    ]


@hookimpl
def write_wrapper(database: str, request: Request | None, transaction: bool) -> Any:
    """Histories name who wrote through Datasette's own pages, too."""
    if request is None or not transaction or database not in DATABASES:
        return None
    actor = actor_id(request)

    def as_actor(conn: sqlite3.Connection) -> Generator[None, Any, None]:
        conn.execute("update write_context set actor = :actor", {"actor": actor})
        yield
        conn.execute("update write_context set actor = null")

    return as_actor


async def collection(request: Request, datasette: Datasette) -> Response:
    return await answer(datasette, request, {"GET": list_jobs, "POST": create_jobs})


async def item(request: Request, datasette: Datasette) -> Response:
    endpoints: dict[str, Endpoint] = {
        "GET": read_job,
        "PUT": update_job,
        "PATCH": patch_job,
        "DELETE": delete_job,
    }
    return await answer(datasette, request, endpoints)


async def part(request: Request, datasette: Datasette) -> Response:
    endpoints: dict[str, dict[str, Endpoint]] = {
        "history": {"GET": list_versions},
        "duplicate": {"POST": duplicate_job},
        "restore": {"POST": restore_job},
    }
    return await answer(datasette, request, endpoints.get(request.url_vars["part"], {}))


async def nothing(request: Request, datasette: Datasette) -> Response:
    return await answer(datasette, request, {})


async def answer(
    datasette: Datasette, request: Request, endpoints: dict[str, Endpoint]
) -> Response:
    """What the endpoint for this method answers, or why it does not, always as JSON."""
    try:
        response = await dispatch(datasette, request, endpoints)
    except FAILURES as error:
        response = refused(refusal_of(error))
    if datasette.cors:
        add_cors_headers(response.headers)
        response.headers["Access-Control-Allow-Headers"] = REQUEST_HEADERS
        response.headers["Access-Control-Expose-Headers"] = "ETag, Link, Location"
        response.headers["Access-Control-Allow-Methods"] = allowed_methods(endpoints)
    return response


async def dispatch(
    datasette: Datasette, request: Request, endpoints: dict[str, Endpoint]
) -> Response:
    resource = RESOURCES.get(request.url_vars.get("resource", ""))
    if resource is None or not endpoints:
        raise RefusalError(404, "There is nothing at this address")
    if request.method == "OPTIONS":
        return Response(b"", 204, headers={"Allow": allowed_methods(endpoints)})
    endpoint = endpoints.get("GET" if request.method == "HEAD" else request.method)
    if endpoint is None:
        allow = allowed_methods(endpoints)
        raise RefusalError(
            405, f"{request.method} is not allowed here: {allow} are", {"Allow": allow}
        )
    response = await endpoint(datasette, request, resource)
    if request.method == "HEAD":
        response.body = b""
    return response


def allowed_methods(endpoints: dict[str, Endpoint]) -> str:
    head = ("HEAD",) if "GET" in endpoints else ()
    return ", ".join((*endpoints, *head, "OPTIONS"))


async def list_jobs(datasette: Datasette, request: Request, resource: Resource) -> Response:
    await require(datasette, request.actor, "view-table", resource)
    parameters = parse_qsl(request.query_string, keep_blank_values=True)
    listing = parse_listing(resource, parameters)
    page = await read_from(datasette, resource, lambda conn: read_page(conn, resource, listing))
    following = with_next(request, parameters, page.next)
    texts = [stored.text for stored in page.rows]
    return respond(rows_text(texts, {"next": page.next, "next_url": following}))


def with_next(request: Request, parameters: list[tuple[str, str]], token: str | None) -> str | None:
    """The address of the page after this one, under the same filters."""
    if token is None:
        return None
    kept = [(name, value) for name, value in parameters if name != "_next"]
    return f"{request.path}?{urlencode([*kept, ('_next', token)])}"


async def create_jobs(datasette: Datasette, request: Request, resource: Resource) -> Response:
    await require(datasette, request.actor, "create-job", resource)
    refuse_parameters(request)
    documents, listed = parse_documents(await read_body(request, JSON))
    actor = actor_id(request)
    created = await write_to(
        datasette, resource, lambda conn: resource.add(conn, documents, actor, listed=listed)
    )
    if listed:
        return respond(rows_text(stored.text for stored in created), 201)
    return one(created[0], 201, {"Location": address(datasette, resource, created[0].key)})


async def read_job(datasette: Datasette, request: Request, resource: Resource) -> Response:
    await require(datasette, request.actor, "view-table", resource)
    refuse_parameters(request)
    key = key_of(request)
    stored = await read_from(datasette, resource, lambda conn: resource.read(conn, key))
    known = request.headers.get("if-none-match")
    if known is not None and matches(known, stored.etag, weakly=True):
        return Response(b"", 304, headers={"ETag": stored.etag})
    return one(stored)


async def update_job(datasette: Datasette, request: Request, resource: Resource) -> Response:
    return await change_job(datasette, request, resource, JSON, lambda job, given: {**job, **given})


async def patch_job(datasette: Datasette, request: Request, resource: Resource) -> Response:
    return await change_job(datasette, request, resource, PATCHES, merge_patch)


async def change_job(
    datasette: Datasette,
    request: Request,
    resource: Resource,
    types: tuple[str, ...],
    changed: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]],
) -> Response:
    await require(datasette, request.actor, "update-job", resource)
    refuse_parameters(request)
    given = parse_document(await read_body(request, types))
    key, actor, check = key_of(request), actor_id(request), check_of(request)
    stored = await write_to(
        datasette,
        resource,
        lambda conn: resource.change(conn, key, actor, check, lambda job: changed(job, given)),
    )
    if await may_see(datasette, request.actor, resource):
        return one(stored)
    return respond(rows_text([]))


async def delete_job(datasette: Datasette, request: Request, resource: Resource) -> Response:
    await require(datasette, request.actor, "delete-job", resource)
    refuse_parameters(request)
    key, actor, check = key_of(request), actor_id(request), check_of(request)
    await write_to(datasette, resource, lambda conn: resource.remove(conn, key, actor, check))
    return Response(b"", 204)


async def list_versions(datasette: Datasette, request: Request, resource: Resource) -> Response:
    versions = versions_of(resource)
    await require(datasette, request.actor, "view-table", resource, versions.table)
    parameters = parse_qsl(request.query_string, keep_blank_values=True)
    size, before = parse_version_page(parameters)
    key = key_of(request)
    found = await read_from(
        datasette, resource, lambda conn: versions.list(conn, key, before, size + 1)
    )
    if not found and before is None:
        raise RefusalError(404, f"There never was a job {quoted(key)}")
    token = format_token(Position(found[size - 1].number, 0)) if len(found) > size else None
    following = with_next(request, parameters, token)
    texts = [version.text for version in found[:size]]
    return respond(rows_text(texts, {"next": token, "next_url": following}))


async def duplicate_job(datasette: Datasette, request: Request, resource: Resource) -> Response:
    versions = versions_of(resource)
    await require(datasette, request.actor, "create-job", resource)
    if not await may_see(datasette, request.actor, resource):
        await require(datasette, request.actor, "view-table", resource)
    refuse_parameters(request)
    parse_options(NoOptions, await read_body(request, JSON, optional=True))
    key, actor = key_of(request), actor_id(request)
    copy = await write_to(datasette, resource, lambda conn: versions.duplicate(conn, key, actor))
    return one(copy, 201, {"Location": address(datasette, resource, copy.key)})


async def restore_job(datasette: Datasette, request: Request, resource: Resource) -> Response:
    versions = versions_of(resource)
    await require(datasette, request.actor, "create-job", resource)
    await require(datasette, request.actor, "update-job", resource)
    refuse_parameters(request)
    options = parse_options(RestoreOptions, await read_body(request, JSON, optional=True))
    key, actor, check = key_of(request), actor_id(request), check_of(request)
    restored = await write_to(
        datasette,
        resource,
        lambda conn: versions.restore(conn, key, actor, check, options.version),
    )
    if await may_see(datasette, request.actor, resource):
        return one(restored)
    return respond(rows_text([]))


def versions_of(resource: Resource) -> Versions:
    if resource.versions is None:
        raise RefusalError(404, "There is nothing at this address")
    return resource.versions


def key_of(request: Request) -> str:
    return key_from_path(request.url_vars["key"])


def actor_id(request: Request) -> str | None:
    found = (request.actor or {}).get("id")
    return None if found is None else str(found)


def check_of(request: Request) -> Check:
    return precondition(request.headers.get("if-match"), request.headers.get("if-none-match"))


def refuse_parameters(request: Request) -> None:
    given = [name for name, _ in parse_qsl(request.query_string, keep_blank_values=True)]
    refuse_unknown(given, (), "parameter")


def address(datasette: Datasette, resource: Resource, key: str) -> str:
    return str(datasette.urls.path(f"/api/{resource.name}/{quote(key, safe='')}"))


def one(stored: Stored, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return respond(rows_text([stored.text]), status, {"ETag": stored.etag, **(headers or {})})


def refused(refusal: RefusalError) -> Response:
    return respond(error_text(refusal.messages, refusal.status), refusal.status, refusal.headers)


def respond(text: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    body = text.encode()
    headers = {"Content-Length": str(len(body)), "Cache-Control": "no-cache", **(headers or {})}
    return Response(body, status, headers, "application/json; charset=utf-8")
