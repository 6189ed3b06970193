"""The registry of the job resources: what /api/{name} stands for, and what may be done with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from loaders import campaigns_documents
from loaders.answers import Stored, Version
from loaders.migrations.campaigns_projection import FIELDS
from loaders.requests import Check

Document = dict[str, Any]
Changed = Callable[[Document], Document]


@dataclass(frozen=True)
class Versions:
    """What a resource offers whose every version is kept, in `table`."""

    table: str
    list: Callable[[sqlite3.Connection, str, int | None, int], list[Version]]
    duplicate: Callable[[sqlite3.Connection, str, str | None], Stored]
    restore: Callable[[sqlite3.Connection, str, str | None, Check, int | None], Stored]


@dataclass(frozen=True)
class Resource:
    """One kind of job. Its functions take a connection first and raise `RefusalError`.

    `columns` are those that lists filter and sort by, each with its kind (text, boolean or time);
    `stored` is the SQL list that `to_stored` takes.
    """

    name: str
    database: str
    table: str
    columns: dict[str, str]
    search_index: str
    stored: str
    to_stored: Callable[[Sequence[Any]], Stored]
    read: Callable[[sqlite3.Connection, str], Stored]
    add: Callable[..., list[Stored]]
    change: Callable[[sqlite3.Connection, str, str | None, Check, Changed], Stored]
    remove: Callable[[sqlite3.Connection, str, str | None, Check], None]
    versions: Versions | None = None


CAMPAIGNS = Resource(
    name="campaigns",
    database="campaigns",
    table="jobs",
    columns={
        "id": "text",
        **{field.column: field.kind for field in FIELDS},
        "data": "text",
    },
    search_index="jobs_fts",
    stored=campaigns_documents.STORED,
    to_stored=campaigns_documents.to_stored,
    read=campaigns_documents.read,
    add=campaigns_documents.add,
    change=campaigns_documents.change,
    remove=campaigns_documents.remove,
    versions=Versions(
        table="job_history",
        list=campaigns_documents.versions,
        duplicate=campaigns_documents.duplicate,
        restore=campaigns_documents.restore,
    ),
)

RESOURCES = {resource.name: resource for resource in (CAMPAIGNS,)}
