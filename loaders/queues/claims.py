"""Claims of jobs by workers: each is a lease, which heartbeats extend."""

from __future__ import annotations

from functools import cached_property

from loaders.connections import Connection, acting_as
from loaders.errors import Conflict, Invalid
from loaders.queues.instants import instant
from loaders.queues.jobs import Jobs, Key
from loaders.queues.table import Row
from loaders.times import NOW_SQL, now

GIVE_LEASE = """
update job_states
set lease = lower(hex(randomblob(16)))
where job_id = :job_id
  and (:replace or lease is null)
"""


class Claims(Jobs):
    """Jobs that workers claim. Triggers record attempts, set times and end leases."""

    def claim(self, db: Connection, worker: str, actor: str | None = None) -> Row | None:
        """The first queued job, now running, with its `lease`; None if no job is ready.

        Jobs with a higher priority come first, then the oldest.
        """
        if not isinstance(worker, str) or not worker.strip():
            raise Invalid(f"worker: must be a name, not {worker!r}")
        values = self.table.converted({"worker": worker})
        with acting_as(db, actor) as connection:
            found = connection.execute(self.claim_statement, values).fetchall()
            if not found:
                return None
            [(job_id,)] = found
            connection.execute(GIVE_LEASE, {"job_id": job_id, "replace": True})
            return {**self.get(connection, job_id), "lease": self.lease_of(connection, job_id)}

    @cached_property
    def claim_statement(self) -> str:
        """SQL. The cross join makes SQLite read `job_times` first, in the order of its index."""
        table = self.table.name
        return f"""
        update {table}
        set status = '{self.running}',
          worker = :worker
        where job_id = (
            select job_times.job_id
            from job_times
            cross join {table} using (job_id)
            where job_times.status = '{self.waiting}'
              and {table}.status = '{self.waiting}'
              and (run_after is null or {instant("run_after")} <= {NOW_SQL})
            order by job_times.priority desc, job_times.created_at, job_times.job_id
            limit 1
          )
        returning job_id
        """  # noqa: S608

    def heartbeat(
        self,
        db: Connection,
        job_id: Key,
        lease: str | None = None,
        progress: float | None = None,
        current_step: str | None = None,
        worker: str | None = None,
        actor: str | None = None,
    ) -> Row:
        """Record that a worker is still at work on the job, and its progress.

        Conflict if the job is not running, or not under this `lease` or `worker`.
        """
        given = {"last_heartbeat": now(), "progress": progress, "current_step": current_step}
        changes = {name: value for name, value in given.items() if value is not None}
        with acting_as(db, actor) as connection:
            job = self.get(connection, job_id)
            if job["status"] != self.running or worker not in (None, job["worker"]):
                raise Conflict(self.reason(job))
            self.require_lease(connection, job_id, lease)
            # Also without a claim: from now on the job is expected to get heartbeats.
            connection.execute(GIVE_LEASE, {"job_id": job["job_id"], "replace": False})
            return self.write(connection, job, changes)
