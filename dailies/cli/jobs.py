"""`dailies jobs ...`: the operations of the jobs API for a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from dailies.cli.options import Command, DatabaseName, Output, command
from loaders import open_database
from loaders.errors import NotFound
from loaders.messages import quoted
from loaders.registry import DATABASES

if TYPE_CHECKING:
    from dailies.api.bulk import Result
    from dailies.api.resources import Resource, Versions
    from loaders.rows import Record

ACTOR = "command line"
CAMPAIGNS = "campaigns"
MAX_VERSIONS = 1000
WITH_JOBS = tuple(spec.name for spec in DATABASES.values() if spec.resource)

LIST_DELETED = """
select id, job_name, version, actor, deleted_at
from deleted_jobs
order by deleted_at desc, id
"""

NAME = click.argument("name", type=DatabaseName(WITH_JOBS))
KEY = click.argument("key")
WHERE = click.option(
    "--where",
    "conditions",
    multiple=True,
    metavar="COLUMN=VALUE",
    help="Only jobs with this value; repeatable.",
)
WORDS = click.option("-q", "words", metavar="WORDS", help="Only jobs that contain these words.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Count the jobs without changing them.")


def bulk_command(function: Callable[..., Output]) -> Command:
    """A command that changes every job that matches a filter."""
    return NAME(WHERE(WORDS(DRY_RUN(command(function)))))


@click.group()
def jobs() -> None:
    """List, copy, restore, retry, cancel and delete jobs.

    NAME is campaigns, yt-builder or presentation_jobs.
    """


@jobs.command("list")
@NAME
@WHERE
@WORDS
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Jobs.")
@command
def list_jobs(name: str, conditions: tuple[str, ...], words: str | None, limit: int) -> Output:
    """List jobs, newest first."""
    from dailies.api.pagination import parse_query, read_page

    resource = resource_of(name)
    parameters = {**parse_conditions(conditions, words), "_size": str(limit)}
    with closing(open_database(name)) as db:
        page = read_page(db.conn, resource, parse_query(resource, parameters))
    return rows_output([record.text for record in page.records])


@jobs.command()
@NAME
@KEY
@command
def show(name: str, key: str) -> Output:
    """Show one job with all its fields."""
    with closing(open_database(name)) as db:
        return rows_output([resource_of(name).get(db.conn, key).text])


@jobs.command()
@NAME
@KEY
@command
def history(name: str, key: str) -> Output:
    """List the changes of a job and who made them, newest first."""
    resource = resource_of(name)
    with closing(open_database(name)) as db:
        if resource.queue:
            found = resource.queue.events(db.conn, key, None, MAX_VERSIONS)
        else:
            found = list(versions_of(resource).list(db.conn, key, None, MAX_VERSIONS))
    if not found:
        raise NotFound(f"There was never a job {quoted(key)}")
    return rows_output([version.text for version in found])


@jobs.command()
@KEY
@command
def duplicate(key: str) -> Output:
    """Create a copy of a campaign job."""
    return write_campaign(lambda versions, db: versions.duplicate(db, key, ACTOR))


@jobs.command()
@KEY
@click.option("--version", type=click.IntRange(min=1), help="Default: the last before deletion.")
@command
def restore(key: str, version: int | None) -> Output:
    """Restore a deleted campaign job, or an earlier version of a job."""
    return write_campaign(lambda versions, db: versions.restore(db, key, version, ACTOR, None))


@jobs.command()
@command
def trash() -> Output:
    """List deleted campaign jobs, last deleted first; `restore` restores one."""
    with closing(open_database(CAMPAIGNS)) as db:
        rows = list(db.query(LIST_DELETED))
    return rows_output([json.dumps(row, ensure_ascii=False) for row in rows])


@jobs.command()
@bulk_command
def retry(name: str, **options: Any) -> Output:
    """Requeue the matching jobs that failed or were cancelled."""
    return run_bulk(name, "retry", **options)


@jobs.command()
@bulk_command
def cancel(name: str, **options: Any) -> Output:
    """Cancel the matching jobs that have not ended (yt-builder)."""
    return run_bulk(name, "cancel", **options)


@jobs.command()
@bulk_command
def delete(name: str, **options: Any) -> Output:
    """Delete the matching jobs. For campaigns, `undo` restores them."""
    return run_bulk(name, "delete", **options)


@jobs.command()
@click.argument("token")
@command
def undo(token: str) -> Output:
    """Undo a deletion of campaign jobs, a retry or a cancellation, by the token it printed."""
    from dailies.api import bulk
    from dailies.api.resources import RESOURCES

    resource = RESOURCES[bulk.resource_named_by(token)]
    with closing(open_database(resource.database)) as db:
        return bulk_output(bulk.undo(db.conn, resource, token, ACTOR))


def run_bulk(
    name: str, action: str, conditions: tuple[str, ...], words: str | None, dry_run: bool
) -> Output:
    from dailies.api import bulk

    resource = resource_of(name)
    if action not in resource.actions:
        raise click.UsageError(f"{name} does not support {action}")
    if not conditions and not words:
        raise click.UsageError("select jobs with --where or -q: at least one filter is required")
    selected = bulk.filtered(resource, parse_conditions(conditions, words))
    with closing(open_database(name)) as db:
        if dry_run:
            return bulk_output(bulk.count(db.conn, resource, action, selected))
        return bulk_output(bulk.change(db.conn, resource, action, selected, ACTOR))


def bulk_output(result: Result) -> Output:
    return Output(result.as_dict(), bulk_lines(result))


def bulk_lines(result: Result) -> Iterator[str]:
    would = "would be changed" if result.dry_run else "changed"
    yield f"{result.action}: {result.matched} jobs match, {result.changed} {would}"
    if result.undo:
        yield f"to undo: dailies jobs undo {result.undo}"


def parse_conditions(conditions: tuple[str, ...], words: str | None) -> dict[str, str]:
    """Column -> value, with the words to search for under `q`."""
    filters = {"q": words} if words else {}
    for condition in conditions:
        column, equals, value = condition.partition("=")
        if not (column and equals) or column in filters:
            raise click.UsageError(f'--where needs COLUMN=VALUE once per column, not "{condition}"')
        filters[column] = value
    return filters


def resource_of(name: str) -> Resource:
    from dailies.api.resources import RESOURCES

    return next(resource for resource in RESOURCES.values() if resource.database == name)


def versions_of(resource: Resource) -> Versions:
    if resource.versions is None:
        raise click.UsageError(f"{resource.database} has no versions")
    return resource.versions


def write_campaign(write: Callable[[Versions, Any], Record]) -> Output:
    from loaders.connections import transaction

    versions = versions_of(resource_of(CAMPAIGNS))
    with closing(open_database(CAMPAIGNS)) as db, transaction(db) as connection:
        return rows_output([write(versions, connection).text])


def rows_output(texts: list[str]) -> Output:
    rows = [json.loads(text) for text in texts]
    return Output({"ok": True, "rows": rows}, rows=rows)
