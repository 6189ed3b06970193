"""Jobs of the two queues as the JSON documents that programs send and get over HTTP."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dailies.api.request import Check, RefusalError, all_or_none, quoted
from dailies.api.responses import Stored, Version, entity_tag, json_row
from dailies.api.schemas import Adapter, validate
from loaders.connections import acting_as
from loaders.errors import DuplicateKey
from loaders.queues import claims, job_rows
from loaders.queues.claims import LeaseError
from loaders.queues.job_rows import LARGEST_INTEGER, LifeCycleError, Row, Table
from loaders.queues.life_cycle import LifeCycle

Document = dict[str, Any]
Change = Callable[[Document], Document]

LIST_EVENTS = """
select id, job_id, status_from, status_to, actor, at, detail
from job_events
where job_id = :job_id
  and (:before is null or id < :before)
order by id desc
limit :limit
"""


@dataclass(frozen=True)
class Queue:
    """A table of jobs that workers claim, and the types of what is said about its jobs."""

    table: Table
    cycle: LifeCycle
    create: Callable[[sqlite3.Connection, Mapping[str, Any], str | None], Row]
    new: Adapter
    changes: Adapter
    claimed: Adapter
    heartbeat: Adapter

    @property
    def columns(self) -> str:
        """SQL: what `to_stored` takes."""
        return ", ".join(f"{self.table.name}.{column}" for column in self.table.columns)

    def key(self, text: str) -> int | str:
        """The key that an address names; a number that can be none of a job's finds nothing."""
        if self.cycle.key_type != "INTEGER":
            return text
        number = int(text) if re.fullmatch(r"-?[0-9]{1,19}", text, re.ASCII) else None
        if number is None or abs(number) > LARGEST_INTEGER or str(number) != text:
            raise RefusalError(404, f"There is no job {quoted(text)}")
        return number

    def to_stored(self, values: Sequence[Any]) -> Stored:
        row = dict(zip(self.table.columns, values, strict=True))
        return stored(job_rows.read(self.table, row))

    def read(self, connection: sqlite3.Connection, text: str) -> Stored:
        return stored(self.row(connection, text))

    def row(self, connection: sqlite3.Connection, text: str) -> Row:
        sql = f"select {self.columns} from {self.table.name} where job_id = :job_id"  # noqa: S608
        found = job_rows.select(connection, self.table, sql, {"job_id": self.key(text)})
        if not found:
            raise RefusalError(404, f"There is no job {quoted(text)}")
        return found[0]

    def add(
        self,
        connection: sqlite3.Connection,
        documents: list[Document],
        actor: str | None,
        *,
        listed: bool,
    ) -> list[Stored]:
        """Store new jobs, all or none; the error names every fault, of a list with its position."""
        return all_or_none(
            documents, lambda document: self.add_one(connection, document, actor), listed=listed
        )

    def add_one(
        self, connection: sqlite3.Connection, document: Document, actor: str | None
    ) -> Stored:
        given = validate(self.new, document, self.table.name)
        values = {name: value for name, value in given.items() if value is not None}
        with refusing():
            return stored(self.create(connection, values, actor))

    def change(
        self,
        connection: sqlite3.Connection,
        text: str,
        actor: str | None,
        check: Check,
        changed: Change,
    ) -> Stored:
        """Store what `changed` makes of the job: of its columns, those alone that differ.

        Whoever names a lease must hold it. `check` sees the entity tag that the job has until then.
        """
        with acting_as(connection, actor):
            row = self.row(connection, text)
            job_id = row["job_id"]
            shown = stored(row)
            check(shown.etag)
            # What an old row holds and JSON cannot say stays when it is sent back as it was shown.
            before = json.loads(shown.text)
            changes = differences(before, changed(before))
            changes = validate(self.changes, changes, self.table.name)
            if "job_id" in changes:
                raise RefusalError(400, f"job_id: is {quoted(text)} and cannot be changed")
            with refusing():
                self.require_lease(connection, job_id, changes.pop("lease", None))
                if changes:
                    job_rows.update(connection, self.table, job_id, changes)
            return self.read(connection, text)

    def require_lease(
        self, connection: sqlite3.Connection, job_id: int | str, lease: str | None
    ) -> None:
        if lease is not None:
            claims.require_lease(connection, self.cycle, self.table, job_id, lease)

    def require_lease_of(self, connection: sqlite3.Connection, text: str, lease: str) -> None:
        with refusing():
            self.require_lease(connection, self.row(connection, text)["job_id"], lease)

    def remove(
        self, connection: sqlite3.Connection, text: str, actor: str | None, check: Check
    ) -> None:
        """Delete a job, and what belongs to it; its events stay."""
        with acting_as(connection, actor):
            row = self.row(connection, text)
            check(stored(row).etag)
            sql = f"delete from {self.table.name} where job_id = ?"  # noqa: S608
            connection.execute(sql, (row["job_id"],))

    def claim(self, connection: sqlite3.Connection, worker: str, actor: str | None) -> Row | None:
        """The oldest waiting job, now running, with its `lease`; None if none waits."""
        return claims.claim(connection, self.cycle, self.table, worker, actor)

    def beat(
        self, connection: sqlite3.Connection, text: str, said: Document, actor: str | None
    ) -> Stored:
        """Note that a job's worker lives."""
        with refusing():
            row = claims.heartbeat(connection, self.cycle, self.table, self.key(text), said, actor)
        if row is None:
            raise RefusalError(404, f"There is no job {quoted(text)}")
        return stored({name: row[name] for name in self.table.columns})

    def events(
        self, connection: sqlite3.Connection, text: str, before: int | None, limit: int
    ) -> list[Version]:
        """Changes of status below number `before`, newest first; of a deleted job too."""
        values = {"job_id": self.key(text), "before": before, "limit": limit}
        rows = job_rows.select(connection, self.table, LIST_EVENTS, values)
        return [Version(row["id"], json_row(row)) for row in rows]


def stored(row: Row) -> Stored:
    text = json_row(row)
    return Stored(str(row["job_id"]), text, entity_tag(text))


def differences(before: Document, after: Document) -> Document:
    """What `after` says otherwise, or anew; null for what it no longer says."""
    return {
        name: after.get(name)
        for name in {**before, **after}
        if name not in before or json.dumps(before[name]) != json.dumps(after.get(name))
    }


@contextmanager
def refusing() -> Iterator[None]:
    """Turn what the loaders and the database have against a write into a RefusalError."""
    try:
        yield
    except (DuplicateKey, LifeCycleError, LeaseError) as error:
        raise RefusalError(409, str(error)) from error
    except ValueError as error:
        raise RefusalError(400, str(error)) from error
