"""Jobs that their workers abandoned, and jobs that are old enough to go."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from loaders.connections import Connection, acting_as, sqlite_connection
from loaders.queues.instants import instant
from loaders.queues.life_cycle import LifeCycle
from loaders.times import configured_timezone, format_instant, to_instant

MOST_ATTEMPTS = 3
STALE_MINUTES = 10
MOST_DAYS = 36_500


@dataclass
class Recovered:
    """Keys of the jobs that `recover` sent back to the queue, and that it gave up."""

    queued: list[int | str] = field(default_factory=list)
    failed: list[int | str] = field(default_factory=list)


def recover(
    db: Connection, cycle: LifeCycle, stale_minutes: float = STALE_MINUTES, actor: str | None = None
) -> Recovered:
    """Take jobs from workers of which nothing was heard for so long.

    They wait again, or have failed once they were tried three times.
    """
    cutoff = before_now(timedelta(minutes=checked("stale_minutes", stale_minutes)))
    done = Recovered()
    with acting_as(db, actor) as connection:
        for job_id, attempts, *signs in connection.execute(select_running(cycle)).fetchall():
            if last_sign(signs, configured_timezone()) > cutoff:
                continue
            given_up = isinstance(attempts, int) and attempts >= MOST_ATTEMPTS
            silence = f"no heartbeat for {stale_minutes:g} minutes"
            values = {
                "job_id": job_id,
                "status": "failed" if given_up else cycle.waiting,
                "error": f"{silence}, {attempts} attempts" if given_up else None,
                "detail": silence,
            }
            connection.execute(release_statement(cycle), values)
            connection.execute(EXPLAIN, values)
            connection.execute(EXPLAIN_ATTEMPT, values)
            (done.failed if given_up else done.queued).append(job_id)
    return done


def select_running(cycle: LifeCycle) -> str:
    return f"""
    select job_id, attempts, last_heartbeat, {cycle.started or "null"}, created_at
    from {cycle.table}
    where status = '{cycle.running}'
    order by job_id
    """  # noqa: S608


def release_statement(cycle: LifeCycle) -> str:
    return f"""
    update {cycle.table}
    set status = :status,
      error = coalesce(:error, error)
    where job_id = :job_id
    """  # noqa: S608


EXPLAIN = """
update job_events
set detail = :detail
where id = (select max(id) from job_events where job_id = :job_id)
  and detail is null
"""


EXPLAIN_ATTEMPT = """
update job_attempts
set error = coalesce(error, :detail)
where id = (select max(id) from job_attempts where job_id = :job_id)
"""


def last_sign(signs: list[Any], zone: tzinfo) -> str:
    """The instant at which a job is known to have been alive: the first of its times that is one.

    A time without a zone was written by a program on this machine, so it is meant in `zone`.
    Empty if no time can be read.
    """
    return next(filter(None, (sign_of_life(sign, zone) for sign in signs)), "")


def sign_of_life(sign: Any, zone: tzinfo) -> str:
    if isinstance(sign, int | float):
        seconds = sign if sign < 1e11 else sign / 1000
        try:
            return format_instant(datetime.fromtimestamp(seconds, UTC))
        except (ValueError, OverflowError, OSError):
            return ""
    text = to_instant(sign, zone) if isinstance(sign, str) else ""
    return text if text.endswith("Z") else ""


def cleanup(
    db: Connection, cycle: LifeCycle, days: float, actor: str | None = None, dry_run: bool = False
) -> int:
    """Delete jobs that ended more than `days` ago; how many there were. `dry_run` only counts."""
    cutoff = before_now(timedelta(days=checked("days", days)))
    condition = f"job_id in ({old_jobs(cycle)})"
    if dry_run:
        counted = sqlite_connection(db).execute(
            f"select count(*) from {cycle.table} where {condition}",  # noqa: S608
            {"cutoff": cutoff},
        )
        return int(counted.fetchone()[0])
    with acting_as(db, actor) as connection:
        cursor = connection.execute(
            f"delete from {cycle.table} where {condition}",  # noqa: S608
            {"cutoff": cutoff},
        )
        return cursor.rowcount


def old_jobs(cycle: LifeCycle) -> str:
    """SQL: keys of the jobs that ended before `:cutoff`.

    Where no start is kept, a job may have died without an end: then its creation counts, once
    nothing was heard of it for as long.
    """
    unfinished = ", ".join(f"'{name}'" for name in cycle.unfinished)
    ended = f"""
    select job_id
    from job_times
    join {cycle.table} using (job_id)
    where job_times.{cycle.finished} < :cutoff
      and {cycle.table}.status not in ({unfinished})"""  # noqa: S608
    if cycle.started:
        return ended
    return f"""{ended}
    union
    select job_id
    from job_times
    join {cycle.table} using (job_id)
    where job_times.created_at < :cutoff
      and (job_times.{cycle.finished} is null or {cycle.table}.status in ({unfinished}))
      and coalesce({instant("last_heartbeat")}, '') < :cutoff"""  # noqa: S608


def before_now(span: timedelta) -> str:
    return format_instant(datetime.now(UTC) - span)


def checked(name: str, value: float) -> float:
    """A span of time that can be counted back; ValueError for another."""
    number = not isinstance(value, bool) and isinstance(value, int | float)
    if not number or not 0 <= value <= MOST_DAYS * 24 * 60:
        raise ValueError(f"{name}: must be a number, 0 or more, not {value!r}")
    return min(value, MOST_DAYS) if name == "days" else value
