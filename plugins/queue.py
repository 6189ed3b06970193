"""The page of the queues at `/-/queue`: builds and presentations, what to do with them, live."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from datasette import Forbidden, Request, Response, hookimpl
from datasette.app import Datasette
from datasette.utils import tilde_decode

from dailies.api.dispatch import respond
from dailies.errors import FAILURES, request_error
from dailies.web import live
from dailies.web.forms import read_fields
from dailies.web.page import refuse_method, render, versioned
from dailies.web.pages import queue_actions, queue_list
from dailies.web.pages.queue_list import KINDS, STATES, parse_choice
from dailies.web.pages.viewer import Viewer

QUEUE = "/-/queue"
MAX_FIELDS = queue_list.MAX_SELECTED + 20
PAGES = {(resource.database, resource.table): resource for resource in KINDS.values()}
ASSETS = {"style": versioned("queue.css"), "script": versioned("queue.js")}


@hookimpl
def register_routes() -> list[tuple[str, Any]]:
    return [
        (r"/-/queue\Z", queue_page),
        (r"/-/queue/act\Z", act),
        (r"/-/queue/undo\Z", undo),
        (r"/-/queue/live\Z", live_events),
    ]


@hookimpl
def extra_template_vars(
    datasette: Datasette,
    request: Request | None,
    view_name: str,
    database: str | None,
    table: str | None,
) -> Any:
    """`queue`: for the page of a build or presentation, its stream and the actor's actions."""
    resource = PAGES.get((database or "", table or ""))
    if view_name != "row" or request is None or resource is None:
        return None

    async def variables() -> dict[str, Any]:
        viewer = Viewer(datasette, request.actor)
        since = await live.positions(viewer, await queue_list.visible(viewer, resource.name))
        offered = await queue_actions.offered(datasette, request.actor, [resource])
        return {
            "queue": {
                "since": since,
                "live": partial(live.live_path, viewer, since),
                "actions": {
                    action: (queue_actions.LABELS[action], statuses(resource, action))
                    for action in offered
                },
                "act": datasette.urls.path(f"{QUEUE}/act"),
                "assets": ASSETS,
            }
        }

    return variables


def statuses(resource: Any, action: str) -> list[str]:
    """The statuses from which an action is possible."""
    found = (queue_list.status_in(resource, state) for state in STATES)
    return [one for one in found if one and queue_actions.allows(resource, action, one)]


async def queue_page(request: Request, datasette: Datasette) -> Response:
    if refused := refuse_method(request):
        return refused
    await datasette.ensure_permission(action="view-instance", actor=request.actor)
    viewer = Viewer(datasette, request.actor, queue_list.TIME_LIMIT_MS)
    kinds = await queue_list.visible(viewer)
    if not kinds:
        raise Forbidden("Permission denied: need view-table")
    try:
        choice = parse_choice({name: request.args.get(name) or "" for name in request.args})
    except FAILURES as error:
        datasette.add_message(request, str(error), datasette.WARNING)
        return Response.redirect(str(datasette.urls.path(QUEUE)))
    since = await live.positions(viewer, kinds)
    counts = {one.name: await queue_list.count(viewer, one, choice.hours) for one in kinds}
    chosen = [one for one in kinds if choice.kind in ("", one.name)]
    context = {
        "choice": choice,
        "states": STATES,
        "kinds": [one.name for one in kinds],
        "numbers": live.numbers_of(counts),
        "counts": queue_list.total(counts[one.name] for one in chosen),
        "jobs": await queue_list.list_jobs(viewer, choice, counts),
        "actions": await queue_actions.offered(datasette, request.actor, chosen),
        "labels": queue_actions.LABELS,
        "all": [one for one in ("retry", "cancel") if choice.state in whole_states(one)],
        "sizes": queue_list.SIZES,
        "live": live.live_path(viewer, since),
        "path": datasette.urls.path(QUEUE),
        "assets": ASSETS,
    }
    return await render(datasette, request, "queue.html", context)


def whole_states(action: str) -> tuple[str, ...]:
    """The states all of whose jobs can be selected at once for an action."""
    return {"retry": ("failed", "cancelled"), "cancel": ("queued", "preparing")}[action]


