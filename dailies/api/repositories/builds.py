"""Files and uploads of a build, as programs send and get them over HTTP."""

from __future__ import annotations

import sqlite3
from typing import Any

from dailies.api.repositories.queues import conflicts
from dailies.api.resources import BUILDS_QUEUE
from loaders import yt_builder
from loaders.connections import acting_as
from loaders.errors import NotFound
from loaders.messages import quoted

Document = dict[str, Any]
MAX_UPLOADS = 1000


def job_number(connection: sqlite3.Connection, key: str) -> int:
    """The number of the build; NotFound if there is none."""
    return int(BUILDS_QUEUE.row(connection, key)["job_id"])


def require_lease(connection: sqlite3.Connection, job_id: int, document: Document) -> None:
    BUILDS_QUEUE.require_lease(connection, job_id, document.pop("lease", None))


def files(
    connection: sqlite3.Connection, key: str, file_type: str | None
) -> tuple[list[Document], dict[str, int]]:
    """The files, of one type where it is given, and how many there are of each type."""
    job_id = job_number(connection, key)
    return (
        yt_builder.get_job_files(connection, job_id, file_type),
        yt_builder.get_file_counts(connection, job_id),
    )


def add_file(
    connection: sqlite3.Connection, key: str, file: Document, actor: str | None
) -> tuple[Document, bool]:
    """The file as it is stored, and whether it took the place of another."""
    given = dict(file)
    with acting_as(connection, actor), conflicts():
        job_id = job_number(connection, key)
        require_lease(connection, job_id, given)
        names = {
            (row["file_type"], row["filename"])
            for row in yt_builder.get_job_files(connection, job_id, given["file_type"])
        }
        row = yt_builder.add_file(connection, job_id, **given, actor=actor)
        return row, (row["file_type"], row["filename"]) in names


def delete_file(
    connection: sqlite3.Connection,
    key: str,
    file_type: str,
    filename: str,
    lease: str | None,
    actor: str | None,
) -> None:
    job_id = job_number(connection, key)
    with conflicts():
        BUILDS_QUEUE.require_lease(connection, job_id, lease)
    if not yt_builder.delete_file(connection, job_id, file_type, filename, actor):
        message = f"The job has no file {quoted(filename)} of type {quoted(file_type)}"
        raise NotFound(message)


def uploads(connection: sqlite3.Connection, key: str) -> list[Document]:
    return yt_builder.get_youtube_uploads(connection, job_number(connection, key), MAX_UPLOADS)


def add_upload(
    connection: sqlite3.Connection, key: str, upload: Document, actor: str | None
) -> Document:
    given = {name: value for name, value in upload.items() if value is not None}
    with acting_as(connection, actor), conflicts():
        job_id = job_number(connection, key)
        require_lease(connection, job_id, given)
        return yt_builder.add_youtube_upload(connection, job_id, **given, actor=actor)
