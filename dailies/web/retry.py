"""Retry the jobs that failed for one reason, or since a time: /-/retry-failed."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

from dailies.api import bulk
from dailies.api.bulk import RETRY, Result, Selection
from dailies.api.resources import RESOURCES, Resource
from loaders.errors import NotFound
from loaders.times import INSTANT

# All with the error of the job `like`, as long as that one is still failed.
SAME_ERROR = """
{table}.status = 'failed'
and exists (
  select 1
  from {table} as shown
  where shown.job_id = :like
    and shown.status = 'failed'
    and shown.error is {table}.error
)
"""
SINCE = """
{table}.job_id in (
  select job_id
  from job_times
  where {finished} >= :since
    and status = 'failed'
)
"""


class Question(NamedTuple):
    """What templates/confirm.html shows."""

    database: str
    table: str
    explanation: str = "They are queued again for the next worker."
    label: str = "Retry"
    fields: tuple[()] = ()


def parse(given: Mapping[str, str]) -> tuple[Resource, Selection]:
    """The jobs that the address of the page names. NotFound if it names none."""
    resource = RESOURCES.get(given.get("resource", ""))
    if resource is None or resource.queue is None:
        raise NotFound("The address names no queue")
    if like := given.get("like"):
        condition = SAME_ERROR.format(table=resource.table)
        return resource, Selection(condition, {"like": resource.queue.key(like)})
    if INSTANT.fullmatch(since := given.get("since", "")):
        condition = SINCE.format(table=resource.table, finished=resource.sorted_times[1])
        return resource, Selection(condition, {"since": since})
    raise NotFound("The address names no failed jobs")


def count(connection: sqlite3.Connection, resource: Resource, selection: Selection) -> Result:
    return bulk.count(connection, resource, RETRY, selection)


def retry(
    connection: sqlite3.Connection, resource: Resource, selection: Selection, actor: str
) -> Result:
    return bulk.change(connection, resource, RETRY, selection, actor)


def amount(resource: Resource, number: int) -> str:
    """Such as `1 build` and `3 builds`."""
    return f"{number:,} {resource.name.removesuffix('s') if number == 1 else resource.name}"
