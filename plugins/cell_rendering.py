"""Format cells of tables and queries for people: statuses, times, JSON, long texts, links.

JSON, CSV and the other formats for programs are not changed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple
from urllib.parse import urlencode

from datasette import Request, hookimpl
from datasette.app import Datasette
from datasette.utils import tilde_encode
from jinja2 import Environment
from markupsafe import Markup, escape

from dailies.datasette_compat import to_css_class
from dailies.web.navigation import status_phrase
from dailies.web.pages import formatting
from dailies.web.pages.viewer import Viewer

TIMES = frozenset(
    {
        "at",
        "changed_at",
        "completed_at",
        "created_at",
        "deleted_at",
        "finished_at",
        "last_heartbeat",
        "last_searched_at",
        "last_seen",
        "last_sign",
        "last_used_at",
        "measured_at",
        "posted_at",
        "since",
        "started_at",
        "timestamp",
        "updated_at",
        "uploaded_at",
    }
)
STATUSES = frozenset({"operation", "privacy", "status", "status_from", "status_to"})
PROGRESS = "progress"
KEYLESS_VIEWS = frozenset({"deleted_jobs", "latest_video_metrics"})
MAX_ON_PAGES = 200_000  # characters of any value; to format longer ones delays other requests
MAX_IN_LISTS = 4_000  # characters; fifty rows with longer texts make a slow page

PAUSE_AFTER_SECONDS = 0.01

# The table whose row a column of a canned query identifies.
ROW_LINKS = {
    ("campaigns", "id"): ("campaigns", "jobs"),
    ("yt-builder", "job_id"): ("yt-builder", "jobs"),
    ("presentation_jobs", "job_id"): ("presentation_jobs", "presentation_jobs"),
    ("trends", "id"): ("trends", "trending_topics"),
    ("image_library", "id"): ("image_library", "image_library"),
    ("image_library", "image_id"): ("image_library", "image_library"),
    ("_memory", "job_id"): ("yt-builder", "jobs"),
    ("_memory", "image_id"): ("image_library", "image_library"),
}
# Columns that link to the rows with the same value, as the job may have been deleted.
FILTER_LINKS = frozenset(
    {
        ("campaigns", "job_history", "job_id"),
        ("yt-builder", "job_events", "job_id"),
        ("presentation_jobs", "job_events", "job_id"),
    }
)
WITH_VIDEOS = frozenset({"_memory", "image_library", "metrics", "yt-builder"})
WITH_TOPICS = frozenset({"_memory", "metrics"})


@hookimpl
def prepare_jinja2_environment(env: Environment) -> None:
    env.filters |= {
        **formatting.FILTERS,
        "cells": cells,
        "status_phrase": status_phrase,
        "tilde_encode": tilde_encode,
    }


def cells(row: Iterable[Mapping[str, Any]]) -> Markup:
    """The cells of a row of a table page, as in Datasette's template of tables."""
    html = [
        f'<td class="{classes(cell["column"], cell["value_type"])}">{escape(cell["value"])}</td>\n'
        for cell in row
    ]
    return Markup("".join(html))  # noqa: S704 - each value is escaped


@lru_cache
def classes(column: str, kind: str) -> str:
    return f"col-{to_css_class(column)} type-{escape(kind)}"


last_pause = 0.0


@hookimpl(tryfirst=True, specname="render_cell")
def pause() -> Any:
    """Let other requests go on while a long page is made."""
    global last_pause
    now = time.monotonic()
    if now - last_pause < PAUSE_AFTER_SECONDS:
        return None
    last_pause = now
    return partial(asyncio.sleep, 0)


@hookimpl
def render_cell(
    datasette: Datasette,
    request: Request | None,
    database: str,
    table: str | None,
    column: str,
    value: Any,
) -> Any:
    if isinstance(value, bytes) and table in KEYLESS_VIEWS:  # no row page to download it from
        return Markup("{:,} bytes").format(len(value))
    if isinstance(value, str) and len(value) > MAX_ON_PAGES:
        return None
    if value is None or isinstance(value, bytes | dict):  # a dict is a foreign key with its label
        return None
    if column in TIMES:
        return formatting.time_html(value)
    if column in STATUSES:
        return formatting.status_pill(value)
    if column == PROGRESS:
        return formatting.progress_bar(value)
    if target := target_of(datasette, request, database, table, column, value):
        return linked(datasette, request, target, value)
    return folded(request, value)


def folded(request: Request | None, value: Any) -> Markup | None:
    """A long value to unfold; very long ones in lists are left for Datasette to truncate."""
    if not isinstance(value, str):
        return None
    if len(value) > MAX_IN_LISTS and not is_row_page(request):
        return None
    return formatting.folded_json(value) or formatting.folded_text(value)


def is_row_page(request: Request | None) -> bool:
    return request is not None and "pks" in (request.url_vars or {})


def is_canned(request: Request | None) -> bool:
    """True on the page of a canned query: in other SQL a column may mean anything."""
    return request is not None and "table" in (request.url_vars or {})


class Target(NamedTuple):
    """A table, and the address of the rows in it that a cell links to."""

    database: str
    table: str
    href: str


def target_of(
    datasette: Datasette,
    request: Request | None,
    database: str,
    table: str | None,
    column: str,
    value: Any,
) -> Target | None:
    if table is None and is_canned(request) and (database, column) in ROW_LINKS:
        named = ROW_LINKS[database, column]
        return Target(*named, str(datasette.urls.row(*named, tilde_encode(str(value)))))
    if (database, table, column) in FILTER_LINKS:
        return filtered(datasette, database, str(table), column, value)
    if column == "video_id" and database in WITH_VIDEOS:
        page = datasette.urls.path(f"/-/videos/{tilde_encode(str(value))}")
        return Target("metrics", "video_metadata", str(page))
    if column == "topic" and database in WITH_TOPICS:
        return filtered(datasette, "trends", "trending_topics", "topic", value)
    return None


def filtered(datasette: Datasette, database: str, table: str, column: str, value: Any) -> Target:
    """The rows of a table with this value in the column."""
    arguments = urlencode({f"{column}__exact": value})
    return Target(database, table, f"{datasette.urls.table(database, table)}?{arguments}")


async def linked(
    datasette: Datasette, request: Request | None, target: Target, value: Any
) -> Markup | None:
    viewer = Viewer(datasette, request.actor if request else None)
    if not await viewer.can_view(target.database, target.table):
        return None
    return Markup('<a href="{}">{}</a>').format(target.href, value)
