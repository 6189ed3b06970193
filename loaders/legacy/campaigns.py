"""Takes over the `jobs` of an earlier campaigns file: seed 000's versions, seed 001's option 3.

`data` is the truth there as well, but its columns drifted from it and not all of it is JSON: see
`campaigns_history.py` for what becomes of the old values.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from functools import lru_cache, partial
from typing import Any

from loaders.connections import count_rows
from loaders.formats.json_form import encode
from loaders.legacy.campaigns_history import (
    current_timestamp_or_instant,
    history_statements,
    instant_in_zone,
    old_json_value,
    write_history,
)
from loaders.legacy.json_text import may_hold_lone_surrogate, mend
from loaders.migrations.bookkeeping import SET_ASIDE
from loaders.migrations.campaigns import CREATE_JOBS
from loaders.migrations.campaigns_projection import (
    COLUMNS,
    EXTRACT,
    FIELDS,
    TIMES,
    WITHOUT_NUL,
    Field,
    extract_of,
    path_in,
    projected,
    said,
    text_of,
)
from loaders.times import NOW_SQL, configured_timezone, to_instant

LEGACY_TRIGGERS = ("jobs_fts_insert", "jobs_fts_update", "jobs_fts_delete")
BY_COLUMN = {field.column: field for field in FIELDS}
JOBS_AT_ONCE = 200

NEXT_BATCH = """
select min(rowid), max(rowid)
from (
  select rowid
  from jobs_old
  order by rowid
  limit :jobs
)
"""

IS_OBJECT = """case
    when typeof(data) = 'text' and json_valid(data) then json_type(data) = 'object'
    else false end"""

# What the quicker of the two copies takes; most is. A NUL needs the slower.
PLAIN = rf"""case
    when not {IS_OBJECT} or data glob '*\u0000*' then false
    when data glob '*\u[dD][89a-fA-F]*' then not may_hold_lone_surrogate(cast(data as blob))
    else true end"""

WITH_NUL = "document_with_nul"
NOT_COPIED = "not exists (select 1 from jobs where jobs.rowid = jobs_old.rowid)"


def upgrade(connection: sqlite3.Connection) -> None:
    """Replace the old `jobs` by today's, with its rows and whatever columns it had beyond ours."""
    create_functions(connection)
    drop_search(connection)
    columns = table_columns(connection)
    kept = take_off_objects(connection)
    jobs = count_rows(connection, "jobs")
    connection.execute("alter table jobs rename to jobs_old")
    create_jobs(connection, columns)
    move_jobs(connection, list(columns))
    if count_rows(connection, "jobs") != jobs:
        raise sqlite3.IntegrityError("jobs: not every row could be copied")
    connection.execute("drop table jobs_old")
    for statement in kept:
        connection.execute(statement)


def create_functions(connection: sqlite3.Connection) -> None:
    # A batch asks for the same time again and again: in `data` and column, to copy and to compare.
    instant = lru_cache(maxsize=4 * JOBS_AT_ONCE)(partial(to_instant, zone=configured_timezone()))
    connection.create_function("to_instant", 1, instant, deterministic=True)
    connection.create_function("json_form", 1, json_form, deterministic=True)
    connection.create_function(
        "may_hold_lone_surrogate", 1, may_hold_lone_surrogate, deterministic=True
    )


def json_form(value: Any) -> str:
    return json.dumps(encode(value))


def drop_search(connection: sqlite3.Connection) -> None:
    """The old triggers leave old words in the old index for ever: both go, and are built anew."""
    for trigger in LEGACY_TRIGGERS:
        connection.execute(f"drop trigger if exists {trigger}")
    connection.execute("drop table if exists jobs_fts")


def table_columns(connection: sqlite3.Connection) -> dict[str, str]:
    """The old table's columns and their declared types."""
    return dict(connection.execute("select name, type from pragma_table_info('jobs')").fetchall())


def take_off_objects(connection: sqlite3.Connection) -> list[str]:
    """Drop the table's indexes and triggers; the statements that made those of others.

    The rows leave the old table one by one, which is nobody's deletion and needs no index.
    """
    rows = connection.execute(
        """
        select type, name, sql
        from sqlite_master
        where tbl_name = 'jobs'
          and type in ('index', 'trigger')
          and sql is not null
        """
    ).fetchall()
    for kind, name, _ in rows:
        quoted = name.replace('"', '""')
        connection.execute(f'drop {kind} "{quoted}"')
    return [sql for _, name, sql in rows if not name.startswith("idx_jobs_")]


def create_jobs(connection: sqlite3.Connection, columns: dict[str, str]) -> None:
    connection.execute(CREATE_JOBS.format(name="jobs"))
    for name in unknown_columns(columns):
        connection.execute(f"alter table jobs add column {quoted(name)} {columns[name]}")


