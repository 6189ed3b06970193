"""The table of routes: every request of the jobs API, for the server and for its description."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from datasette import Request, Response
from datasette.app import Datasette

from dailies.api import schemas
from dailies.api.changes import LATEST, TOKEN
from dailies.api.dispatch import JobRequest, parse_parameters, respond
from dailies.api.filters import COMPARING, LISTS, MAX_PATTERN, OPERATORS
from dailies.api.handlers import bulk, changes, files, jobs, queue, versions
from dailies.api.handlers.changes import EVENT_STREAM
from dailies.api.handlers.files import FILES, UPLOADS
from dailies.api.pagination import DEFAULT_SIZE, MAX_ROWS
from dailies.api.resources import BUILDS, CAMPAIGNS, RESOURCES, Resource
from dailies.api.schemas import Model
from dailies.storage.availability import require_available
from dailies.storage.reopening import withdraw_changed
from loaders.errors import FileChanged

Handler = Callable[[JobRequest], Awaitable[Response]]
View = Callable[[Request, Datasette], Awaitable[Response]]
ModelOf = Callable[[Resource], Model | None]
SEGMENT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Parameter:
    """A parameter of the query string or a header, with its JSON schema."""

    name: str
    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, eq=False)
class Route:
    """A method at a path, in which `{resource}` stands for each of `resources`.

    `action` is the permission needed first, on `table` or else on the table of the jobs.
    `responses` has the model of the rows for each status (None: no content), or with `whole` the
    model of the body. A `body` may be absent if `optional`, a list if `listed`, a JSON Merge Patch
    if `patch`. A `paged` response has a token for more; `stream` is another media type of it.
    `conditional` routes honour If-Match and If-None-Match.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    action: str
    responses: Mapping[int, ModelOf]
    resources: Mapping[str, Resource] = field(default_factory=lambda: RESOURCES)
    table: str | None = None
    body: ModelOf | None = None
    optional: bool = False
    listed: bool = False
    patch: bool = False
    conditional: bool = False
    paged: bool = False
    whole: bool = False
    stream: str | None = None
    parameters: Callable[[Resource], tuple[Parameter, ...]] = lambda _: ()


def row(resource: Resource) -> Model:
    return resource.models.row


def nothing(_: Resource) -> None:
    return None


def always(model: Model) -> ModelOf:
    return lambda _: model


SIZE = Parameter(
    "_size",
    f"Rows of a page; {DEFAULT_SIZE} by default.",
    {"type": "integer", "minimum": 1, "maximum": MAX_ROWS},
)
NEXT = Parameter("_next", "The token `next` of the page before.")
LEASE = Parameter("lease", "The lease that a claim returned: 409 once it is lost.")
FILE_TYPE = Parameter("file_type", "Only files of this type.")
SINCE = Parameter(
    "since",
    f"The token `next` of earlier changes, or `{LATEST}` to begin now. "
    "Without it, changes from the first on.",
    {"type": "string", "pattern": f"^({LATEST}|{TOKEN.pattern})$"},
)
FILTERS: dict[str, dict[str, Any]] = {
    "boolean": {"type": "string", "enum": ["true", "false", "1", "0"]},
    "number": {"type": "number"},
    "time": {"type": "string", "format": "date-time"},
    "text": {"type": "string"},
    "json": {"type": "string"},
}


LISTED: dict[str, dict[str, Any]] = {
    "boolean": {"type": "string", "pattern": r"^(true|false|0|1)(,(true|false|0|1))*$"},
    "number": {"type": "string", "pattern": r"^-?[0-9]{1,9}(,-?[0-9]{1,9})*$"},
    "time": FILTERS["time"],
    "text": {"type": "string", "pattern": r"^[^\[]*$"},
    "json": {"type": "string", "pattern": r"^[^\[]*$"},
}


def filter_patterns(resource: Resource) -> Iterator[tuple[str, dict[str, Any]]]:
    """The names of filters with operators, as patterns, and the schemas of their values."""
    others = [one for one in OPERATORS if one not in {*COMPARING, *LISTS, "date"}]
    for kind in FILTERS:
        if columns := "|".join(name for name, its in resource.columns.items() if its == kind):
            yield f"^({columns})__({'|'.join(sorted(COMPARING))})$", FILTERS[kind]
            yield f"^({columns})__({'|'.join(sorted(LISTS))})$", LISTED[kind]
    every = "|".join(resource.columns)
    yield f"^({every})__date$", {"type": "string", "format": "date"}
    yield f"^({every})__({'|'.join(others)})$", {"type": "string", "maxLength": MAX_PATTERN}


