"""What both job queues have in common: states, the moves between them, and what each sets.

States and moves are rows (`job_statuses`, `job_status_moves`), which triggers obey whoever writes.
Every change of a status becomes a row of `job_events`.

A job that runs has a lease, a random text that only its claimant is told: whoever writes with an
older one was declared dead in the meantime. The row in `job_leases` stays, without a lease, when
the job no longer runs; so it also tells that a job ever ran, and whose lease completed it, who may
still add what the job is to be remembered by.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from loaders.migrations.instants import instant
from loaders.migrations.rules import Rule, count, keep_rules
from loaders.times import NOW_SQL

NOT_PAUSED = "(select paused from write_context) is not 1"


class Status(NamedTuple):
    """A state; `progress` is what entering it sets (0 gives way to what the writer says)."""

    name: str
    waits: bool = False
    runs: bool = False
    ends: bool = False
    progress: int | None = None


class Move(NamedTuple):
    """An allowed change of status; a shortcut is open only to a job that never ran."""

    status_from: str
    status_to: str
    shortcut: bool = False


@dataclass(frozen=True)
class LifeCycle:
    """The life of the jobs in `table`, whose key is `job_id`.

    `finished` and `started` are its time columns; `unique` its other unique columns; `children`
    the tables whose rows belong to a job by its `job_id`.
    """

    table: str
    key_type: str
    statuses: tuple[Status, ...]
    moves: tuple[Move, ...]
    finished: str
    started: str | None = None
    unique: tuple[str, ...] = ()
    children: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(status.name for status in self.statuses)

    @property
    def waiting(self) -> str:
        return next(status.name for status in self.statuses if status.waits)

    @property
    def running(self) -> str:
        return next(status.name for status in self.statuses if status.runs)

    @property
    def unfinished(self) -> tuple[str, ...]:
        return tuple(status.name for status in self.statuses if not status.ends)

    @property
    def keys(self) -> tuple[str, ...]:
        return ("job_id", *self.unique)


def one_of(column: str, choices: Iterable[str]) -> Rule:
    listed = ", ".join(f"'{choice}'" for choice in choices)
    return Rule(column, f"{{0}} not in ({listed})", f"must be one of {listed.replace(chr(39), '')}")


def json_or_null(column: str, kind: str, words: str) -> Rule:
    """The text `null`, which is what JSON makes of no value, will do for any kind."""
    broken = f"""case
      when {{0}} is null then false
      when typeof({{0}}) <> 'text' then true
      when not json_valid({{0}}) then true
      else json_type({{0}}) not in ('{kind}', 'null') end"""
    return Rule(column, broken, f"must be a JSON {words}")


def job_rules(cycle: LifeCycle, *, whole_progress: bool) -> tuple[Rule, ...]:
    """Rules for status, progress and attempts."""
    kinds, words = ("'integer'", "whole ") if whole_progress else ("'integer', 'real'", "")
    broken = f"""({{0}} is not null
      and (typeof({{0}}) not in ({kinds}) or {{0}} not between 0 and 100))"""
    return (
        one_of("status", cycle.names),
        Rule("progress", broken, f"must be a {words}number from 0 to 100"),
        count("attempts"),
    )


CREATE_STATUSES = """
create table job_statuses (
  status TEXT PRIMARY KEY,
  waits INTEGER NOT NULL,
  runs INTEGER NOT NULL,
  ends INTEGER NOT NULL,
  progress INTEGER
)
"""

CREATE_MOVES = """
create table job_status_moves (
  status_from TEXT NOT NULL REFERENCES job_statuses (status),
  status_to TEXT NOT NULL REFERENCES job_statuses (status),
  shortcut INTEGER NOT NULL,
  PRIMARY KEY (status_from, status_to)
)
"""


def create_tables(connection: sqlite3.Connection, cycle: LifeCycle) -> None:
    connection.execute(CREATE_STATUSES)
    connection.execute(CREATE_MOVES)
    connection.executemany("insert into job_statuses values (?, ?, ?, ?, ?)", cycle.statuses)
    connection.executemany("insert into job_status_moves values (?, ?, ?)", cycle.moves)
    connection.execute(
        f"""
        create table job_events (
          id INTEGER PRIMARY KEY AUTOINCREMENT,
          job_id {cycle.key_type} NOT NULL,
          status_from TEXT,
          status_to TEXT,
          actor TEXT,
          at TEXT NOT NULL DEFAULT ({NOW_SQL}),
          detail TEXT
        )
        """
    )
    connection.execute("create index idx_job_events_job on job_events (job_id, id)")
    connection.execute(
        f"""
        create table job_leases (
          job_id {cycle.key_type} PRIMARY KEY,
          lease TEXT
        )
        """
    )
    connection.execute(
        f"""
        create table jobs_replaced (
          job_id {cycle.key_type} PRIMARY KEY,
          status TEXT,
          same INTEGER NOT NULL,
          ran INTEGER NOT NULL,
          becomes TEXT,
          removed INTEGER NOT NULL DEFAULT 0
        )
        """
    )


def create_change_log(connection: sqlite3.Connection, cycle: LifeCycle) -> None:
    """The table `job_changes`, which tells what became of each job, and triggers that fill it.

    Of the updates of a job it keeps the newest alone, since heartbeats would fill the disk.
    """
    connection.execute(
        f"""
        create table job_changes (
          id INTEGER PRIMARY KEY AUTOINCREMENT,
          job_id {cycle.key_type} NOT NULL,
          operation TEXT NOT NULL CHECK (operation in ('insert', 'update', 'delete')),
          actor TEXT,
          at TEXT NOT NULL
        )
        """
    )
    connection.execute("create index idx_job_changes_job on job_changes (job_id, operation)")
    connection.execute("alter table job_leases add column finished TEXT")
    for name in triggers_of(cycle):
        connection.execute(f"drop trigger if exists {name}")
    create_triggers(connection, cycle)


def create_indexes(connection: sqlite3.Connection, cycle: LifeCycle) -> None:
    """By instant: the queue and the newest first, and what ended when."""
    table, created, finished = cycle.table, instant("created_at"), instant(cycle.finished)
    connection.execute(f"create index idx_{table}_queue on {table} (status, {created}, job_id)")
    connection.execute(f"create index idx_{table}_created_instant on {table} ({created}, job_id)")
    connection.execute(f"create index idx_{table}_finished_instant on {table} ({finished}, status)")


def create_triggers(connection: sqlite3.Connection, cycle: LifeCycle) -> None:
    for statement in triggers_of(cycle).values():
        connection.execute(statement)


def triggers_of(cycle: LifeCycle) -> dict[str, str]:
    """The name of each trigger, and the statement that makes it."""
    statements = [
        keep_replaced_on_insert(cycle),
        keep_replaced_on_update(cycle),
        inserted(cycle),
        inserted_in_place(cycle),
        key_changed(cycle),
        refuse_move(cycle),
        refuse_replacement(cycle),
        status_changed(cycle),
        changed(cycle),
        sign_of_life(cycle),
        deleted(cycle),
        *([keep_started(cycle)] if cycle.started else []),
        *(child_inserted(cycle, child) for child in cycle.children),
        *(child_moved(cycle, child) for child in cycle.children),
    ]
    return {statement.split()[2]: statement for statement in statements}


def create_rules(
    connection: sqlite3.Connection, table: str, rules: Iterable[Rule], keys: tuple[str, ...]
) -> None:
    for statement in keep_rules(table, rules, keys):
        connection.execute(statement)


def state_of(status: str, fact: str) -> str:
    """SQL: what `job_statuses` says of a status; null for one that is none of ours."""
    return f"(select {fact} from job_statuses where status = {status})"


def event(job: str, before: str, after: str, detail: str, source: str = "") -> str:
    """SQL: an event, or one for each row of `source`; the arguments are SQL."""
    return f"""
  insert into job_events (job_id, status_from, status_to, actor, at, detail)
  select {job}, {before}, {after}, (select actor from write_context), {NOW_SQL}, {detail}
  {source};"""


def log_change(job: str, operation: str, source: str = "") -> str:
    """SQL: a change of one job, or of each in `source`, which is then the newest of its kind."""
    return f"""
  delete from job_changes
  where operation = 'update'
    and job_id in (select {job} {source});
  insert into job_changes (job_id, operation, actor, at)
  select {job}, '{operation}', (select actor from write_context), {NOW_SQL}
  {source};"""


def detail_of(row: str) -> str:
    """SQL: who runs it, or why it ended as it did."""
    return f"""case
      when {state_of(f"{row}.status", "runs")} then {row}.worker
      when {state_of(f"{row}.status", "ends")} then nullif({row}.error, '') end"""


def ever_ran(job: str) -> str:
    return f"exists (select 1 from job_leases where job_leases.job_id = {job})"


def grant_lease(condition: str = "") -> str:
    return f"""
  insert into job_leases (job_id, lease)
  select new.job_id, lower(hex(randomblob(16)))
  where {state_of("new.status", "runs")} {condition};"""


# `insert or replace` removes a row without telling delete triggers unless recursive_triggers is on.
# What is about to be replaced is therefore noted before, and dealt with once it has happened. It is
# the `same` job written again when all its keys are; else another one takes its number.
def keep_replaced_on_insert(cycle: LifeCycle) -> str:
    any_key = " or ".join(f"{column} = new.{column}" for column in cycle.keys)
    all_keys = " and ".join(f"{column} = new.{column}" for column in cycle.keys)
    return f"""
