"""The triggers that keep a campaign job's columns, `data`, search index and history in step.

They do so whichever of them a writer changes, by whatever route, under any setting of
`recursive_triggers` and `foreign_keys`.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from loaders.migrations.campaigns_counts import COUNT_TRIGGERS, count_out_replaced
from loaders.migrations.campaigns_projection import (
    BROKEN_RULES,
    COLUMNS,
    FIELDS,
    SEARCHED,
    Field,
    json_value,
    kind_of,
    projected,
    said,
    text_of,
)
from loaders.times import NOW_SQL


def effective_path(field: Field) -> str:
    """SQL: the path in `new.data` under which a column's value stands or belongs."""
    if len(field.keys) == 1:
        return f"'$.{field.keys[0]}'"
    spoken = [
        f"when coalesce({kind_of('new.data', key)}, 'null') <> 'null' then '$.{key}'"
        for key in field.keys
    ]
    mentioned = [
        f"when {kind_of('new.data', key)} is not null then '$.{key}'" for key in field.keys
    ]
    return "case " + " ".join(spoken + mentioned) + f" else '$.{field.keys[0]}' end"


class Gain(NamedTuple):
    """What `data` takes over from a column: when, where, and the JSON text."""

    condition: str
    path: str
    value: str


TIME_FIELDS = [field for field in FIELDS if field.kind == "time"]
ID_DIFFERS = f"({text_of('new.data', 'id')}) is not new.id"


def gains_of_insert() -> list[Gain]:
    return [gain_of_insert("new", field) for field in FIELDS]


def gain_of_insert(row: str, field: Field) -> Gain:
    """A value counts as said by its column when it is not null and, beside a `data`, no default."""
    column = f"{row}.{field.column}"
    return Gain(
        f"({column} is not null and not {said(f'{row}.data', field)}"
        f" and ({row}.data is null or {column} is not {field.default or 'null'}))",
        f"'$.{field.keys[0]}'",
        json_value(field, column),
    )


def set_again(field: Field) -> str:
    """SQL: did this statement set the column to the value that it had? See `jobs_bu_*`."""
    return f"instr((select set_again from jobs_set_again), '{field.column};') > 0"


def gains_of_update() -> list[Gain]:
    gains = []
    for field in FIELDS:
        column = f"new.{field.column}"
        changed = f"{column} is not old.{field.column}"
        silent = f"not {said('new.data', field)}"
        condition = (
            f"(({changed} and (new.data is old.data or ({column} is not null and {silent})))"
            f" or ({column} is not null and (new.data is null or {set_again(field)})))"
        )
        gains.append(Gain(condition, effective_path(field), json_value(field, column)))
        if len(field.keys) > 1:
            gains += [
                Gain(
                    f"({changed} and new.data is old.data and {column} is null"
                    f" and {kind_of('new.data', key)} is not null)",
                    f"'$.{key}'",
                    "'null'",
                )
                for key in field.keys
            ]
    gains.append(Gain(stamped(), "'$.updated_at'", f"json_quote({NOW_SQL})"))
    return gains


def stamped() -> str:
    """SQL: did columns alone change, in a job whose `data` says when it was updated?"""
    columns_changed = " or ".join(
        f"new.{column} is not old.{column}" for column in ("id", *COLUMNS) if column != "updated_at"
    )
    return (
        "(new.data is old.data and new.updated_at is old.updated_at"
        f" and {kind_of('new.data', 'updated_at')} is not null and ({columns_changed}))"
    )


def gain_statement(gains: list[Gain]) -> str:
    """SQL: `data` gains what only the columns say; untouched, to the letter, where that is nothing.

    A gain that does not apply sets the id again, which is harmless.
    """
    pairs = ",\n        ".join(
        f"case when {gain.condition} then {gain.path} else '$.id' end,\n"
        f"        json(case when {gain.condition} then {gain.value} else json_quote(new.id) end)"
        for gain in gains
    )
    conditions = "\n        or ".join(gain.condition for gain in gains)
    return f"""
    update jobs
    set data = json_set(
        coalesce(new.data, '{{}}'),
        '$.id', new.id,
        {pairs}
      )
    where rowid = new.rowid
      and (new.data is null or {ID_DIFFERS}
        or {conditions});"""


def project_statement(times: dict[str, str]) -> str:
    """SQL: the columns follow `data`. A time stays as it was written to its column unless a branch

    in `times` gives it another.
    """
    others = [field.column for field in FIELDS if field.kind != "time"]
    assignments = "".join(
        f""",
      {field.column} = case
        {times[field.column]}
        else coalesce(new.{field.column}, {field.default}) end"""
        for field in TIME_FIELDS
    )
    return f"""
    update jobs
    set ({", ".join(others)}) = (
        select {", ".join(others)}
        from jobs_projection
        where jobs_projection.job_rowid = new.rowid
      ){assignments}
    where rowid = new.rowid;"""


