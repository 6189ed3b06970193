"""Takes over the `jobs` of an earlier campaigns file: seed 000's versions, seed 001's option 3.

`data` is the truth there as well, but its columns drifted from it and not all of it is JSON. Each
job gets its first version in the history; where a column said something else than `data`, that
version shows the old value and a second one, made here, what holds from now on.
"""

from __future__ import annotations

import json
import sqlite3

from loaders.migrations.bookkeeping import SET_ASIDE
from loaders.migrations.campaigns import CREATE_JOBS
from loaders.migrations.campaigns_projection import (
    COLUMNS,
    FIELDS,
    Field,
    instant_of,
    json_value,
    projected,
    text_of,
)
from loaders.times import NOW_SQL, configured_timezone, to_instant
from loaders.upgrades.json_text import may_hold_lone_surrogate, mend

LEGACY_TRIGGERS = ("jobs_fts_insert", "jobs_fts_update", "jobs_fts_delete")
BY_COLUMN = {field.column: field for field in FIELDS}


def upgrade(connection: sqlite3.Connection) -> None:
    """Replace the old `jobs` by today's, with its rows and whatever columns it had beyond ours."""
    zone = configured_timezone()
    connection.create_function(
        "to_instant", 1, lambda text: to_instant(text, zone), deterministic=True
    )
    drop_search(connection)
    columns = table_columns(connection)
    unreadable = mend_documents(connection)
    fill_documents(connection, unreadable, [name for name in columns if name in BY_COLUMN])
    kept = kept_objects(connection)
    copy_jobs(connection, columns)
    write_history(connection, [name for name in columns if name in BY_COLUMN])
    connection.execute("drop table jobs")
    connection.execute("alter table jobs_new rename to jobs")
    for statement in kept:
        connection.execute(statement)


def drop_search(connection: sqlite3.Connection) -> None:
    """The old triggers leave old words in the old index for ever: both go, and are built anew."""
    for trigger in LEGACY_TRIGGERS:
        connection.execute(f"drop trigger if exists {trigger}")
    connection.execute("drop table if exists jobs_fts")


def table_columns(connection: sqlite3.Connection) -> dict[str, str]:
    """The old table's columns and their declared types."""
    return dict(connection.execute("select name, type from pragma_table_info('jobs')").fetchall())


def kept_objects(connection: sqlite3.Connection) -> list[str]:
    """The statements that made indexes and triggers of others on the table."""
    rows = connection.execute(
        """
        select sql
        from sqlite_master
        where tbl_name = 'jobs'
          and type in ('index', 'trigger')
          and sql is not null
          and name not like 'idx_jobs_%'
        """
    )
    return [sql for (sql,) in rows]


def mend_documents(connection: sqlite3.Connection) -> list[int]:
    """Make every `data` a JSON object; the original of one that was none is set aside whole.

    The row numbers of those of which nothing could be read.
    """
    unreadable = []
    suspects = connection.execute(
        r"""
        select
          rowid,
          id,
          cast(data as blob),
          case
            when typeof(data) = 'text' and json_valid(data) then json_type(data) = 'object'
            else false end as sound
        from jobs
        where data is null
          or typeof(data) <> 'text'
          or not json_valid(data)
          or json_type(data) <> 'object'
          or data glob '*\u[dD][89a-fA-F]*'
        """
    )
    ill = [row[:3] for row in suspects if not row[3] or may_hold_lone_surrogate(row[2])]
    for rowid, job_id, content in ill:
        mended = mend(content)
        if mended is None:
            continue
        if content is not None:
            values = {
                "table_name": "jobs",
                "row_key": job_id,
                "reason": "data was no valid JSON object; what could be read of it stays",
                "content": mended.original,
            }
            connection.execute(SET_ASIDE, values)
        connection.execute("update jobs set data = ? where rowid = ?", (mended.text, rowid))
        if mended.text == "{}":
            unreadable.append(rowid)
    return unreadable


def fill_documents(
    connection: sqlite3.Connection, unreadable: list[int], columns: list[str]
) -> None:
    """Where nothing of `data` could be read, the columns are all that is known of the job."""
    for column in columns:
        field = BY_COLUMN[column]
        connection.execute(
            f"""
            update jobs
            set data = json_set(data, '$.{field.keys[0]}', json({json_value(field, column)}))
            where rowid in (select value from json_each(?))
              and {column} is not null
              and {column} <> ''
            """,  # noqa: S608
            (json.dumps(unreadable),),
        )