create trigger {cycle.table}_bi_replaced before insert on {cycle.table}
when {NOT_PAUSED}
  and (exists (select 1 from {cycle.table} where {any_key})
    or exists (select 1 from jobs_replaced))
begin
  delete from jobs_replaced where true;
  insert into jobs_replaced (job_id, status, same, ran)
  select job_id, status, coalesce({all_keys}, 0), {ever_ran(f"{cycle.table}.job_id")}
  from {cycle.table}
  where {any_key};
end
"""


def keep_replaced_on_update(cycle: LifeCycle) -> str:
    any_key = " or ".join(f"{column} = new.{column}" for column in cycle.keys)
    return f"""
create trigger {cycle.table}_bu_replaced before update on {cycle.table}
when {NOT_PAUSED} and {any_key_changed(cycle)}
begin
  delete from jobs_replaced where true;
  insert into jobs_replaced (job_id, status, same, ran)
  select job_id, status, 0, 0
  from {cycle.table}
  where ({any_key})
    and job_id is not old.job_id;
end
"""


def any_key_changed(cycle: LifeCycle) -> str:
    """SQL: asked in `when`, since `update of job_id` would not see an update of `rowid`."""
    return "(" + " or ".join(f"new.{column} is not old.{column}" for column in cycle.keys) + ")"


def remove_children(cycle: LifeCycle, condition: str) -> str:
    return "".join(
        f"""
  delete from {child}
  where {condition};"""
        for child in cycle.children
    )


LOG_REPLACED = f"""
  delete from job_events
  where id = (select max(id) from job_events where job_id = new.job_id)
    and status_to is null
    and exists (select 1 from jobs_replaced where same and removed);
  {
    event(
        "job_id",
        "status",
        "null",
        "'replaced'",
        "from jobs_replaced where not same and not removed",
    )
}
  {log_change("job_id", "delete", "from jobs_replaced where not same and not removed")}
  delete from job_changes
  where id = (select max(id) from job_changes where job_id = new.job_id)
    and operation = 'delete'
    and exists (select 1 from jobs_replaced where same and removed);
  delete from job_leases
  where job_id in (select job_id from jobs_replaced);"""


def inserted(cycle: LifeCycle) -> str:
    """Whatever stands under the new job's number belongs to a stranger."""
    return f"""
create trigger {cycle.table}_ai after insert on {cycle.table}
when {NOT_PAUSED} and not exists (select 1 from jobs_replaced)
begin
  {remove_children(cycle, "job_id = new.job_id")}
  {set_on_insert(cycle)}
  {grant_lease()}
  {event("new.job_id", "null", "new.status", detail_of("new"))}
  {log_change("new.job_id", "insert")}
end
"""


