"""`dailies jobs ...`: what the jobs API does, for a person at a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import click

from dailies.api import bulk
from dailies.api.pagination import parse_query, read_page
from dailies.api.resources import CAMPAIGNS, RESOURCES, Resource, Versions
from dailies.cli.options import Command, DatabaseName, command
from loaders import open_database
from loaders.connections import transaction
from loaders.errors import NotFound
from loaders.messages import quoted
from loaders.rows import Record

ACTOR = "command line"
MOST_VERSIONS = 1000
BY_DATABASE = {resource.database: resource for resource in RESOURCES.values()}

LIST_DELETED = """
select id, job_name, version, actor, deleted_at
from deleted_jobs
order by deleted_at desc, id
"""

NAME = click.argument("name", type=DatabaseName(tuple(BY_DATABASE)))
KEY = click.argument("key")
WHERE = click.option(
    "--where", "conditions", multiple=True, metavar="COLUMN=VALUE", help="Only such; repeatable."
)
WORDS = click.option("-q", "words", metavar="WORDS", help="Only what holds all of these words.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Say how many, and change nothing.")


def for_many(function: Command) -> Command:
    """A command that does something to every job that matches."""
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
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@command
def list_jobs(name: str, conditions: tuple[str, ...], words: str | None, limit: int) -> Any:
    """The newest jobs."""
    resource = BY_DATABASE[name]
    asked = {**parse_conditions(conditions, words), "_size": str(limit)}
    with closing(open_database(name)) as db:
        found = read_page(db.conn, resource, parse_query(resource, asked))
    return shown([record.text for record in found.records])


@jobs.command()
@NAME
@KEY
@command
def show(name: str, key: str) -> Any:
    """One job, whole."""
    with closing(open_database(name)) as db:
        return shown([BY_DATABASE[name].get(db.conn, key).text])


@jobs.command()
@NAME
@KEY
@command
def history(name: str, key: str) -> Any:
    """What happened to a job and who did it, newest first."""
    resource = BY_DATABASE[name]
    with closing(open_database(name)) as db:
        if resource.queue:
            found = resource.queue.events(db.conn, key, None, MOST_VERSIONS)
        else:
            found = versions_of(resource).list(db.conn, key, None, MOST_VERSIONS)
    if not found:
        raise NotFound(f"There was never a job {quoted(key)}")
    return shown([version.text for version in found])


@jobs.command()
@click.argument("key")
@command
def duplicate(key: str) -> Any:
    """Create a campaign job that says the same as another."""
    return written(lambda db: versions_of(CAMPAIGNS).duplicate(db, key, ACTOR))


@jobs.command()
@click.argument("key")
@click.option("--version", type=click.IntRange(min=1), help="Default: as it was when deleted.")
@command
def restore(key: str, version: int | None) -> Any:
    """Bring a deleted campaign job back, or go back to a version of one."""
    return written(lambda db: versions_of(CAMPAIGNS).restore(db, key, version, ACTOR, None))


@jobs.command()
@command
def trash() -> Any:
    """Deleted campaign jobs, the last first; `restore` brings one back."""
    with closing(open_database(CAMPAIGNS.database)) as db:
        rows = list(db.query(LIST_DELETED))
    return shown([json.dumps(row, ensure_ascii=False) for row in rows])


@jobs.command()
@for_many
def retry(name: str, **asked: Any) -> Any:
    """Queue again whatever failed or was cancelled, of the jobs that match."""
    return act_on_many(name, bulk.RETRY, **asked)


@jobs.command()
@for_many
def cancel(name: str, **asked: Any) -> Any:
    """Cancel whatever has not ended, of the jobs that match (yt-builder)."""
    return act_on_many(name, bulk.CANCEL, **asked)


@jobs.command()
@for_many
def delete(name: str, **asked: Any) -> Any:
    """Delete the jobs that match; of campaigns, `undo` takes it back."""
    return act_on_many(name, bulk.DELETE, **asked)


@jobs.command()
@click.argument("token")
@command
def undo(token: str) -> Any:
    """Bring back the campaign jobs that were deleted together."""
    with closing(open_database(CAMPAIGNS.database)) as db:
        done = bulk.undo(db.conn, token, ACTOR)
    return done.as_dict(), list(done_lines(done))


def act_on_many(
    name: str, action: str, conditions: tuple[str, ...], words: str | None, dry_run: bool
) -> Any:
    resource = BY_DATABASE[name]
    if action not in resource.actions:
        raise click.UsageError(f"{name} cannot {action}")
    if not conditions and not words:
        raise click.UsageError("name the jobs by --where or -q; all of them are never meant")
    asked = parse_conditions(conditions, words)
    with closing(open_database(name)) as db:
        if dry_run:
            done = bulk.count(db.conn, resource, action, asked)
        else:
            done = bulk.change(db.conn, resource, action, asked, ACTOR)
    return done.as_dict(), list(done_lines(done))


def done_lines(done: bulk.Result) -> Iterator[str]:
    would = "would be changed" if done.dry_run else "changed"
    yield f"{done.action}: {done.matched} jobs match, {done.changed} {would}"
    if done.undo:
        yield f"to take it back: dailies jobs undo {done.undo}"


def parse_conditions(conditions: tuple[str, ...], words: str | None) -> dict[str, str]:
    asked = {"q": words} if words else {}
    for condition in conditions:
        column, equals, value = condition.partition("=")
        if not (column and equals) or column in asked:
            raise click.UsageError(f"--where takes COLUMN=VALUE, once a column: not {condition}")
        asked[column] = value
    return asked


def written(write: Callable[[Any], Record]) -> Any:
    with closing(open_database(CAMPAIGNS.database)) as db, transaction(db) as connection:
        return shown([write(connection).text])


def versions_of(resource: Resource) -> Versions:
    if resource.versions is None:
        raise click.UsageError(f"{resource.database} keeps no versions")
    return resource.versions


def shown(texts: list[str]) -> Any:
    rows = [json.loads(text) for text in texts]
    return {"ok": True, "rows": rows}, [
        ", ".join(f"{name} {value}" for name, value in row.items() if value is not None)
        for row in rows
    ]
