"""Pages to create, edit and delete a campaign job, for people who are signed in and may.

They work without scripts. That no other site submits them is Datasette's own protection.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from datasette import Forbidden, NotFound, Request, Response, hookimpl
from datasette.app import Datasette
from datasette.utils import tilde_encode
from datasette.utils.asgi import BadRequest

from dailies.api.request import precondition
from dailies.api.resources import CAMPAIGNS
from dailies.api.responses import entity_tag
from dailies.auth.permissions import is_allowed, may_see
from dailies.errors import FAILURES, RequestError, request_error
from dailies.storage.databases import read_from, write_to
from dailies.web import job_form
from dailies.web.forms import read_form
from dailies.web.methods import FORM, refuse_method
from loaders.errors import DomainError
from loaders.rows import Record


@hookimpl
def register_routes() -> list[tuple[str, Any]]:
    return [
        (r"/campaigns/-/new-job\Z", new_job),
        (r"/campaigns/-/edit-job\Z", edit_job),
        (r"/campaigns/-/delete-job\Z", delete_job),
    ]


@hookimpl
def table_actions(
    datasette: Datasette, actor: dict[str, Any] | None, database: str, table: str
) -> Any:
    async def links() -> list[dict[str, str]]:
        if not is_ours(database, table) or not await may(datasette, actor, "create-job"):
            return []
        href = datasette.urls.path("/campaigns/-/new-job")
        return [{"href": href, "label": "New job", "description": "Fill in a form."}]

    return links


@hookimpl
def row_actions(
    datasette: Datasette, actor: dict[str, Any] | None, database: str, table: str, row: Any
) -> Any:
    async def links() -> list[dict[str, str]]:
        if not is_ours(database, table):
            return []
        found = []
        for action, label in (("update-job", "Edit job"), ("delete-job", "Delete job")):
            if await may(datasette, actor, action):
                page = label.lower().replace(" ", "-")
                found.append({"href": address(datasette, page, row["id"]), "label": label})
        return found

    return links


def is_ours(database: str, table: str) -> bool:
    return (database, table) == (CAMPAIGNS.database, CAMPAIGNS.table)


async def may(datasette: Datasette, actor: dict[str, Any] | None, action: str) -> bool:
    """Whether this actor may do it here; whoever may not see jobs gets no form about one."""
    return (
        actor is not None
        and await is_allowed(datasette, actor, action, CAMPAIGNS)
        and await may_see(datasette, actor, CAMPAIGNS)
    )


async def enter(datasette: Datasette, request: Request, action: str) -> Response | None:
    """Forbidden unless the actor may; an answer for methods that a page does not take."""
    if not await may(datasette, request.actor, action):
        raise Forbidden(f"You may not {action} here")
    return refuse_method(request, FORM)


async def new_job(request: Request, datasette: Datasette) -> Response:
    if refused := await enter(datasette, request, "create-job"):
        return refused
    if request.method != "POST":
        return await form(datasette, request, job_form.shown({}))
    submitted: dict[str, str] = {}
    try:
        submitted = await read_form(request)
        document = job_form.changed({}, submitted)
        actor = actor_id(request)
        stored = await write_to(
            datasette, CAMPAIGNS, lambda conn: CAMPAIGNS.add(conn, document, actor)
        )
    except FAILURES as error:
        return await form(datasette, request, submitted, refusal=request_error(error))
    return done(datasette, request, f"Created {stored.key}", row_address(datasette, stored.key))


async def edit_job(request: Request, datasette: Datasette) -> Response:
    if refused := await enter(datasette, request, "update-job"):
        return refused
    stored, document = await read_job(datasette, request)
    if request.method != "POST":
        values = job_form.shown(document) | {"etag": entity_tag(stored)}
        return await form(datasette, request, values, document)
    submitted: dict[str, str] = {}
    try:
        submitted = await read_form(request)
        actor, check = actor_id(request), precondition(submitted.get("etag", ""), None)
        await write_to(
            datasette,
            CAMPAIGNS,
            lambda conn: CAMPAIGNS.change(
                conn, stored.key, lambda job: job_form.changed(job, submitted), actor, check
            ),
        )
    except FAILURES as error:
        return await form(datasette, request, submitted, document, request_error(error))
    return done(datasette, request, f"Saved {stored.key}", row_address(datasette, stored.key))


async def delete_job(request: Request, datasette: Datasette) -> Response:
    if refused := await enter(datasette, request, "delete-job"):
        return refused
    stored, document = await read_job(datasette, request)
    if request.method != "POST":
        return await confirmation(datasette, request, document, entity_tag(stored))
    try:
        submitted = await read_form(request)
        actor, check = actor_id(request), precondition(submitted.get("etag", ""), None)
        await write_to(
            datasette, CAMPAIGNS, lambda conn: CAMPAIGNS.remove(conn, stored.key, actor, check)
        )
    except FAILURES as error:
        refusal = request_error(error)
        return await confirmation(datasette, request, document, entity_tag(stored), refusal)
    undo = address(datasette, "restore-job", stored.key, name="key")
    return done(datasette, request, f"Deleted {stored.key}", undo)


async def read_job(datasette: Datasette, request: Request) -> tuple[Record, dict[str, Any]]:
    """The job that the address names, as it is stored and as a document."""
    key = request.args.get("id") or ""
    try:
        stored = await read_from(datasette, CAMPAIGNS, lambda conn: CAMPAIGNS.get(conn, key))
        return stored, json.loads(stored.text)
    except (RequestError, DomainError) as error:
        raise NotFound(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise BadRequest("This job is too much for a form") from error


async def form(
    datasette: Datasette,
    request: Request,
    values: dict[str, str],
    document: dict[str, Any] | None = None,
    refusal: RequestError | None = None,
) -> Response:
    """The form with these values in its fields and, beside them, what was wrong with them."""
    context = {
        "action": request.full_path,
        "values": values,
        "job": document,
        "fields": [one for one in job_form.FIELDS if one.is_shown(document or {})],
        "errors": job_form.by_field(refusal) if refusal else {},
        "changed_meanwhile": refusal is not None
        and refusal.status == HTTPStatus.PRECONDITION_FAILED,
    }
    body = await datasette.render_template("job_form.html", context, request=request)
    return page(body, refusal)


async def confirmation(
    datasette: Datasette,
    request: Request,
    document: dict[str, Any],
    etag: str,
    refusal: RequestError | None = None,
) -> Response:
    context = {
        "action": request.full_path,
        "job": document,
        "etag": etag,
        "errors": refusal.messages if refusal else [],
        "back": row_address(datasette, document["id"]),
    }
    body = await datasette.render_template("job_form_delete.html", context, request=request)
    return page(body, refusal)


def page(body: str, refusal: RequestError | None) -> Response:
    return Response.html(body, status=refusal.status if refusal else 200)


def done(datasette: Datasette, request: Request, message: str, target: str) -> Response:
    datasette.add_message(request, message, datasette.INFO)
    return Response.redirect(target, status=303)


def actor_id(request: Request) -> str:
    return str(request.actor["id"])


def address(datasette: Datasette, page: str, job_id: str, name: str = "id") -> str:
    return str(datasette.urls.path(f"/campaigns/-/{page}?{urlencode({name: job_id})}"))


def row_address(datasette: Datasette, job_id: str) -> str:
    return str(datasette.urls.row(CAMPAIGNS.database, CAMPAIGNS.table, tilde_encode(job_id)))