def time_inserted(field: Field) -> str:
    said_time = f"(new.data ->> '$.{field.column}')"
    return f"when {said_time} is not null then {projected('new.data', field)}"


def time_updated(field: Field) -> str:
    """SQL: a time that a new `data` repeats has the instant it had, whatever the column is set to.

    That instant need not follow from the text, which may have been read in another zone.
    """
    said_time = f"(new.data ->> '$.{field.column}')"
    stamp = f"when {stamped()} then {NOW_SQL}" if field.column == "updated_at" else ""
    return f"""{stamp}
        when {said_time} is not null and {said_time} is not (old.data ->> '$.{field.column}')
          then {projected("new.data", field)}
        when {said_time} is not null and new.data is not old.data then old.{field.column}"""


PROJECT_INSERTED = project_statement({field.column: time_inserted(field) for field in TIME_FIELDS})


PROJECT_UPDATED = project_statement({field.column: time_updated(field) for field in TIME_FIELDS})


def refuse_statements(unless: str = "") -> str:
    """SQL: refuse a value that breaks a rule; `unless` may excuse one that an old row brought."""
    return "".join(
        f"""
    select raise(abort, 'jobs.{column}: {message}')
    from jobs
    where rowid = new.rowid
      and {broken}{unless.format(column=column)};"""
        for column, (broken, message) in BROKEN_RULES.items()
    )


# 1 while a trigger of ours puts a row right, 2 while a loader does by the batch what triggers do.
NOT_PAUSED = "coalesce((select paused from write_context), 0) = 0"


PAUSE = "update write_context set paused = 1;"


RESUME = "update write_context set paused = 0;"


INDEX_STATEMENT = f"""
    insert into jobs_fts (rowid, {", ".join(SEARCHED)})
    select rowid, {", ".join(SEARCHED)}
    from jobs
    where rowid = new.rowid;"""


def unindex_statement(source: str, prefix: str = "") -> str:
    """SQL: take a row out of the search index, which needs the very values that went in."""
    values = ", ".join(f"{prefix}{column}" for column in SEARCHED)
    return f"""
    insert into jobs_fts (jobs_fts, rowid, {", ".join(SEARCHED)})
    select 'delete', {prefix}rowid, {values}
    {source};"""


def history_statement(job: str, operation: str, data: str, source: str) -> str:
    """SQL: one row of history for `job`, numbered after its last; `operation` is SQL."""
    return f"""
    insert into job_history (job_id, version, operation, actor, changed_at, data)
    select
      {job},
      coalesce((select max(version) from job_history where job_id = {job}), 0) + 1,
      {operation},
      (select actor from write_context),
      {NOW_SQL},
      {data}
    {source};"""


REFUSE_DATA = """
    select raise(abort, 'jobs.id: a job needs an id')
    where new.id is null or new.id = '';
    select raise(abort, 'jobs.data: must be a JSON object as text, not a blob')
    where typeof(new.data) = 'blob';
    select raise(abort, 'jobs.data: must be a JSON object')
    where new.data is not null
      and (not json_valid(new.data) or json_type(new.data) <> 'object');"""


KEPT = (*SEARCHED, "language", "enabled", "created_at")


KEEP_REPLACED = f"""
    delete from jobs_replaced where true;
    insert into jobs_replaced (job_rowid, id, data, {", ".join(KEPT)})
    select rowid, id, data, {", ".join(KEPT)}
    from jobs
    where id = new.id;"""


def unindex_replaced(condition: str = "true") -> str:
    """SQL: forget what `or replace` removed in counts and search, unless a delete trigger has.

    Such a trigger logged a delete as well, which is no change of its own: the replacement is one.
    """
    return f"""
    {count_out_replaced(condition)}
    insert into jobs_fts (jobs_fts, rowid, {", ".join(SEARCHED)})
    select 'delete', job_rowid, {", ".join(SEARCHED)}
    from jobs_replaced
    where id = new.id
      and removed = 0
      and {condition};
    delete from job_history
    where id = (select max(id) from job_history where job_id = new.id)
      and operation = 'delete'
      and exists (select 1 from jobs_replaced where id = new.id and removed = 1)
      and {condition};"""


REPLACED = "exists (select 1 from jobs_replaced where id = new.id)"


# `insert or replace` removes a row without telling delete triggers unless recursive_triggers is on.
# What is about to be replaced is therefore kept aside until the insert has happened.
JOBS_BI = f"""
create trigger jobs_bi before insert on jobs
when {NOT_PAUSED}
begin
  {REFUSE_DATA}
end
"""


JOBS_BI_REPLACED = f"""
create trigger jobs_bi_replaced before insert on jobs
when {NOT_PAUSED}
  and (exists (select 1 from jobs where id = new.id) or exists (select 1 from jobs_replaced))
begin
  {KEEP_REPLACED}
end
"""