def list_parameters(resource: Resource) -> tuple[Parameter, ...]:
    columns = [*resource.columns, *(f"-{column}" for column in resource.columns)]
    return (
        *(
            Parameter(column, f"Only rows with this `{column}`.", FILTERS[kind])
            for column, kind in resource.columns.items()
        ),
        Parameter(
            "filters",
            "Only rows for which these are true: `column__operator=value`, as on Datasette's "
            f"table pages. The operators are {', '.join(OPERATORS)}.",
            {
                "type": "object",
                "patternProperties": dict(filter_patterns(resource)),
                "additionalProperties": False,
            },
        ),
        Parameter("q", "Only rows that contain all of these words, their beginnings or parts."),
        Parameter(
            "_sort",
            "A column, with `-` before it for descending order; `-created_at` by default.",
            {"type": "string", "enum": columns},
        ),
        SIZE,
        NEXT,
    )


QUEUES = {name: resource for name, resource in RESOURCES.items() if resource.queue}
VERSIONED = {name: resource for name, resource in RESOURCES.items() if resource.versions}
ONLY_BUILDS = {BUILDS.name: BUILDS}
ONLY_CAMPAIGNS = {CAMPAIGNS.name: CAMPAIGNS}

# Where paths overlap the first route counts, so paths with a reserved segment come first.
ROUTES = (
    Route(
        "POST",
        "/api/{resource}/claim",
        queue.claim_job,
        "Claim the oldest queued job; 204 if there is none",
        "update-job",
        {200: lambda resource: resource.models.claimed, 204: nothing},
        QUEUES,
        body=always(schemas.Claim),
    ),
    Route(
        "POST",
        "/api/{resource}/{key}/heartbeat",
        queue.heartbeat_job,
        "Report that the worker of a job is running, and its progress",
        "update-job",
        {200: row},
        QUEUES,
        body=lambda resource: resource.models.heartbeat,
        optional=True,
    ),
    Route(
        "GET",
        "/api/{resource}/{key}/events",
        queue.list_job_events,
        "List the changes of a job's status, newest first",
        "view-table",
        {200: always(schemas.Event)},
        QUEUES,
        table="job_events",
        paged=True,
        parameters=lambda _: (SIZE, NEXT),
    ),
    Route(
        "POST",
        "/api/{resource}/bulk",
        bulk.act_on_jobs,
        "Retry, cancel or delete every job that a filter matches; `dry_run` only counts them",
        "view-table",
        {200: always(schemas.BulkResult)},
        body=lambda resource: resource.models.bulk,
        whole=True,
    ),
    Route(
        "POST",
        "/api/{resource}/undo",
        bulk.undo_jobs,
        "Undo a bulk deletion",
        "create-job",
        {200: always(schemas.BulkResult)},
        ONLY_CAMPAIGNS,
        body=always(schemas.Undo),
        whole=True,
    ),
    Route(
        "POST",
        "/api/{resource}/undo",
        bulk.undo_jobs,
        "Undo a bulk retry or cancellation, of the jobs whose status did not change since",
        "update-job",
        {200: always(schemas.BulkResult)},
        QUEUES,
        body=always(schemas.Undo),
        whole=True,
    ),
    Route(
        "GET",
        "/api/{resource}/changes",
        changes.list_job_changes,
        "List what was created, updated or deleted since a token; with "
        f"`Accept: {EVENT_STREAM}`, as a stream",
        "view-table",
        {200: always(schemas.Change)},
        paged=True,
        stream=EVENT_STREAM,
        parameters=lambda _: (SINCE, SIZE),
    ),
    Route(
        "GET",
        "/api/{resource}/{key}/files",
        files.list_job_files,
        "List the files of a build, and count them by type",
        "view-table",
        {200: always(schemas.File)},
        ONLY_BUILDS,
        table=FILES,
        parameters=lambda _: (FILE_TYPE,),
    ),
    Route(
        "POST",
        "/api/{resource}/{key}/files",
        files.add_job_file,
        "Add a file to a build; one of the same type and name is replaced",
        "update-job",
        {201: always(schemas.File), 200: always(schemas.File)},
        ONLY_BUILDS,
        body=always(schemas.NewFile),
    ),
    Route(
        "DELETE",
        "/api/{resource}/{key}/files/{file_type}/{filename}",
        files.delete_job_file,
        "Delete a file from a build",
        "update-job",
        {204: nothing},
        ONLY_BUILDS,
        parameters=lambda _: (LEASE,),
    ),
    Route(
        "GET",
        "/api/{resource}/{key}/uploads",
        files.list_job_uploads,
        "List the uploads of a build, newest first",
        "view-table",
        {200: always(schemas.Upload)},
        ONLY_BUILDS,
        table=UPLOADS,
    ),
    Route(
        "POST",
        "/api/{resource}/{key}/uploads",
        files.add_job_upload,
        "Add an upload to a build",
        "update-job",
        {201: always(schemas.Upload)},
        ONLY_BUILDS,
        body=always(schemas.NewUpload),
    ),
    Route(
        "GET",
        "/api/{resource}/{key}/history",
        versions.list_job_versions,
        "List the versions of a job, newest first",
        "view-table",
        {200: always(schemas.Version)},
        VERSIONED,
        table="job_history",
        paged=True,
        parameters=lambda _: (SIZE, NEXT),
    ),
    Route(
        "POST",
        "/api/{resource}/{key}/duplicate",
        versions.duplicate_job,
        "Create a copy of a job",
        "create-job",
        {201: row},
        VERSIONED,
        body=always(schemas.Nothing),
        optional=True,
    ),
    Route(
        "POST",
        "/api/{resource}/{key}/restore",
        versions.restore_job,
        "Restore a version of a job, or a deleted job",
        "create-job",
        {200: row},
        VERSIONED,
        body=always(schemas.Restore),
        optional=True,
        conditional=True,
    ),
    Route(
        "GET",
        "/api/{resource}",
        jobs.list_jobs,
        "List jobs: filtered, searched, sorted, page by page",
        "view-table",
        {200: row},
        paged=True,
        parameters=list_parameters,
    ),
    Route(
        "POST",
        "/api/{resource}",
        jobs.create_jobs,
        "Create a job, or a list of up to 1,000: all of them or none",
        "create-job",
        {201: row},
        body=lambda resource: resource.models.new,
        listed=True,
    ),
    Route(
        "GET",
        "/api/{resource}/{key}",
        jobs.read_job,
        "Read a job",
        "view-table",
        {200: row, 304: nothing},
    ),
    Route(
        "PUT",
        "/api/{resource}/{key}",
        jobs.update_job,
        "Update a job: the given fields are replaced, the others stay",
        "update-job",
        {200: row},
        body=lambda resource: resource.models.changes,
        conditional=True,
    ),
    Route(
        "PATCH",
        "/api/{resource}/{key}",
        jobs.patch_job,
        "Update a job by a JSON Merge Patch (RFC 7396)",
        "update-job",
        {200: row},
        body=lambda resource: resource.models.changes,
        patch=True,
        conditional=True,
    ),
    Route(
        "DELETE",
        "/api/{resource}/{key}",
        jobs.delete_job,
        "Delete a job",
        "delete-job",
        {204: nothing},
        conditional=True,
        parameters=lambda resource: (LEASE,) if resource.queue else (),
    ),
)


