"""Claims of jobs by workers: each is a lease, kept by heartbeats and lost by silence."""

from __future__ import annotations

from typing import Any

from loaders.connections import Connection, acting_as, sqlite_connection
from loaders.queues.instants import instant
from loaders.queues.job_rows import Row, Table, key, refusing, select, stored
from loaders.queues.life_cycle import LifeCycle
from loaders.times import NOW_SQL


class LeaseError(ValueError):
    """The job does not run, or another claim holds it: the worker was declared dead."""


def claim_statement(cycle: LifeCycle) -> str:
    """SQL: the oldest waiting job begins to run; what that sets, triggers set.

    The cross join makes SQLite read `job_times` first, in the order of its index.
    """
    return f"""
    update {cycle.table}
    set status = '{cycle.running}',
      worker = :worker
    where job_id = (
        select job_times.job_id
        from job_times
        cross join {cycle.table} using (job_id)
        where job_times.status = '{cycle.waiting}'
          and {cycle.table}.status = '{cycle.waiting}'
          and (run_after is null or {instant("run_after")} <= {NOW_SQL})
        order by job_times.priority desc, job_times.created_at, job_times.job_id
        limit 1
      )
    returning job_id
    """  # noqa: S608


def heartbeat_statement(cycle: LifeCycle) -> str:
    return f"""
    update {cycle.table}
    set last_heartbeat = {NOW_SQL},
      progress = coalesce(:progress, progress),
      current_step = coalesce(:current_step, current_step)
    where job_id = :job_id
      and status = '{cycle.running}'
      and (:worker is null or worker = :worker)
      and (:lease is null or :lease = (
        select lease
        from job_states
        where job_states.job_id = {cycle.table}.job_id
      ))
    """  # noqa: S608


def select_job(cycle: LifeCycle) -> str:
    return f"select * from {cycle.table} where job_id = :job_id"  # noqa: S608


def select_claimed(cycle: LifeCycle) -> str:
    return f"""
    select {cycle.table}.*, job_states.lease
    from {cycle.table}
    join job_states on job_states.job_id = {cycle.table}.job_id
    where {cycle.table}.job_id = :job_id
    """  # noqa: S608


def claim(
    db: Connection, cycle: LifeCycle, table: Table, worker: str, actor: str | None
) -> Row | None:
    """The oldest waiting job, now running, with its `lease`; None if none waits."""
    if not isinstance(worker, str) or not worker.strip():
        raise ValueError(f"worker: must be a name, not {worker!r}")
    values = stored(table, {"worker": worker})
    with acting_as(db, actor) as connection:
        found = connection.execute(claim_statement(cycle), values).fetchall()
        if not found:
            return None
        return select(connection, table, select_claimed(cycle), {"job_id": found[0][0]})[0]


def heartbeat(
    db: Connection, cycle: LifeCycle, table: Table, job_id: int | str, said: Row, actor: str | None
) -> Row | None:
    """Note that the job's worker lives; None if there is no such job.

    `said` may hold `lease` and `worker`, which must be those of the claim, and `progress` and
    `current_step`. LeaseError, with nothing changed, where the job is not the worker's.
    """
    columns = {name: said.get(name) for name in ("worker", "progress", "current_step")}
    values: dict[str, Any] = {**stored(table, columns), "lease": said.get("lease")}
    with acting_as(db, actor) as connection:
        with refusing(f"job {job_id}", values):
            cursor = connection.execute(
                heartbeat_statement(cycle), {**values, "job_id": key(job_id)}
            )
        rows = select(connection, table, select_job(cycle), {"job_id": key(job_id)})
        if rows and not cursor.rowcount:
            raise LeaseError(lost(cycle, rows[0]))
        return rows[0] if rows else None


def holds(db: Connection, job_id: int | str, lease: str) -> bool:
    """Is this the lease of the job's present claim, or of the one that completed it?"""
    found = sqlite_connection(db).execute(
        "select 1 from job_states where job_id = ? and lease = ?", (key(job_id), lease)
    )
    return found.fetchone() is not None


def require_lease(
    db: Connection, cycle: LifeCycle, table: Table, job_id: int | str, lease: str
) -> None:
    """LeaseError unless the lease still holds; a job that is gone holds none."""
    if holds(db, job_id, lease):
        return
    rows = select(db, table, select_job(cycle), {"job_id": key(job_id)})
    raise LeaseError(lost(cycle, rows[0]) if rows else f"job {job_id} is gone")


def lost(cycle: LifeCycle, job: Row) -> str:
    if job["status"] != cycle.running:
        return f"job {job['job_id']} is {job['status']}, not {cycle.running}"
    worker = f", of worker {job['worker']}" if job["worker"] else ""
    return f"job {job['job_id']} is held by another claim{worker}"
