"""What can be done with selected jobs of the queues: retry, cancel, delete; and the undo."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from datasette import Forbidden
from datasette.app import Datasette

from dailies.api import bulk
from dailies.api.bulk import CANCEL, DELETE, RETRY
from dailies.api.resources import Resource
from dailies.auth.permissions import Actor, is_allowed
from dailies.storage.databases import write_to
from dailies.web.pages.queue_list import KINDS, MAX_SELECTED, jobs_by_key
from dailies.web.pages.viewer import Row, Viewer
from loaders.errors import Invalid
from loaders.messages import quoted

LABELS = {RETRY: "Retry", CANCEL: "Cancel", DELETE: "Delete"}
DONE = {RETRY: "queued again", CANCEL: "cancelled", DELETE: "deleted"}
TARGETS = {RETRY: "queued", CANCEL: "cancelled"}
Selected = dict[str, list[Any]]


class Acted(NamedTuple):
    """What became of the selected jobs, in their order, and the tokens that undo it."""

    jobs: list[Row]
    changed: int
    undo: list[str]


def needed(action: str) -> str:
    return "delete-job" if action == DELETE else "update-job"


async def may(datasette: Datasette, actor: Actor, resource: Resource, action: str) -> bool:
    """True if the actor may do this, and see what it is done to."""
    permissions = (needed(action), "view-table")
    return actor is not None and all(
        [await is_allowed(datasette, actor, one, resource) for one in permissions]
    )


async def offered(datasette: Datasette, actor: Actor, kinds: Iterable[Resource]) -> list[str]:
    """The actions that this actor may take on some of these queues."""
    return [
        action
        for action in LABELS
        if any(
            [
                action in resource.actions and await may(datasette, actor, resource, action)
                for resource in kinds
            ]
        )
    ]


def allows(resource: Resource, action: str, status: Any) -> bool:
    """True if the action is possible for a job with this status."""
    if action not in resource.actions:
        return False
    return action == DELETE or status in bulk.statuses_for(resource, action)


def parse_selected(tokens: Iterable[str]) -> Selected:
    """The keys by kind, from texts such as `builds:13`."""
    found: Selected = {}
    for token in dict.fromkeys(tokens):
        kind, colon, text = token.partition(":")
        queue = KINDS[kind].queue if colon and kind in KINDS else None
        key = queue.key(text) if queue else None
        if key is None:
            raise Invalid(f"job: {quoted(token)} is no job")
        found.setdefault(kind, []).append(key)
    if sum(map(len, found.values())) > MAX_SELECTED:
        raise Invalid(f"job: at most {MAX_SELECTED:,} jobs at once")
    return found


async def check_permissions(viewer: Viewer, action: str, selected: Selected) -> None:
    if viewer.actor is None or action not in LABELS:
        raise Forbidden(f"Permission denied: need {needed(action)}")
    for kind in selected:
        if not await may(viewer.datasette, viewer.actor, KINDS[kind], action):
            raise Forbidden(f"Permission denied: need {needed(action)}")


async def preview(viewer: Viewer, action: str, selected: Selected) -> list[Row]:
    """The selected jobs; `possible` is true for those whose state allows the action."""
    return [
        {**job, "possible": allows(KINDS[kind], action, job["status"])}
        for kind, keys in selected.items()
        for job in await jobs_by_key(viewer, KINDS[kind], keys)
    ]


async def act(viewer: Viewer, action: str, selected: Selected, actor: str) -> Acted:
    """Take the action on the selected jobs whose state allows it, of each queue together."""
    before = await preview(viewer, action, selected)
    changed, undo = 0, []
    for kind, keys in selected.items():
        resource = KINDS[kind]
        if action in resource.actions:
            result = await write_to(
                viewer.datasette, resource, change(resource, action, keys, actor)
            )
            changed += result.changed
            undo += [result.undo] if result.undo else []
    after = {job["token"]: job["status"] for job in await preview(viewer, action, selected)}
    jobs = [
        {
            **job,
            "after": after.get(job["token"], ""),
            "done": job["possible"] and after.get(job["token"]) == TARGETS.get(action),
        }
        for job in before
    ]
    return Acted(jobs, changed, undo)


def change(resource: Resource, action: str, keys: list[Any], actor: str) -> Any:
    selection = bulk.named(resource, keys)
    return lambda connection: bulk.change(connection, resource, action, selection, actor)


async def undo(viewer: Viewer, tokens: Iterable[str], actor: str) -> Mapping[str, int]:
    """Undo by these tokens: the numbers of jobs that were found, and that are as before."""
    numbers = {"matched": 0, "changed": 0}
    for token in tokens:
        resource = KINDS.get(bulk.resource_named_by(token))
        if resource is None:
            raise Invalid(f"undo: {quoted(token)} is not about a queue")
        await check_permissions(viewer, RETRY, {resource.name: []})
        result = await write_to(viewer.datasette, resource, undoing(resource, token, actor))
        numbers["matched"] += result.matched
        numbers["changed"] += result.changed
    return numbers


def undoing(resource: Resource, token: str, actor: str) -> Any:
    return lambda connection: bulk.undo(connection, resource, token, actor)