def views(routes: Iterable[Route] = ROUTES) -> list[tuple[str, View]]:
    """A pattern and a function that responds for each path."""
    by_path: dict[tuple[str, frozenset[str]], list[Route]] = {}
    for route in routes:
        by_path.setdefault((route.path, frozenset(route.resources)), []).append(route)
    return [(pattern_of(path, names), view(at)) for (path, names), at in by_path.items()]


def pattern_of(path: str, names: Iterable[str]) -> str:
    choice = "|".join(sorted(names))
    pattern = SEGMENT.sub(r"(?P<\1>[^/]+)", path)
    return pattern.replace("(?P<resource>[^/]+)", f"(?P<resource>{choice})") + r"\Z"


def view(routes: list[Route]) -> View:
    async def respond_to(request: Request, datasette: Datasette) -> Response:
        calls = {route.method: partial(handle, datasette, request, route) for route in routes}
        return await respond(datasette, request, calls)

    return respond_to


async def handle(datasette: Datasette, request: Request, route: Route) -> Response:
    """Check the permission and the names of parameters, then call the handler."""
    resource = RESOURCES[request.url_vars["resource"]]
    require_available(datasette, resource.database)
    job = JobRequest(datasette, request, resource)
    await job.require(route.action, route.table)
    job.parameters = parse_parameters(request, parameter_names(route, resource.name))
    try:
        return await route.handler(job)
    except FileChanged:
        await withdraw_changed(datasette)
        require_available(datasette, resource.database)
        raise


@cache
def parameter_names(route: Route, name: str) -> frozenset[str] | None:
    """The known parameters; None for lists, which check theirs."""
    if route.parameters is list_parameters:
        return None
    return frozenset(parameter.name for parameter in route.parameters(RESOURCES[name]))
