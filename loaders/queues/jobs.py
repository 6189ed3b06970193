"""Jobs of a queue: find, add, change and delete."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from loaders.connections import Connection, acting_as
from loaders.errors import Conflict, Invalid, NotFound, for_each, translated
from loaders.formats.json_row import json_row
from loaders.messages import quoted
from loaders.queues.table import MAX_INTEGER, Row, Table
from loaders.rows import Change, Check, Record, Version, select

Key = int | str

LIST_EVENTS = """
select id, job_id, status_from, status_to, actor, at, detail
from job_events
where job_id = :job_id
  and (:before is null or id < :before)
order by id desc
limit :limit
"""


@dataclass(frozen=True)
class Jobs:
    """The jobs in `table`, whose key is `job_id`.

    `running` is the status of a claimed job. `unfinished` statuses come before the end, from
    `retryable` ones a job can be queued again. `finished` and `started` are columns of times.
    `with_defaults` completes the values of a new job: at least its key.
    """

    table: Table
    running: str
    unfinished: tuple[str, ...]
    retryable: tuple[str, ...]
    finished: str
    with_defaults: Callable[[sqlite3.Connection, Row], Row]
    started: str | None = None
    waiting: str = "queued"

    @cached_property
    def columns(self) -> str:
        """The SQL list that `to_record` takes."""
        return ", ".join(f"{self.table.name}.{column}" for column in self.table.columns)

    def key(self, job_id: Any) -> Key | None:
        """A job's key, which may be the text in a URL; None for what cannot be a key."""
        if self.table.columns["job_id"] == "text":
            return str(job_id) if isinstance(job_id, Key) else None
        text = str(job_id)
        number = int(text) if re.fullmatch(r"-?[0-9]{1,19}", text, re.ASCII) else MAX_INTEGER + 1
        return number if str(number) == text and abs(number) <= MAX_INTEGER else None

    def find(self, db: Connection, job_id: Key) -> Row | None:
        """The job, or None if there is none."""
        found = self.table.select(db, self.select_job, {"job_id": self.key(job_id)})
        return found[0] if found else None

    @cached_property
    def select_job(self) -> str:
        return f"select {self.columns} from {self.table.name} where job_id = :job_id"  # noqa: S608

    def get(self, db: Connection, job_id: Key) -> Row:
        """The job. NotFound if there is none."""
        job = self.find(db, job_id)
        if job is None:
            raise NotFound(f"There is no job {quoted(str(job_id))}")
        return job

    def get_record(self, db: Connection, job_id: Key) -> Record:
        return record(self.get(db, job_id))

    def to_record(self, values: Sequence[Any]) -> Record:
        return record(self.table.parsed(dict(zip(self.table.columns, values, strict=True))))

    def find_all(
        self, db: Connection, limit: int | None = None, status: str | None = None
    ) -> list[Row]:
        """The newest jobs, or the newest with this status."""
        condition = "" if status is None else "where job_times.status = :status"
        sql = f"""
        select {self.columns}
        from job_times
        join {self.table.name} using (job_id)
        {condition}
        order by job_times.created_at desc, job_times.job_id desc
        limit :limit
        """  # noqa: S608
        values = {"limit": -1 if limit is None else limit, "status": status}
        return self.table.select(db, sql, values)

    def add(self, db: Connection, job: Mapping[str, Any], actor: str | None = None) -> Row:
        """Store a new job from its columns; a column that is None gets its default."""
        given = {name: value for name, value in job.items() if value is not None}
        with acting_as(db, actor) as connection:
            values = self.with_defaults(connection, given)
            self.table.insert(connection, label(values), values)
            return self.get(connection, values["job_id"])

    def add_record(
        self, db: Connection, job: Row, actor: str | None, *, validated: Change
    ) -> Record:
        """Like `add`, for what `validated` returns."""
        return record(self.add(db, validated(job), actor))

    def add_records(
        self, db: Connection, jobs: Sequence[Row], actor: str | None, *, validated: Change
    ) -> list[Record]:
        """Store new jobs, all or none; the error names every fault and its position."""
        with acting_as(db, actor) as connection:
            return for_each(
                jobs, lambda job: self.add_record(connection, job, actor, validated=validated)
            )

    def update(
        self, db: Connection, job_id: Key, changes: Mapping[str, Any], actor: str | None = None
    ) -> Row | None:
        """Change columns, but not the key; None if there is no such job."""
        others = {name: value for name, value in changes.items() if name != "job_id"}
        with acting_as(db, actor) as connection:
            job = self.find(connection, job_id)
            return self.write(connection, job, others) if job else None

    def change(
        self,
        db: Connection,
        job_id: Key,
        change: Change,
        actor: str | None,
        check: Check | None = None,
        *,
        validated: Change,
    ) -> Record:
        """Store what `change` makes of the job; only the columns that differ are written.

        `check` gets the record before the change. `validated` gets the differences, which may
        include a `lease`: then it must be valid.
        """
        with acting_as(db, actor) as connection:
            job = self.get(connection, job_id)
            shown = record(job)
            if check:
                check(shown)
            # Values of an old row that JSON cannot hold stay if they come back as they were shown.
            before = json.loads(shown.text)
            changes = validated(differences(before, change(before)))
            if "job_id" in changes:
                raise Invalid(f"job_id: is {quoted(str(job_id))} and cannot be changed")
            late = changes.get("status") == "completed"
            self.require_lease(connection, job_id, changes.pop("lease", None), late=late)
            return record(self.write(connection, job, changes))

    def write(self, connection: sqlite3.Connection, job: Row, changes: Mapping[str, Any]) -> Row:
        """Change columns of a stored job."""
        values = self.table.converted(changes)
        if values:
            assignments = ", ".join(f"{name} = :{name}" for name in values)
            with self.refusing(job, values):
                connection.execute(
                    f"update {self.table.name} set {assignments} where job_id = :job_id",  # noqa: S608
                    {**values, "job_id": job["job_id"]},
                )
        return self.get(connection, job["job_id"])

    @contextmanager
    def refusing(self, job: Row, values: Row) -> Iterator[None]:
        """Translate errors of an update; a forbidden change of status becomes a Conflict."""
        try:
            with translated(f"job {job['job_id']}", values):
                yield
        except Invalid as error:
            if "(see job_status_moves)" not in str(error):
                raise
            move = f"{job['status']} to {values.get('status')}"
            raise Conflict(f"{self.table.name}.status: cannot go from {move}") from error

    def delete(self, db: Connection, job_id: Key, actor: str | None = None) -> bool:
        """Delete a job with all but its events; False if there was none."""
        sql = f"delete from {self.table.name} where job_id = :job_id"  # noqa: S608
        with acting_as(db, actor) as connection:
            return connection.execute(sql, {"job_id": self.key(job_id)}).rowcount > 0

    def remove(
        self, db: Connection, job_id: Key, actor: str | None, check: Check | None = None
    ) -> None:
        """Like `delete`, but NotFound if there is none; `check` as in `change`."""
        with acting_as(db, actor) as connection:
            shown = self.get_record(connection, job_id)
            if check:
                check(shown)
            self.delete(connection, job_id, actor)

    def events(self, db: Connection, job_id: Key, before: int | None, limit: int) -> list[Version]:
        """Changes of status with numbers below `before`, newest first; also of a deleted job."""
        values = {"job_id": self.key(job_id), "before": before, "limit": limit}
        rows = self.table.select(db, LIST_EVENTS, values)
        return [Version(row["id"], json_row(row)) for row in rows]

    def lease_of(self, db: Connection, job_id: Key) -> str | None:
        """The lease of the job's last claim: of a running, completed or requeued job."""
        sql = "select lease from job_states where job_id = :job_id"
        found = select(db, sql, {"job_id": self.key(job_id)})
        return found[0]["lease"] if found else None

    def require_lease(
        self, db: Connection, job_id: Key, lease: str | None, *, late: bool = False
    ) -> None:
        """Conflict unless `lease`, where one is given, is the job's.

        That of a requeued job is valid only `late`, to complete the job before its next claim.
        """
        if lease is None:
            return
        job = self.get(db, job_id)
        if lease != self.lease_of(db, job_id) or (job["status"] == self.waiting and not late):
            raise Conflict(self.reason(job))

    def reason(self, job: Row) -> str:
        """Why a claim of the job is lost."""
        if job["status"] != self.running:
            return f"job {job['job_id']} is {job['status']}, not {self.running}"
        worker = f", of worker {job['worker']}" if job["worker"] else ""
        return f"job {job['job_id']} is held by another claim{worker}"


def record(job: Row) -> Record:
    return Record(str(job["job_id"]), json_row(job))


def label(job: Row) -> str:
    """A new job for error messages, with all of its keys."""
    key, run = job["job_id"], f" ({job['run_id']})" if "run_id" in job else ""
    return f"job {key if isinstance(key, int) else quoted(str(key))}{run}"


def differences(before: Row, after: Row) -> Row:
    """The fields that `after` adds or changes; null for those that it lacks."""
    return {
        name: after.get(name)
        for name in {**before, **after}
        if name not in before or json.dumps(before[name]) != json.dumps(after.get(name))
    }