def unknown_columns(columns: Iterable[str]) -> list[str]:
    return [name for name in columns if name not in ("id", "data", *COLUMNS)]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def move_jobs(connection: sqlite3.Connection, columns: list[str]) -> None:
    """Copy the jobs in batches, each with its history, and delete what is copied at once.

    The pages that a batch filled, wiped, take up the next one while they are still in memory.
    """
    known = [name for name in columns if name in BY_COLUMN]
    copy_plain = copy_statement(columns, WITHOUT_NUL, EXTRACT, PLAIN)
    copy_rest = copy_statement(columns, WITH_NUL, WITH_NUL, NOT_COPIED)
    history = history_statements([BY_COLUMN[name] for name in known])
    for batch in batches(connection):
        if connection.execute(copy_plain, batch).rowcount < JOBS_AT_ONCE:
            unreadable = mend_documents(connection, batch)
            fill_documents(connection, unreadable, known)
            connection.execute(copy_rest, batch)
        write_history(connection, history, batch)
        connection.execute("delete from jobs_old where rowid <= :last", batch)


def batches(connection: sqlite3.Connection) -> Iterator[dict[str, int]]:
    """The first and last row number of the jobs that come next, until none is left."""
    while True:
        first, last = connection.execute(NEXT_BATCH, {"jobs": JOBS_AT_ONCE}).fetchone()
        if first is None:
            return
        yield {"first": first, "last": last}


def mend_documents(connection: sqlite3.Connection, batch: dict[str, int]) -> list[int]:
    """Make every `data` a JSON object; the original of one that was none is set aside whole.

    A blob that holds one becomes the same characters as text, of which nothing is lost.
    The row numbers of those of which nothing could be read.
    """
    unreadable = []
    suspects = connection.execute(
        f"""
        select rowid, id, cast(data as blob), typeof(data), {IS_OBJECT}
        from jobs_old
        where rowid <= :last
          and {NOT_COPIED}
        """,  # noqa: S608
        batch,
    ).fetchall()
    ill = [row[:4] for row in suspects if not row[4] or may_hold_lone_surrogate(row[2])]
    for rowid, job_id, content, kind in ill:
        mended = mend(content)
        if mended is None:
            if kind == "blob":
                replace_document(connection, rowid, content.decode())
            continue
        if content is not None:
            values = {
                "table_name": "jobs",
                "row_key": job_id,
                "reason": "data was no valid JSON object; what could be read of it stays",
                "content": mended.original,
            }
            connection.execute(SET_ASIDE, values)
        replace_document(connection, rowid, mended.text)
        if mended.text == "{}":
            unreadable.append(rowid)
    return unreadable


def replace_document(connection: sqlite3.Connection, rowid: int, text: str) -> None:
    connection.execute("update jobs_old set data = ? where rowid = ?", (text, rowid))


def fill_documents(
    connection: sqlite3.Connection, unreadable: list[int], columns: list[str]
) -> None:
    """Where nothing of `data` could be read, the columns are all that is known of the job."""
    for column in columns:
        field = BY_COLUMN[column]
        connection.execute(
            f"""
            update jobs_old
            set data = json_set(data, '$.{field.keys[0]}', json({old_json_value(field, column)}))
            where rowid in (select value from json_each(?))
              and {column} is not null
              and {column} <> ''
            """,  # noqa: S608
            (json.dumps(unreadable),),
        )


def copy_statement(columns: list[str], document: str, values: str, condition: str) -> str:
    """SQL: rows under their numbers, with columns that follow the `values` in their document.

    The limit, which is none, keeps the inner query apart: it fetches a long document only once.
    """
    others = [quoted(name) for name in unknown_columns(columns)]
    times = [name for name in TIMES if name in columns]
    targets = ["rowid", "id", "data", *COLUMNS, *others]
    sources = ["job_rowid", "id", document_with_id(document, values)]
    sources += [projected_old(document, values, field, columns) for field in FIELDS]
    fetched = ["rowid as job_rowid", "id", f"data as {document}", *times, *others]
    if values == EXTRACT:
        fetched.append(f"{extract_of('data')} as {EXTRACT}")
    return f"""
insert into jobs ({", ".join(targets)})
select {", ".join([*sources, *others])}
from (
  select {", ".join(fetched)}
  from jobs_old
  where rowid <= :last
    and {condition}
  order by rowid
  limit -1
)
"""  # noqa: S608


def document_with_id(document: str, values: str) -> str:
    """SQL: the document, in which the key column wins over an id inside."""
    return f"""case
    when ({text_of(values, "id")}) is id then {document}
    else json_set({document}, '$.id', id) end"""


def projected_old(document: str, values: str, field: Field, columns: list[str]) -> str:
    """SQL: the column of the copy. A time that `data` does not say stays."""
    if field.kind == "time":
        from_data = f"({values} ->> {path_in(values, field.column)})"
        from_column = "null"
        if field.column in columns:
            from_column = current_timestamp_or_instant(field.column)
        return f"coalesce({instant_in_zone(from_data)}, {from_column}, {NOW_SQL})"
    value = projected(values, field)
    if values == EXTRACT and field.default:
        return f"coalesce({value}, case when not {said(document, field)} then {field.default} end)"
    return value
