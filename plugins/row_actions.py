"""Pages that do something with one row, and the links to them for whoever may: see loaders."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import urlencode

from datasette import Forbidden, NotFound, Request, Response, hookimpl
from datasette.app import Datasette
from datasette.utils import tilde_encode
from markupsafe import Markup

from dailies.auth.permissions import is_allowed
from dailies.errors import FAILURES, RequestError, request_error
from dailies.storage.databases import write_to_database
from dailies.web.forms import by_field, read_form
from dailies.web.methods import FORM, refuse_method
from dailies.web.row_actions import ROW_ACTIONS, Outcome, RowAction

Actor = dict[str, Any] | None
DELETED_JOBS = ("campaigns", "deleted_jobs", "id")
RESTORE = next(action for action in ROW_ACTIONS if action.name == "restore-job")


@hookimpl
def register_routes() -> list[tuple[str, Any]]:
    return [(rf"/{action.database}/-/{action.name}\Z", page_of(action)) for action in ROW_ACTIONS]


def page_of(action: RowAction) -> Any:
    async def page(request: Request, datasette: Datasette) -> Response:
        return await action_page(datasette, request, action)

    return page


@hookimpl
def row_actions(datasette: Datasette, actor: Actor, database: str, table: str, row: Any) -> Any:
    async def links() -> list[dict[str, str]]:
        return [
            {"href": address(datasette, action, str(row[action.key])), "label": action.label}
            for action in ROW_ACTIONS
            if (action.database, action.table) == (database, table)
            and action.offered(row)
            and await may(datasette, actor, action)
        ]

    return links


@hookimpl
def extra_template_vars(
    datasette: Datasette, request: Request | None, view_name: str, database: str | None
) -> Any:
    """`restore`: the address to which a version of a campaign is added, for whoever may go back."""
    if view_name != "row" or request is None or database != RESTORE.database:
        return None

    async def variables() -> dict[str, Any]:
        if not await may(datasette, request.actor, RESTORE):
            return {}
        return {"restore": partial(address, datasette, RESTORE)}

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
    """A deleted job leads to where it can be brought back."""
    if (database, table, column) != DELETED_JOBS or request is None:
        return None

    async def link() -> Markup | None:
        if not await may(datasette, request.actor, RESTORE):
            return None
        href = address(datasette, RESTORE, str(value))
        return Markup('{} <a href="{}">bring back</a>').format(value, href)

    return link


async def may(datasette: Datasette, actor: Actor, action: RowAction) -> bool:
    """Whether this actor may do it; whoever may not see the table gets no page about its rows."""
    if actor is None:
        return False
    needed = [(permission, action.guarded) for permission in action.permissions]
    seen = [("view-table", table) for table in (action.table, action.reads) if table]
    return all(
        [
            await is_allowed(datasette, actor, permission, action, table)
            for permission, table in (*needed, *seen)
        ]
    )


async def action_page(datasette: Datasette, request: Request, action: RowAction) -> Response:
    if not await may(datasette, request.actor, action):
        raise Forbidden(f"You may not {action.label.lower()} here")
    key = request.args.get("key") or ""
    if not key:
        raise NotFound("No row is named")
    if refused := refuse_method(request, FORM):
        return refused
    if request.method != "POST":
        return await question(datasette, request, action, key)
    submitted: dict[str, str] = {}
    actor = str(request.actor["id"])
    try:
        submitted = await read_form(request)
        outcome = await write_to_database(
            datasette, action.database, lambda conn: action.do(conn, key, actor, submitted)
        )
    except FAILURES as error:
        return await question(datasette, request, action, key, submitted, request_error(error))
    return done(datasette, request, outcome)


async def question(
    datasette: Datasette,
    request: Request,
    action: RowAction,
    key: str,
    submitted: dict[str, str] | None = None,
    refusal: RequestError | None = None,
) -> Response:
    """The page that asks first; what was wrong stands at the field it is about."""
    names = {field.name for field in action.fields if field.kind != "hidden"}
    given = {field.name: request.args.get(field.name) or "" for field in action.fields}
    context = {
        "row_action": action,
        "key": key,
        "action": request.full_path,
        "back": datasette.urls.row(action.database, action.table, tilde_encode(key)),
        "values": given | (submitted or {}),
        "errors": by_field(refusal, names) if refusal else {},
    }
    body = await datasette.render_template("row_action.html", context, request=request)
    return Response.html(body, status=refusal.status if refusal else 200)


def done(datasette: Datasette, request: Request, outcome: Outcome) -> Response:
    datasette.add_message(request, outcome.message, datasette.INFO)
    path = tilde_encode(outcome.key)
    target = str(datasette.urls.row(outcome.database, outcome.table, path))
    return Response.redirect(target, status=303)


def address(datasette: Datasette, action: RowAction, key: str, **others: Any) -> str:
    question = urlencode({"key": key, **others})
    return str(datasette.urls.path(f"/{action.database}/-/{action.name}?{question}"))