def inserted_in_place(cycle: LifeCycle) -> str:
    """The next write forgets what was replaced; until then both triggers must agree on it."""
    before = "(select status from jobs_replaced where same)"
    same = "exists (select 1 from jobs_replaced where same)"
    return f"""
create trigger {cycle.table}_ai_replaced after insert on {cycle.table}
when {NOT_PAUSED} and exists (select 1 from jobs_replaced)
begin
  update jobs_replaced set becomes = new.status where same;
  {remove_children(cycle, "job_id = new.job_id or job_id in (select job_id from jobs_replaced)")}
  {LOG_REPLACED}
  {set_on_insert(cycle)}
  {grant_lease()}
  {event("new.job_id", before, "new.status", detail_of("new"), f"where {before} is not new.status")}
  {log_change("new.job_id", "update", f"where {same}")}
  {log_change("new.job_id", "insert", f"where not {same}")}
end
"""


def set_on_insert(cycle: LifeCycle) -> str:
    """SQL: when a job that comes as running began, and one that comes as ended did so."""
    started = (
        f"""
    {cycle.started} = case when entered.runs then coalesce({cycle.started}, created_at)
      else {cycle.started} end,"""
        if cycle.started
        else ""
    )
    return f"""
  update {cycle.table}
  set{started}
    {cycle.finished} = case when entered.ends then coalesce({cycle.finished}, {NOW_SQL})
      else {cycle.finished} end,
    progress = case when entered.ends then coalesce(entered.progress, {cycle.table}.progress, 0)
      else coalesce({cycle.table}.progress, 0) end,
    attempts = coalesce(attempts, 0)
  from job_statuses as entered
  where entered.status = new.status
    and {cycle.table}.job_id = new.job_id
    and (entered.runs or entered.ends or new.progress is null or new.attempts is null);"""


