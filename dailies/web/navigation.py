"""The links of the bar on every page, and what the pages of errors say."""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple

from datasette import Request
from datasette.app import Datasette

from dailies.auth.permissions import Actor, all_allowed, cached


class Entry(NamedTuple):
    """A link of the bar, for actors who may see one of the tables.

    It is marked as the current one on all pages below `sections`.
    """

    label: str
    path: str
    tables: tuple[tuple[str, str], ...] = ()
    sections: tuple[str, ...] = ()


ENTRIES = (
    Entry("Dashboard", "/"),
    Entry("Campaigns", "/campaigns/jobs", (("campaigns", "jobs"),), ("/campaigns",)),
    Entry(
        "Queue",
        "/-/queue",
        (("yt-builder", "jobs"), ("presentation_jobs", "presentation_jobs")),
        ("/-/queue", "/yt-builder", "/presentation_jobs"),
    ),
    Entry("Videos", "/metrics/video_metadata", (("metrics", "video_metadata"),), ("/metrics",)),
    Entry("Trends", "/trends/trending_topics", (("trends", "trending_topics"),), ("/trends",)),
    Entry(
        "Images",
        "/image_library/image_library",
        (("image_library", "image_library"),),
        ("/image_library",),
    ),
    Entry("Charts", "/-/charts", sections=("/-/charts",)),
    Entry("Activity", "/-/activity"),
)

# What a permission allows, as the end of "You need permission to ...".
PERMISSIONS = {
    "create-job": "create jobs here",
    "delete-job": "delete jobs here",
    "delete-row": "delete rows of this table",
    "execute-sql": "run SQL queries",
    "insert-row": "add rows to this table",
    "permissions-debug": "see how this server is configured",
    "update-job": "change jobs here",
    "update-row": "change rows of this table",
    "view-database": "see this database",
    "view-instance": "see this server",
    "view-query": "see this query",
    "view-table": "see this table",
}


class Link(NamedTuple):
    label: str
    href: str
    current: bool


async def links(datasette: Datasette, actor: Actor, request: Request | None) -> list[Link]:
    """The links that this actor may follow."""

    async def ask() -> bool:
        return bool(await datasette.allowed(action="view-instance", actor=actor))

    if not await cached(datasette, actor, ("view-instance",), ask):
        return []
    allowed = await all_allowed(datasette, actor, "view-table")
    base = datasette.setting("base_url").rstrip("/")
    path = request.path.removeprefix(base) if request else ""
    return [
        Link(entry.label, str(datasette.urls.path(entry.path)), is_current(entry, path))
        for entry in ENTRIES
        if not entry.tables or allowed.intersection(entry.tables)
    ]


def is_current(entry: Entry, path: str) -> bool:
    return path == entry.path or any(
        path == section or path.startswith(f"{section}/") for section in entry.sections
    )


def missing_permission(message: str) -> str | None:
    """The permission that the message of a Forbidden error names."""
    words = message.split()
    return words[-1] if words and words[-1] in PERMISSIONS else None


def status_phrase(status: int) -> str:
    """Such as `Not found`."""
    return HTTPStatus(status).phrase.capitalize()
