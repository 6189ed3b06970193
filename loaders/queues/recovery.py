"""Recovery of jobs whose workers stopped, and deletion of old jobs."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from loaders.connections import Connection, acting_as, reading
from loaders.errors import Invalid
from loaders.queues.instants import instant
from loaders.queues.jobs import Jobs, Key
from loaders.rows import select
from loaders.times import configured_timezone, format_instant, to_instant

MAX_ATTEMPTS = 3
STALE_MINUTES = 10
MAX_DAYS = 36_500
CLOCK_TOLERANCE = timedelta(minutes=1)  # a later time is from a clock that was ahead


@dataclass
class Recovered:
    """Keys of the jobs that `recover` queued again, and of those that failed."""

    queued: list[Key] = field(default_factory=list)
    failed: list[Key] = field(default_factory=list)


class Recovery(Jobs):
    """Jobs whose workers may stop, and that are deleted when they are old."""

    def recover(
        self, db: Connection, stale_minutes: float = STALE_MINUTES, actor: str | None = None
    ) -> Recovered:
        """Queue running jobs again that got no heartbeat for `stale_minutes`.

        They fail after three attempts, not counting those before a retry by hand.
        """
        return self.recover_stale(db, stale_minutes, actor)

    def recover_supervised(self, db: Connection, actor: str | None = None) -> Recovered:
        """Like `recover`, but only for jobs whose worker is expected to send heartbeats.

        Programs that know neither claims nor heartbeats may be silent for hours and finish.
        """
        return self.recover_stale(db, STALE_MINUTES, actor, supervised=True)

    def recover_stale(
        self, db: Connection, minutes: float, actor: str | None, *, supervised: bool = False
    ) -> Recovered:
        silence = f"no heartbeat for {checked('stale_minutes', minutes):g} minutes"
        done = Recovered()
        with acting_as(db, actor) as connection:
            for job_id, attempts in self.stale_jobs(connection, minutes, supervised=supervised):
                if attempts >= MAX_ATTEMPTS:
                    self.release(connection, job_id, "failed", f"{silence}, {attempts} attempts")
                    done.failed.append(job_id)
                else:
                    self.release(connection, job_id, self.waiting, silence)
                    done.queued.append(job_id)
        return done

    def stale_jobs(
        self, db: Connection, stale_minutes: float = STALE_MINUTES, *, supervised: bool
    ) -> list[tuple[Key, int]]:
        """Keys and attempts of the running jobs without a heartbeat; of all or of `supervised`."""
        cutoff = before_now(timedelta(minutes=checked("stale_minutes", stale_minutes)))
        latest = before_now(-CLOCK_TOLERANCE)
        zone = configured_timezone()
        with reading(db) as connection:
            running = connection.execute(self.select_running).fetchall()
        return [
            (job_id, attempts)
            for job_id, attempts, watched, *times in running
            if (watched or not supervised) and last_time(times, zone, latest) <= cutoff
        ]

    @property
    def select_running(self) -> str:
        """SQL: keys, attempts since the last failure or cancellation, and times in use.

        Rows of `job_attempts` up to then are not counted, but some of these were no claims.
        A job is supervised if it has a lease: its worker claimed it or sent a heartbeat.
        """
        table = self.table.name
        return f"""
        select job_id,
          max(
            claims - (select count(*) from job_attempts where job_id = runs.job_id and id <= ended),
            min(
              claims,
              (select count(*) from job_attempts where job_id = runs.job_id and id > ended)
            )
          ),
          lease is not null,
          last_heartbeat, {self.started or "null"}, created_at
        from (
            select *, coalesce(attempts, 0) as claims, (
                select coalesce(max(id), 0)
                from job_attempts
                where job_id = {table}.job_id
                  and outcome in ('failed', 'cancelled')
              ) as ended
            from {table}
            where status = '{self.running}'
          ) as runs
        left join job_states using (job_id)
        order by job_id
        """  # noqa: S608

    def release(
        self, connection: sqlite3.Connection, job_id: Key, status: str, reason: str
    ) -> None:
        """End an attempt, with the reason in its row and in the event."""
        values = {"job_id": job_id, "status": status, "reason": reason}
        connection.execute(
            f"""
            update {self.table.name}
            set status = :status,
              error = iif(:status = 'failed', :reason, error)
            where job_id = :job_id
            """,  # noqa: S608
            values,
        )
        for table, column in {"job_events": "detail", "job_attempts": "error"}.items():
            connection.execute(
                f"""
                update {table}
                set {column} = coalesce({column}, :reason)
                where id = (select max(id) from {table} where job_id = :job_id)
                """,  # noqa: S608
                values,
            )

    def cleanup(self, db: Connection, days: float, actor: str | None = None) -> int:
        """Delete the jobs that ended more than `days` ago, and return their number."""
        values = span_of(days)
        with acting_as(db, actor) as connection:
            sql = f"delete from {self.table.name} where job_id in ({self.old_jobs})"  # noqa: S608
            return connection.execute(sql, values).rowcount

    def count_old(self, db: Connection, days: float) -> int:
        """How many jobs `cleanup` would delete."""
        values = span_of(days)
        sql = f"select count(*) as jobs from ({self.old_jobs})"  # noqa: S608
        return int(select(db, sql, values)[0]["jobs"])

    @property
    def old_jobs(self) -> str:
        """SQL: keys of the jobs that ended before `:cutoff`.

        Without a column for the start, a job may have been abandoned without an end: then it
        counts from its creation, if it got no heartbeat since `:cutoff`.
        """
        table, unfinished = self.table.name, ", ".join(f"'{name}'" for name in self.unfinished)
        ended = f"""
        select job_id
        from job_times
        join {table} using (job_id)
        where job_times.{self.finished} < :cutoff
          and {table}.status not in ({unfinished})"""  # noqa: S608
        if self.started:
            return ended
        return f"""{ended}
        union
        select job_id
        from job_times
        join {table} using (job_id)
        where job_times.created_at < :cutoff
          and (job_times.{self.finished} is null or {table}.status in ({unfinished}))
          and coalesce({instant("last_heartbeat")}, '') not between :cutoff and :latest"""  # noqa: S608


def last_time(times: list[Any], zone: tzinfo, latest: str) -> str:
    """The first of the times that can be read and is not after `latest`; empty if none is.

    A time without a zone was written by a program on this machine: it is taken in `zone`.
    """
    instants = (to_utc(time, zone) for time in times)
    return next((time for time in instants if time and time <= latest), "")


def to_utc(time: Any, zone: tzinfo) -> str:
    """An instant; empty for what is not a time. Numbers are seconds or milliseconds since 1970."""
    if isinstance(time, int | float):
        try:
            return format_instant(datetime.fromtimestamp(time if time < 1e11 else time / 1000, UTC))
        except (ValueError, OverflowError, OSError):
            return ""
    text = to_instant(time, zone) if isinstance(time, str) else ""
    return text if text.endswith("Z") else ""


def span_of(days: float) -> dict[str, str]:
    """Parameters of `old_jobs`: heartbeats after `latest` are from a clock that was ahead."""
    cutoff = before_now(timedelta(days=checked("days", days)))
    return {"cutoff": cutoff, "latest": before_now(-CLOCK_TOLERANCE)}


def before_now(span: timedelta) -> str:
    return format_instant(datetime.now(UTC) - span)


def checked(name: str, value: float) -> float:
    """A number of minutes or days, limited to `MAX_DAYS`. Invalid if it is negative or none."""
    number = not isinstance(value, bool) and isinstance(value, int | float)
    if not number or not 0 <= value <= MAX_DAYS * 24 * 60:
        raise Invalid(f"{name}: must be a number, 0 or more, not {value!r}")
    return min(value, MAX_DAYS) if name == "days" else value
