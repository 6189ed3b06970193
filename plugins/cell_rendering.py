"""Cells of tables and queries as people read them: statuses, times, JSON, long texts, links.

JSON, CSV and everything else for programs stay as they are.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urlencode

from datasette import Request, hookimpl
from datasette.app import Datasette
from datasette.utils import tilde_encode
from jinja2 import Environment
from markupsafe import Markup

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
VIEWS = frozenset({"deleted_jobs", "latest_video_metrics"})
LONGEST_IN_LISTS = 4_000  # fifty rows of more would make a slow page

# What a column of a canned query names: the row of which table.
NAMED_BY_QUERIES = {
    ("campaigns", "id"): ("campaigns", "jobs"),
    ("yt-builder", "job_id"): ("yt-builder", "jobs"),
    ("presentation_jobs", "job_id"): ("presentation_jobs", "presentation_jobs"),
    ("trends", "id"): ("trends", "trending_topics"),
    ("image_library", "id"): ("image_library", "image_library"),
    ("image_library", "image_id"): ("image_library", "image_library"),
    ("_memory", "job_id"): ("yt-builder", "jobs"),
    ("_memory", "image_id"): ("image_library", "image_library"),
}
# What a column of a table names may be gone: the rows beside it are not.
LISTED_BESIDE = frozenset(
    {
        ("campaigns", "job_history", "job_id"),
        ("yt-builder", "job_events", "job_id"),
        ("presentation_jobs", "job_events", "job_id"),
    }
)
HOLDS_VIDEOS = frozenset({"_memory", "image_library", "metrics", "yt-builder"})
HOLDS_TOPICS = frozenset({"_memory", "metrics"})


FILTERS = (
    tilde_encode,
    formatting.folded_text,
    formatting.lasting,
    formatting.link,
    formatting.pill,
    formatting.progress,
    formatting.shown,
    formatting.when,
)


@hookimpl
def prepare_jinja2_environment(env: Environment) -> None:
    env.filters |= {function.__name__: function for function in FILTERS}


@hookimpl
def render_cell(
    datasette: Datasette,
    request: Request | None,
    database: str,
    table: str | None,
    column: str,
    value: Any,
) -> Any:
    if isinstance(value, bytes) and table in VIEWS:  # whose rows have no page to load it from
        return Markup("{:,} bytes").format(len(value))
    if value is None or isinstance(value, bytes | dict):  # a dict is a foreign key with its label
        return None
    if column in TIMES:
        return formatting.when(value)
    if column in STATUSES:
        return formatting.pill(value)
    if column == PROGRESS:
        return formatting.progress(value)
    if target := target_of(datasette, request, database, table, column, value):
        return linked(datasette, request, target, value)
    return folded(request, value)


def folded(request: Request | None, value: Any) -> Markup | None:
    """A long value to unfold; in a list of rows Datasette cuts off what is too long for that."""
    if not isinstance(value, str):
        return None
    if len(value) > LONGEST_IN_LISTS and not is_row_page(request):
        return None
    return formatting.folded_json(value) or formatting.folded_text(value)


def is_row_page(request: Request | None) -> bool:
    return request is not None and "pks" in (request.url_vars or {})


def is_canned(request: Request | None) -> bool:
    """Whether the page is that of a canned query, whose columns mean what we say."""
    return request is not None and "table" in (request.url_vars or {})


class Target(NamedTuple):
    """What a cell names: a table, and the address of the rows of it that are meant."""

    database: str
    table: str
    address: str


def target_of(
    datasette: Datasette,
    request: Request | None,
    database: str,
    table: str | None,
    column: str,
    value: Any,
) -> Target | None:
    key = tilde_encode(str(value))
    if table is None and is_canned(request) and (database, column) in NAMED_BY_QUERIES:
        named = NAMED_BY_QUERIES[database, column]
        return Target(*named, str(datasette.urls.row(*named, key)))
    if (database, table, column) in LISTED_BESIDE:
        return matching(datasette, database, str(table), column, value)
    if column == "video_id" and database in HOLDS_VIDEOS:
        return Target("metrics", "video_metadata", str(datasette.urls.path(f"/-/videos/{key}")))
    if column == "topic" and database in HOLDS_TOPICS:
        return matching(datasette, "trends", "trending_topics", "topic", value)
    return None


def matching(datasette: Datasette, database: str, table: str, column: str, value: Any) -> Target:
    """The rows of a table whose column holds the value."""
    question = urlencode({f"{column}__exact": value})
    return Target(database, table, f"{datasette.urls.table(database, table)}?{question}")


async def linked(
    datasette: Datasette, request: Request | None, target: Target, value: Any
) -> Markup | None:
    viewer = Viewer(datasette, request.actor if request else None)
    if not await viewer.may_see(target.database, target.table):
        return None
    return Markup('<a href="{}">{}</a>').format(target.address, value)
