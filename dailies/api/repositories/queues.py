"""Jobs of the two queues as the JSON documents that programs send and get over HTTP."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dailies.api.request import Check
from dailies.api.responses import json_row
from dailies.api.schemas import Model, validate
from loaders.connections import acting_as
from loaders.errors import Conflict, DomainError, Invalid, NotFound, for_each
from loaders.messages import quoted
from loaders.queues import claims, job_rows
from loaders.queues.claims import LeaseError
from loaders.queues.job_rows import LARGEST_INTEGER, LifeCycleError, Row, Table
from loaders.queues.life_cycle import LifeCycle
from loaders.rows import Record, Version

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
    """A table of jobs that workers claim, and the models of its bodies."""

    table: Table
    cycle: LifeCycle
    create: Callable[[sqlite3.Connection, Mapping[str, Any], str | None], Row]
    new: Model
    changes: Model

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
            raise NotFound(f"There is no job {quoted(text)}")
        return number

    def to_record(self, values: Sequence[Any]) -> Record:
        row = dict(zip(self.table.columns, values, strict=True))
        return record(job_rows.read(self.table, row))

    def get(self, connection: sqlite3.Connection, text: str) -> Record:
        return record(self.row(connection, text))

    def row(self, connection: sqlite3.Connection, text: str) -> Row:
        sql = f"select {self.columns} from {self.table.name} where job_id = :job_id"  # noqa: S608
        found = job_rows.select(connection, self.table, sql, {"job_id": self.key(text)})
        if not found:
            raise NotFound(f"There is no job {quoted(text)}")
        return found[0]

    def add_all(
        self, connection: sqlite3.Connection, documents: list[Document], actor: str | None
    ) -> list[Record]:
        return for_each(documents, lambda document: self.add(connection, document, actor))

    def add(self, connection: sqlite3.Connection, document: Document, actor: str | None) -> Record:
        given = validate(self.new, document, self.table.name)
        values = {name: value for name, value in given.items() if value is not None}
        with conflicts():
            return record(self.create(connection, values, actor))

    def change(
        self,
        connection: sqlite3.Connection,
        text: str,
        changed: Change,
        actor: str | None,
        check: Check | None = None,
    ) -> Record:
        """Store what `changed` makes of the job: of its columns, those alone that differ.

        Whoever names a lease must hold it. `check` sees the entity tag that the job has until then.
        """
        with acting_as(connection, actor):
            row = self.row(connection, text)
            job_id = row["job_id"]
            shown = record(row)
            if check:
                check(shown)
            # What an old row holds and JSON cannot say stays when it is sent back as it was shown.
            before = json.loads(shown.text)
            changes = differences(before, changed(before))
            changes = validate(self.changes, changes, self.table.name)
            if "job_id" in changes:
                raise Invalid(f"job_id: is {quoted(text)} and cannot be changed")
            with conflicts():
                self.require_lease(connection, job_id, changes.pop("lease", None))
                if changes:
                    job_rows.update(connection, self.table, job_id, changes)
            return self.get(connection, text)

    def require_lease(
        self, connection: sqlite3.Connection, job_id: int | str, lease: str | None
    ) -> None:
        if lease is not None:
            claims.require_lease(connection, self.cycle, self.table, job_id, lease)

    def require_lease_of(self, connection: sqlite3.Connection, text: str, lease: str) -> None:
        with conflicts():
            self.require_lease(connection, self.row(connection, text)["job_id"], lease)

    def remove(
        self,
        connection: sqlite3.Connection,
        text: str,
        actor: str | None,
        check: Check | None = None,
    ) -> None:
        """Delete a job, and what belongs to it; its events stay."""
        with acting_as(connection, actor):
            row = self.row(connection, text)
            if check:
                check(record(row))
            sql = f"delete from {self.table.name} where job_id = ?"  # noqa: S608
            connection.execute(sql, (row["job_id"],))

    def claim(self, connection: sqlite3.Connection, worker: str, actor: str | None) -> Row | None:
        """The oldest waiting job, now running, with its `lease`; None if none waits."""
        return claims.claim(connection, self.cycle, self.table, worker, actor)

    def heartbeat(
        self, connection: sqlite3.Connection, text: str, given: Document, actor: str | None
    ) -> Record:
        """Record that a worker is still at work on the job, and its progress."""
        with conflicts():
            row = claims.heartbeat(connection, self.cycle, self.table, self.key(text), given, actor)
        if row is None:
            raise NotFound(f"There is no job {quoted(text)}")
        return record({name: row[name] for name in self.table.columns})

    def events(
        self, connection: sqlite3.Connection, text: str, before: int | None, limit: int
    ) -> list[Version]:
        """Changes of status below number `before`, newest first; of a deleted job too."""
        values = {"job_id": self.key(text), "before": before, "limit": limit}
        rows = job_rows.select(connection, self.table, LIST_EVENTS, values)
        return [Version(row["id"], json_row(row)) for row in rows]


def record(row: Row) -> Record:
    return Record(str(row["job_id"]), json_row(row))


def differences(before: Document, after: Document) -> Document:
    """What `after` says otherwise, or anew; null for what it no longer says."""
    return {
        name: after.get(name)
        for name in {**before, **after}
        if name not in before or json.dumps(before[name]) != json.dumps(after.get(name))
    }


@contextmanager
def conflicts() -> Iterator[None]:
    """Translate errors of the queue loaders."""
    try:
        yield
    except (LifeCycleError, LeaseError) as error:
        raise Conflict(str(error)) from error
    except DomainError:
        raise
    except ValueError as error:
        raise Invalid(str(error)) from error
