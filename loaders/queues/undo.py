"""Undo of changes of status: of retries and of cancellations."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from loaders.connections import Connection, acting_as
from loaders.queues.jobs import Jobs

MOVED = """moved.id between :first and :last
  and moved.status_from is not null
  and moved.status_to is not null"""
LAST = """not exists (
    select 1
    from job_events as later
    where later.job_id = moved.job_id
      and later.id > moved.id
  )"""


class Undo(Jobs):
    """Jobs that return to the status from which they were retried or cancelled."""

    def undo(
        self, db: Connection, first: int, last: int, actor: str | None = None
    ) -> tuple[int, int]:
        """Undo the changes `first` to `last` of `job_events`.

        Jobs whose status changed again since, such as claimed ones, stay as they are. Returns how
        many were found, and how many were changed.
        """
        values = {"first": first, "last": last}
        with acting_as(db, actor) as connection, every_move_allowed(connection):
            found = connection.execute(self.count_moved, values).fetchone()[0]
            cancelled = connection.execute(self.undo_cancellations, values).rowcount
            return found, cancelled + connection.execute(self.undo_retries, values).rowcount

    @property
    def count_moved(self) -> str:
        return f"""
        select count(*)
        from job_events as moved
        where {MOVED}
        """  # noqa: S608

    @property
    def undo_cancellations(self) -> str:
        """SQL. A worker has lost its job: another one may claim it."""
        table = self.table.name
        return f"""
        update {table}
        set status = iif(moved.status_from = '{self.running}', '{self.waiting}', moved.status_from)
        from job_events as moved
        where {MOVED}
          and {LAST}
          and moved.job_id = {table}.job_id
          and moved.status_to = 'cancelled'
          and {table}.status = 'cancelled'
        """  # noqa: S608

    @property
    def undo_retries(self) -> str:
        """SQL. What the retry cleared is in the last attempt, unless the job never ran."""
        table = self.table.name
        started = f"{self.started} = attempt.started_at," if self.started else ""
        return f"""
        update {table}
        set status = moved.status_from,
          error = attempt.error,
          progress = coalesce(attempt.progress, 0),
          current_step = attempt.current_step,
          worker = attempt.worker,
          {started}
          {self.finished} = attempt.ended_at
        from job_events as moved
        left join job_attempts as attempt on attempt.outcome = moved.status_from
          and attempt.id = (select max(id) from job_attempts where job_id = moved.job_id)
        where {MOVED}
          and {LAST}
          and moved.job_id = {table}.job_id
          and moved.status_to = '{self.waiting}'
          and {table}.status = '{self.waiting}'
        """  # noqa: S608


@contextmanager
def every_move_allowed(connection: sqlite3.Connection) -> Iterator[None]:
    """Within this transaction, let jobs return to a status that they could not enter."""
    sql = "select allowed, status_from, status_to from job_status_moves"
    rules = connection.execute(sql).fetchall()
    connection.execute("update job_status_moves set allowed = 'always'")
    yield
    connection.executemany(
        "update job_status_moves set allowed = ? where status_from = ? and status_to = ?",
        [tuple(rule) for rule in rules],
    )