def copy_jobs(connection: sqlite3.Connection, columns: dict[str, str]) -> None:
    """Every row under its number, with columns that follow its `data`."""
    connection.execute(CREATE_JOBS.format(name="jobs_new"))
    unknown = [name for name in columns if name not in ("id", "data", *COLUMNS)]
    quoted = [f'"{name}"' for name in unknown]
    for name, quoted_name in zip(unknown, quoted, strict=True):
        connection.execute(f"alter table jobs_new add column {quoted_name} {columns[name]}")
    targets = ", ".join(("rowid", "id", "data", *COLUMNS, *quoted))
    projection = ",\n".join(projected_old(field, field.column in columns) for field in FIELDS)
    sources = ", ".join(["rowid", "id", document_with_id(), projection, *quoted])
    connection.execute(f"insert into jobs_new ({targets}) select {sources} from jobs")  # noqa: S608


def document_with_id() -> str:
    """SQL: `data`, in which the key column wins over an id inside."""
    return f"""case
      when ({text_of("data", "id")}) is id then data
      else json_set(data, '$.id', id) end"""


def projected_old(field: Field, exists: bool) -> str:
    """SQL: the column of the copy. A time that `data` does not say stays."""
    if field.kind != "time":
        return projected("data", field)
    from_data = f"(data ->> '$.{field.column}')"
    from_column = current_timestamp_or_instant(f"jobs.{field.column}") if exists else "null"
    return f"coalesce({instant_in_zone(from_data)}, {from_column}, {NOW_SQL})"


def instant_in_zone(text: str) -> str:
    """SQL: the instant of a text; without a zone in it, the configured one is meant."""
    return f"""case
      when {text} glob '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' then to_instant({text})
      else {instant_of(text)} end"""


def current_timestamp_or_instant(column: str) -> str:
    """SQL: SQLite's own `current_timestamp`, 19 characters with a blank, is UTC by definition."""
    shape = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9] [0-9][0-9]:[0-9][0-9]:[0-9][0-9]"
    return f"""case
      when {column} glob '{shape}' then {instant_of(column)}
      else {instant_in_zone(column)} end"""


def drifted(field: Field) -> str:
    """SQL: did the old column say something else than the copy, which follows `data`?"""
    old, new = f"jobs.{field.column}", f"jobs_new.{field.column}"
    if field.kind == "time":
        return f"({old} is not null and {current_timestamp_or_instant(old)} is not {new})"
    return f"({old} is not null and {old} is not {new} and not ({old} = '' and {new} is null))"


def write_history(connection: sqlite3.Connection, columns: list[str]) -> None:
    """Version 1 of each job as the old file had it; version 2 where `data` now holds otherwise."""
    fields = [BY_COLUMN[name] for name in columns]
    any_drift = " or ".join(
        [f"({text_of('jobs.data', 'id')}) is not jobs.id", *(drifted(field) for field in fields)]
    )
    old_values = ",\n".join(
        f"case when {drifted(field)} then '$.{field.column}' else '$.id' end,\n"
        f"json(case when {drifted(field)} then {json_value(field, f'jobs.{field.column}')}"
        " else coalesce(jobs.data -> '$.id', json_quote(jobs.id)) end)"
        for field in fields
    )
    connection.execute(
        f"""
        insert into job_history (job_id, version, operation, changed_at, data)
        select
          jobs.id, 1, 'insert', {NOW_SQL},
          case when {any_drift} then json_set(jobs.data, {old_values}) else jobs.data end
        from jobs
        join jobs_new on jobs_new.rowid = jobs.rowid
        where jobs.id is not null
        order by jobs.rowid
        """  # noqa: S608
    )
    connection.execute(
        f"""
        insert into job_history (job_id, version, operation, changed_at, data)
        select job_history.job_id, 2, 'update', {NOW_SQL}, jobs_new.data
        from job_history
        join jobs_new on jobs_new.id = job_history.job_id
        where job_history.data is not jobs_new.data
        """  # noqa: S608
    )