def forbidden_move(before: str, after: str, ran: str) -> str:
    """SQL: is a change from `before` to `after` none that the life cycle knows?

    A status that is none of ours, as old rows have it, may become any.
    """
    return f"""{before} is not {after}
    and exists (select 1 from job_statuses where status = {before})
    and not exists (
      select 1
      from job_status_moves
      where status_from = {before}
        and status_to = {after}
        and not (shortcut and {ran})
    )"""


def refusals_of_moves(cycle: LifeCycle, before: str, after: str) -> str:
    """SQL: refuse a move by its name; a message cannot be put together inside a trigger."""
    pairs = [(one, other) for one in cycle.names for other in cycle.names if one != other]
    named = "".join(
        f"""
  select raise(abort, '{cycle.table}.status: cannot go from {one} to {other}')
  where {before} = '{one}'
    and {after} = '{other}';"""
        for one, other in pairs
    )
    return f"""{named}
  select raise(abort, '{cycle.table}.status: cannot go there')
  where exists (select 1 from job_statuses where status = {after});"""


def refuse_move(cycle: LifeCycle) -> str:
    """A status that is none of ours is refused by its rule."""
    return f"""
create trigger {cycle.table}_status_bu before update of status on {cycle.table}
when {NOT_PAUSED}
  and {forbidden_move("old.status", "new.status", ever_ran("old.job_id"))}
begin
  {refusals_of_moves(cycle, "old.status", "new.status")}
end
"""


def refuse_replacement(cycle: LifeCycle) -> str:
    """A job that is written again as another status moves as if it had been updated."""
    return f"""
create trigger jobs_replaced_becomes_bu before update of becomes on jobs_replaced
when {forbidden_move("old.status", "new.becomes", "old.ran")}
begin
  {refusals_of_moves(cycle, "old.status", "new.becomes")}
end
"""


def status_changed(cycle: LifeCycle) -> str:
    same_key = "where new.job_id is old.job_id"
    return f"""
create trigger {cycle.table}_status_au after update of status on {cycle.table}
when {NOT_PAUSED} and new.status is not old.status
begin
  {set_on_entering(cycle)}
  update job_leases
  set finished = case when {state_of("new.status", "progress")} = 100 then lease end,
    lease = null
  where job_id = new.job_id;
  delete from job_leases
  where job_id = new.job_id
    and {state_of("new.status", "runs")};
  {grant_lease()}
  {event("new.job_id", "old.status", "new.status", detail_of("new"), same_key)}
end
"""


def changed(cycle: LifeCycle) -> str:
    return f"""
create trigger {cycle.table}_changes_au after update on {cycle.table}
when {NOT_PAUSED} and new.job_id is old.job_id
begin
  {log_change("new.job_id", "update")}
end
"""


def set_on_entering(cycle: LifeCycle) -> str:
    """SQL: what entering a state sets. What the statement says wins, but for full progress."""
    table, finished, started = cycle.table, cycle.finished, cycle.started
    was_ended = state_of("old.status", "ends")
    start = (
        f"""
    {started} = case when entered.runs then coalesce({started}, {NOW_SQL}) else {started} end,"""
        if started
        else ""
    )
    dated = f"and not (old.{started} is null and new.{started} is not null)" if started else ""
    return f"""
  update {table}
  set{start}
    {finished} = case
      when entered.ends and (new.{finished} is null
        or (new.{finished} is old.{finished} and not coalesce({was_ended}, 1))) then {NOW_SQL}
      when not entered.ends and new.{finished} is old.{finished} then null
      else {finished} end,
    progress = case
      when entered.progress is null then {table}.progress
      when entered.ends or new.progress is old.progress then entered.progress
      else {table}.progress end,
    last_heartbeat = case
      when entered.runs and new.last_heartbeat is old.last_heartbeat
        {dated} then {NOW_SQL}
      else last_heartbeat end,
    worker = case
      when entered.waits and new.worker is old.worker then null
      else worker end,
    attempts = case
      when new.attempts is not old.attempts then attempts
      when entered.runs then coalesce(attempts, 0) + 1
      when entered.waits and {was_ended} then 0
      else attempts end
  from job_statuses as entered
  where entered.status = new.status
    and {table}.job_id = new.job_id;"""


