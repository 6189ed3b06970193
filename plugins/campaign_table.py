"""The list of campaigns (templates/table-campaigns-jobs.html), and the export of what it lists."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from datasette import Request, hookimpl
from datasette.app import Datasette

from dailies.auth.permissions import is_allowed
from dailies.web import campaign_table, job_export
from dailies.web.access import missing_permission
from dailies.web.page import refuse_method, versioned
from dailies.web.row_actions import IMPORT_JOBS, NEW_JOB

SCRIPT = versioned("bulk.js")
LABELS = {NEW_JOB: "New campaign", IMPORT_JOBS: "Import"}
EXPORT = "/campaigns/-/export-jobs"


@hookimpl
def register_routes() -> list[tuple[str, Any]]:
    return [(rf"{EXPORT}\.(?P<export>yaml|json)\Z", export)]


@hookimpl
def extra_template_vars(
    datasette: Datasette,
    request: Request | None,
    view_name: str,
    database: str | None,
    table: str | None,
) -> Any:
    if view_name != "table" or request is None or (database, table) != ("campaigns", "jobs"):
        return None

    async def variables() -> dict[str, Any]:
        pairs, path = campaign_table.parse(request.query_string), request.path
        hidden = [(name, value) for name, value in pairs if name not in ("_col", "_nocol")]
        return {
            "is_short": campaign_table.is_short(pairs),
            "short_columns": campaign_table.columns(path, pairs, request.args.get("_sort_desc")),
            "all_columns_href": campaign_table.with_query(path, [*pairs, ("_nocol", "data")]),
            "some_columns_href": campaign_table.with_query(path, hidden),
            "labels": campaign_table.COLUMNS,
            "chips": campaign_table.chips(path, pairs),
            "exports": exports(datasette, pairs),
            "bulk_filter": campaign_table.bulk_filter(pairs),
            "bulk_actions": await allowed_actions(datasette, request),
            "bulk_script": SCRIPT,
            "campaign_links": [
                {"href": datasette.urls.path(f"/campaigns/-/{page.name}"), "label": label}
                for page, label in LABELS.items()
                if not await missing_permission(datasette, request.actor, page)
            ],
        }

    return variables


async def allowed_actions(datasette: Datasette, request: Request) -> list[str]:
    """What the actor may do with many campaigns at once."""
    return [
        action
        for action, permission in campaign_table.ACTIONS.items()
        if request.actor and await is_allowed(datasette, request.actor, permission, NEW_JOB)
    ]


def exports(datasette: Datasette, pairs: campaign_table.Pairs) -> dict[str, str]:
    """Format -> the address of all rows that the page lists, if they can be exported."""
    filters = job_export.filters_of(pairs)
    if filters is None:
        return {}
    query = f"?{urlencode(filters)}" if filters else ""
    found = {
        name.upper(): str(datasette.urls.path(f"{EXPORT}.{name}{query}"))
        for name in job_export.FORMATS
    }
    shown = [pair for pair in pairs if pair[0] not in campaign_table.SHOWING]
    stream = urlencode([*shown, ("_stream", "on"), ("_dl", "on")])
    return {**found, "CSV": str(datasette.urls.path(f"/campaigns/jobs.csv?{stream}"))}


async def export(request: Request, datasette: Datasette) -> Any:
    if refused := refuse_method(request):
        return refused
    return await job_export.respond(datasette, request)