JOBS_BU = f"""
create trigger jobs_bu before update of id, data on jobs
when {NOT_PAUSED}
begin
  {REFUSE_DATA}
end
"""


JOBS_BU_REPLACED = f"""
create trigger jobs_bu_replaced before update of id on jobs
when {NOT_PAUSED} and new.id is not old.id
begin
  {KEEP_REPLACED}
end
"""


# A statement that sets `data` and gives a column the value it has already says that value all the
# same, although old and new do not tell. `update of` does.
JOBS_BU_SET_AGAIN = tuple(
    f"""
create trigger jobs_bu_{field.column} before update of {field.column} on jobs
when {NOT_PAUSED}
  and new.data is not old.data
  and new.{field.column} is old.{field.column}
  and new.{field.column} is not null
  and not {said("new.data", field)}
begin
  update jobs_set_again set set_again = set_again || '{field.column};';
end
"""
    for field in FIELDS
    if field.kind != "time"
)


# The names of the earlier system's own triggers, which it creates `if not exists` at every start
# and which would damage the search index.
JOBS_FTS_INSERT = f"""
create trigger jobs_fts_insert after insert on jobs
when {NOT_PAUSED}
begin
  {PAUSE}
  {gain_statement(gains_of_insert())}
  {PROJECT_INSERTED}
  {refuse_statements()}
  {unindex_replaced()}
  {INDEX_STATEMENT}
  {
    history_statement(
        "new.id",
        f"case when {REPLACED} then 'update' else 'insert' end",
        "jobs.data",
        '''from jobs
    where rowid = new.rowid
      and data is not (select data from jobs_replaced where id = new.id)''',
    )
}
  delete from jobs_replaced where id = new.id;
  {RESUME}
end
"""


FTS_CHANGED = (
    "(new.rowid is not old.rowid or "
    + " or ".join(f"jobs.{column} is not old.{column}" for column in SEARCHED)
    + ")"
)


JOBS_FTS_UPDATE = f"""
create trigger jobs_fts_update after update on jobs
when {NOT_PAUSED}
begin
  {PAUSE}
  {gain_statement(gains_of_update())}
  {PROJECT_UPDATED}
  update jobs
  set updated_at = {NOW_SQL}
  where rowid = new.rowid
    and data is not old.data
    and updated_at is old.updated_at
    and {kind_of("data", "updated_at")} is null;
  {refuse_statements(" and jobs.{column} is not old.{column}")}
  {unindex_replaced("new.id is not old.id")}
  {unindex_statement(f"from jobs where rowid = new.rowid and {FTS_CHANGED}", "old.")}
  insert into jobs_fts (rowid, {", ".join(SEARCHED)})
  select rowid, {", ".join(SEARCHED)}
  from jobs
  where rowid = new.rowid
    and {FTS_CHANGED};
  {history_statement("old.id", "'delete'", "old.data", "where new.id is not old.id")}
  {
    history_statement(
        "new.id",
        f"case when new.id is old.id or {REPLACED} then 'update' else 'insert' end",
        "jobs.data",
        '''from jobs
    where rowid = new.rowid
      and (data is not old.data or new.id is not old.id)''',
    )
}
  delete from jobs_replaced where id = new.id and new.id is not old.id;
  update jobs_set_again set set_again = '' where set_again <> '';
  {RESUME}
end
"""


JOBS_FTS_DELETE = f"""
create trigger jobs_fts_delete after delete on jobs
when {NOT_PAUSED}
begin
  {unindex_statement("", "old.")}
  {history_statement("old.id", "'delete'", "old.data", "")}
  update jobs_replaced set removed = 1 where job_rowid = old.rowid;
end
"""


TRIGGERS = (
    *COUNT_TRIGGERS,
    JOBS_BI,
    JOBS_BI_REPLACED,
    JOBS_BU,
    JOBS_BU_REPLACED,
    *JOBS_BU_SET_AGAIN,
    JOBS_FTS_INSERT,
    JOBS_FTS_UPDATE,
    JOBS_FTS_DELETE,
)


CREATE_REPLACED = f"""
create table jobs_replaced (
  job_rowid INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  data TEXT,
  removed INTEGER NOT NULL DEFAULT 0,
  {", ".join(f"{column} BLOB" for column in KEPT)}
)
"""


CREATE_SET_AGAIN = """
create table jobs_set_again (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  set_again TEXT NOT NULL DEFAULT ''
)
"""


def create_job_triggers(connection: sqlite3.Connection) -> None:
    for statement in TRIGGERS:
        connection.execute(statement)


def drop_job_triggers(connection: sqlite3.Connection) -> None:
    """For a bulk load: triggers at rest cost time too."""
    for statement in TRIGGERS:
        _, _, name, *_ = statement.split()
        connection.execute(f"drop trigger {name}")