def sign_of_life(cycle: LifeCycle) -> str:
    """Programs that know no heartbeat show by their progress that they live."""
    return f"""
create trigger {cycle.table}_life_au after update of progress, current_step on {cycle.table}
when {NOT_PAUSED}
  and new.status is old.status
  and new.last_heartbeat is old.last_heartbeat
  and (new.progress is not old.progress or new.current_step is not old.current_step)
  and {state_of("new.status", "runs")}
begin
  update {cycle.table}
  set last_heartbeat = {NOW_SQL}
  where job_id = new.job_id;
end
"""


def keep_started(cycle: LifeCycle) -> str:
    """A job begins to run once; earlier programs stamp its start with every progress."""
    return f"""
create trigger {cycle.table}_started_au after update of {cycle.started} on {cycle.table}
when {NOT_PAUSED}
  and old.{cycle.started} is not null
  and new.{cycle.started} is not old.{cycle.started}
  and {state_of("new.status", "runs")}
begin
  update write_context set paused = 1;
  update {cycle.table}
  set {cycle.started} = old.{cycle.started}
  where job_id = new.job_id;
  update write_context set paused = 0;
end
"""


# A statement may change key and status at once, and which trigger fires first is not defined.
MOVE_LEASE = f"""
  insert into job_leases (job_id, lease)
  select new.job_id, lease
  from job_leases
  where job_id = old.job_id
    and not exists (select 1 from job_leases where job_id = new.job_id);
  delete from job_leases
  where job_id = old.job_id
    and new.job_id is not old.job_id;
  update job_leases
  set lease = null
  where job_id = new.job_id
    and not coalesce({state_of("new.status", "runs")}, 0);
  {grant_lease("and not exists (select 1 from job_leases where job_id = new.job_id)")}"""


def key_changed(cycle: LifeCycle) -> str:
    """Children go with their job, and those of a job that was replaced go for good."""
    moved = "".join(
        f"""
  update {child}
  set job_id = new.job_id
  where job_id = old.job_id
    and new.job_id is not old.job_id;"""
        for child in cycle.children
    )
    other_key = "where new.job_id is not old.job_id"
    return f"""
create trigger {cycle.table}_key_au after update on {cycle.table}
when {NOT_PAUSED} and {any_key_changed(cycle)}
begin
  {remove_children(cycle, "job_id in (select job_id from jobs_replaced)")}
  {LOG_REPLACED}
  {moved}
  {MOVE_LEASE}
  {event("old.job_id", "old.status", "null", "'renamed'", other_key)}
  {event("new.job_id", "null", "new.status", "'renamed'", other_key)}
  {log_change("old.job_id", "delete", other_key)}
  {log_change("new.job_id", "insert", other_key)}
end
"""


def deleted(cycle: LifeCycle) -> str:
    return f"""
create trigger {cycle.table}_ad after delete on {cycle.table}
begin
  {remove_children(cycle, "job_id = old.job_id")}
  delete from job_leases where job_id = old.job_id;
  {event("old.job_id", "old.status", "null", "'deleted'")}
  {log_change("old.job_id", "delete")}
  update jobs_replaced set removed = 1 where job_id = old.job_id;
end
"""


def child_inserted(cycle: LifeCycle, child: str) -> str:
    return f"""
create trigger {child}_job_ai after insert on {child}
when {NOT_PAUSED}
  and not exists (select 1 from {cycle.table} where job_id = new.job_id)
begin
  select raise(abort, '{child}.job_id: there is no such job');
end
"""


def child_moved(cycle: LifeCycle, child: str) -> str:
    return f"""
create trigger {child}_job_au after update of job_id on {child}
when {NOT_PAUSED}
  and new.job_id is not old.job_id
  and not exists (select 1 from {cycle.table} where job_id = new.job_id)
begin
  select raise(abort, '{child}.job_id: there is no such job');
end
"""