async def act(request: Request, datasette: Datasette) -> Response:
    """Show what an action will do to the selected jobs; once confirmed, take it."""
    if refused := refuse_method(request, ("POST",)):
        return refused
    viewer = Viewer(datasette, request.actor)
    try:
        fields = await read_fields(request, MAX_FIELDS)
        given = dict(fields)
        action = given.get("action") or given.get("all") or given.get("now") or ""
        tokens = [value for name, value in fields if name == "job"]
        selected = await selection(viewer, action, given, tokens)
        await queue_actions.check_permissions(viewer, action, selected)
        if not selected:
            return back(datasette, request, given, "Select at least one job", datasette.WARNING)
        if "confirmed" not in given and "now" not in given:
            return await show_preview(viewer, request, action, selected, given)
        done = await queue_actions.act(viewer, action, selected, str(request.actor["id"]))
    except FAILURES as error:
        return back(datasette, request, {}, str(request_error(error)), datasette.ERROR)
    if given.get("to") == "job" and done.jobs:
        word = queue_actions.DONE[action] if done.changed else "as it was: its state changed"
        datasette.add_message(request, f"The {done.jobs[0]['kind']} is {word}", datasette.INFO)
        return Response.redirect(done.jobs[0]["href"], status=303)
    return await show_result(viewer, request, action, done, given)


async def selection(
    viewer: Viewer, action: str, given: Mapping[str, str], tokens: list[str]
) -> queue_actions.Selected:
    """The jobs whose boxes are checked, or all that the list means."""
    if "all" not in given:
        return queue_actions.parse_selected(tokens)
    choice = parse_choice(given)
    found = {
        resource.name: await queue_list.keys_of(viewer, resource, choice)
        for resource in await queue_list.visible(viewer, choice.kind)
        if action in resource.actions
    }
    return {name: keys[: queue_list.MAX_SELECTED] for name, keys in found.items() if keys}


async def show_preview(
    viewer: Viewer,
    request: Request,
    action: str,
    selected: queue_actions.Selected,
    given: Mapping[str, str],
) -> Response:
    jobs = await queue_actions.preview(viewer, action, selected)
    possible = [job for job in jobs if job["possible"]]
    context = page_context(viewer, action, given) | {
        "jobs": possible + [job for job in jobs if not job["possible"]],
        "possible": len(possible),
        "tokens": [f"{kind}:{key}" for kind, keys in selected.items() for key in keys],
    }
    return await render(viewer.datasette, request, "queue_preview.html", context)


async def show_result(
    viewer: Viewer,
    request: Request,
    action: str,
    done: queue_actions.Acted,
    given: Mapping[str, str],
) -> Response:
    context = page_context(viewer, action, given) | {
        "done": done,
        "word": queue_actions.DONE[action],
    }
    return await render(viewer.datasette, request, "queue_result.html", context)


def page_context(viewer: Viewer, action: str, given: Mapping[str, str]) -> dict[str, Any]:
    return {
        "action": action,
        "label": queue_actions.LABELS[action],
        "given": {name: given.get(name, "") for name in ("state", "kind", "hours", "to")},
        "path": viewer.datasette.urls.path(QUEUE),
        "back": address(viewer.datasette, given),
        "assets": ASSETS,
    }


async def undo(request: Request, datasette: Datasette) -> Response:
    if refused := refuse_method(request, ("POST",)):
        return refused
    given: dict[str, str] = {}
    try:
        fields = await read_fields(request, MAX_FIELDS)
        given = dict(fields)
        tokens = [value for name, value in fields if name == "undo"]
        viewer = Viewer(datasette, request.actor)
        if not await queue_actions.offered(datasette, request.actor, KINDS.values()):
            raise Forbidden("Permission denied: need update-job")
        numbers = await queue_actions.undo(viewer, tokens, str(request.actor["id"]))
    except FAILURES as error:
        return back(datasette, request, given, str(request_error(error)), datasette.ERROR)
    text = f"Undone: {numbers['changed']} of {numbers['matched']} jobs are as before"
    return back(datasette, request, given, text, datasette.INFO)


def back(
    datasette: Datasette, request: Request, given: Mapping[str, str], message: str, kind: int
) -> Response:
    """Redirect to the list, with a message."""
    datasette.add_message(request, message, kind)
    return Response.redirect(address(datasette, given), status=303)


def address(datasette: Datasette, given: Mapping[str, str]) -> str:
    """The page of the list that the request came from."""
    try:
        query = parse_choice(given).query()
    except FAILURES:
        query = ""
    return str(datasette.urls.path(f"{QUEUE}?{query}" if query else QUEUE))


async def live_events(request: Request, datasette: Datasette) -> Any:
    async def open_stream() -> Any:
        if request.method == "HEAD":
            return Response(b"", content_type="text/event-stream; charset=utf-8")
        since = request.headers.get("last-event-id") or request.args.get("since") or ""
        kind, _, key = tilde_decode(request.args.get("job") or "").partition(":")
        return await live.stream(datasette, request, since, kind, key)

    return await respond(datasette, request, {"GET": open_stream})
