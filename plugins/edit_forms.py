"""Pages with forms: create or edit a campaign job, and confirm an action on a row.

They work without scripts. Datasette refuses forms submitted from other sites.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from datasette import Forbidden, NotFound, Request, Response, hookimpl
from datasette.app import Datasette
from datasette.utils import tilde_encode
from markupsafe import Markup

from dailies.api.request import precondition
from dailies.api.responses import entity_tag
from dailies.auth.permissions import is_allowed
from dailies.datasette_compat import BadRequest
from dailies.errors import FAILURES, RequestError, request_error
from dailies.storage.databases import read_from, write_to_database
from dailies.web import job_form, retry
from dailies.web.forms import by_field, read_form
from dailies.web.page import FORM, refuse_method, render
from dailies.web.row_actions import (
    EDIT_JOB,
    NEW_JOB,
    RESTORE_JOB,
    ROW_ACTIONS,
    FormPage,
    RowAction,
)
from loaders.campaigns import jobs as campaigns
from loaders.errors import DomainError

Actor = dict[str, Any] | None
Values = dict[str, str]
Show = Callable[[Values, RequestError | None], Awaitable[Response]]
Run = Callable[[Values], Awaitable[tuple[str, str]]]

RESTORE_COLUMN = ("campaigns", "deleted_jobs", "id")


@hookimpl
def register_routes() -> list[tuple[str, Any]]:
    return [
        (r"/campaigns/-/new-job\Z", new_job),
        (r"/campaigns/-/edit-job\Z", edit_job),
        (r"/-/retry-failed\Z", retry_failed),
        *((rf"/{one.database}/-/{one.name}\Z", action_handler(one)) for one in ROW_ACTIONS),
    ]


@hookimpl
def table_actions(datasette: Datasette, actor: Actor, database: str, table: str) -> Any:
    async def links() -> list[dict[str, str]]:
        if (database, table) != (NEW_JOB.database, NEW_JOB.table):
            return []
        if await missing_permission(datasette, actor, NEW_JOB):
            return []
        href = datasette.urls.path("/campaigns/-/new-job")
        return [{"href": href, "label": NEW_JOB.label, "description": "Fill in a form."}]

    return links


@hookimpl
def row_actions(datasette: Datasette, actor: Actor, database: str, table: str, row: Any) -> Any:
    async def links() -> list[dict[str, str]]:
        return [
            {"href": page_href(datasette, page, str(row[page.key])), "label": page.label}
            for page in (EDIT_JOB, *ROW_ACTIONS)
            if (page.database, page.table) == (database, table)
            and page.offered(row)
            and not await missing_permission(datasette, actor, page)
        ]

    return links


@hookimpl
def extra_template_vars(
    datasette: Datasette, request: Request | None, view_name: str, database: str | None
) -> Any:
    """`restore_href`: the page that restores a version of a campaign, for actors who may."""
    shows_versions = view_name == "activity" or (view_name, database) == ("row", "campaigns")
    if not shows_versions or request is None:
        return None

    async def variables() -> dict[str, Any]:
        if await missing_permission(datasette, request.actor, RESTORE_JOB):
            return {}
        return {"restore_href": partial(page_href, datasette, RESTORE_JOB)}

    return variables


@hookimpl(tryfirst=True)
def render_cell(
    datasette: Datasette,
    request: Request | None,
    database: str,
    table: str | None,
    column: str,
    value: Any,
) -> Any:
    """Link a deleted job to the page that restores it."""
    if (database, table, column) != RESTORE_COLUMN or request is None:
        return None

    async def link() -> Markup | None:
        if await missing_permission(datasette, request.actor, RESTORE_JOB):
            return None
        href = page_href(datasette, RESTORE_JOB, str(value))
        return Markup('{} <a href="{}">Restore</a>').format(value, href)

    return link


async def missing_permission(datasette: Datasette, actor: Actor, page: FormPage) -> str | None:
    """The first permission for the page that the actor lacks."""
    needed = [(name, page.permission_table or page.table) for name in page.permissions]
    needed += [("view-table", table) for table in (page.table, page.reads) if table]
    for name, table in needed:
        if actor is None or not await is_allowed(datasette, actor, name, page, table):
            return name
    return None


def page_href(datasette: Datasette, page: FormPage, key: str, **values: Any) -> str:
    arguments = urlencode({"key": key, **values})
    return str(datasette.urls.path(f"/{page.database}/-/{page.name}?{arguments}"))


def row_href(datasette: Datasette, page: FormPage, key: str) -> str:
    return str(datasette.urls.row(page.database, page.table, tilde_encode(key)))


async def check_request(datasette: Datasette, request: Request, page: FormPage) -> Response | None:
    """Raise Forbidden if the actor may not use the page; a 405 response for a wrong method."""
    if missing := await missing_permission(datasette, request.actor, page):
        raise Forbidden(f"Permission denied: need {missing}")
    return refuse_method(request, FORM)


async def answer(datasette: Datasette, request: Request, show: Show, run: Run) -> Response:
    """Show the form; or run it, then redirect, or show it again with its error.

    `run` returns the message to show and where to redirect to.
    """
    if request.method != "POST":
        return await show({}, None)
    submitted: Values = {}
    try:
        submitted = await read_form(request)
        message, target = await run(submitted)
    except FAILURES as error:
        return await show(submitted, request_error(error))
    datasette.add_message(request, message, datasette.INFO)
    return Response.redirect(target, status=303)


async def new_job(request: Request, datasette: Datasette) -> Response:
    if refused := await check_request(datasette, request, NEW_JOB):
        return refused

    async def show(submitted: Values, error: RequestError | None) -> Response:
        return await show_job(datasette, request, {}, submitted or job_form.shown({}), error)

    async def run(submitted: Values) -> tuple[str, str]:
        job, actor = job_form.changed({}, submitted), actor_id(request)
        stored = await write_to_database(
            datasette, "campaigns", lambda conn: campaigns.add_record(conn, job, actor)
        )
        return f"Created {stored.key}", row_href(datasette, NEW_JOB, stored.key)

    return await answer(datasette, request, show, run)


async def edit_job(request: Request, datasette: Datasette) -> Response:
    if refused := await check_request(datasette, request, EDIT_JOB):
        return refused
    key, job, etag = await read_job(datasette, request)

    async def show(submitted: Values, error: RequestError | None) -> Response:
        values = submitted or {**job_form.shown(job), "etag": etag}
        return await show_job(datasette, request, job, values, error)

    async def run(submitted: Values) -> tuple[str, str]:
        actor, check = actor_id(request), precondition(submitted.get("etag", ""), None)
        await write_to_database(
            datasette,
            "campaigns",
            lambda conn: campaigns.change_job(
                conn, key, lambda job: job_form.changed(job, submitted), actor, check
            ),
        )
        return f"Saved {key}", row_href(datasette, EDIT_JOB, key)

    return await answer(datasette, request, show, run)


async def read_job(datasette: Datasette, request: Request) -> tuple[str, dict[str, Any], str]:
    """Key, content and entity tag of the job that `?key=` names."""
    key = request.args.get("key") or ""
    try:
        stored = await read_from(datasette, EDIT_JOB, lambda conn: campaigns.get_record(conn, key))
        return stored.key, json.loads(stored.text), entity_tag(stored)
    except (RequestError, DomainError) as error:
        raise NotFound(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise BadRequest("This job is too large or too deep for a form") from error


async def show_job(
    datasette: Datasette,
    request: Request,
    job: dict[str, Any],
    values: Values,
    error: RequestError | None,
) -> Response:
    """The form with these values, and the messages of an error at the fields they are about."""
    context = {
        "action": request.full_path,
        "values": values,
        "job": job,
        "fields": [field for field in job_form.FIELDS if field.is_shown(job)],
        "errors": job_form.by_field(error) if error else {},
        "conflict": error is not None and error.status == HTTPStatus.PRECONDITION_FAILED,
    }
    return await render(datasette, request, "job_form.html", context, status_of(error))


def action_handler(action: RowAction) -> Any:
    async def handler(request: Request, datasette: Datasette) -> Response:
        return await confirm(datasette, request, action)

    return handler


async def confirm(datasette: Datasette, request: Request, action: RowAction) -> Response:
    if refused := await check_request(datasette, request, action):
        return refused
    key = request.args.get("key") or ""
    if not key:
        raise NotFound("The address has no key")

    async def show(submitted: Values, error: RequestError | None) -> Response:
        return await show_question(datasette, request, action, key, submitted, error)

    async def run(submitted: Values) -> tuple[str, str]:
        actor = actor_id(request)
        outcome = await write_to_database(
            datasette, action.database, lambda conn: action.run(conn, key, actor, submitted)
        )
        if outcome.undo:
            return outcome.message, page_href(datasette, outcome.undo, key)
        return outcome.message, row_href(datasette, action, outcome.other_key or key)

    return await answer(datasette, request, show, run)


async def show_question(
    datasette: Datasette,
    request: Request,
    action: RowAction,
    key: str,
    submitted: Values,
    error: RequestError | None,
) -> Response:
    values = {field.name: request.args.get(field.name) or "" for field in action.fields}
    values |= submitted | await prepared(datasette, action, key)
    question = action.question.format(key=key)
    if version := values.get("version"):
        question = f"Restore version {version} of {key}?"
    visible = {field.name for field in action.fields if field.kind != "hidden"}
    context = {
        "page": action,
        "question": question,
        "action": request.full_path,
        "values": values,
        "errors": by_field(error, visible) if error else {},
        "cancel": row_href(datasette, action, key),
    }
    return await render(datasette, request, "confirm.html", context, status_of(error))


async def prepared(datasette: Datasette, action: RowAction, key: str) -> Values:
    prepare = action.prepare
    if prepare is None:
        return {}
    try:
        return await read_from(datasette, action, lambda conn: prepare(conn, key))
    except (RequestError, DomainError) as error:
        raise NotFound(str(error)) from error


def status_of(error: RequestError | None) -> int:
    return error.status if error else 200


def actor_id(request: Request) -> str:
    return str(request.actor["id"])


async def retry_failed(request: Request, datasette: Datasette) -> Response:
    """Retry many failed jobs, after a question that says how many there are."""
    if refused := refuse_method(request, FORM):
        return refused
    try:
        resource, selection = retry.parse({name: request.args[name] for name in request.args})
    except DomainError as error:
        raise NotFound(str(error)) from error
    for permission in ("view-table", "update-job"):
        if not await is_allowed(datasette, request.actor, permission, resource):
            raise Forbidden(f"Permission denied: need {permission}")
    home = str(datasette.urls.instance())

    async def show(_: Values, error: RequestError | None) -> Response:
        counted = await read_from(
            datasette, resource, lambda conn: retry.count(conn, resource, selection)
        )
        context = {
            "question": f"Retry {retry.amount(resource, counted.changed)}?",
            "page": retry.Question(resource.database, resource.table),
            "action": request.full_path,
            "errors": by_field(error, ()) if error else {},
            "cancel": home,
        }
        return await render(datasette, request, "confirm.html", context, status_of(error))

    async def run(_: Values) -> tuple[str, str]:
        actor = actor_id(request)
        done = await write_to_database(
            datasette,
            resource.database,
            lambda conn: retry.retry(conn, resource, selection, actor),
        )
        return f"{retry.amount(resource, done.changed)} queued again", home

    return await answer(datasette, request, show, run)
