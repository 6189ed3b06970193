"""The first versions of adopted campaign jobs.

Each job gets version 1 as the old file had it. Where a column said something else than `data`, that
version shows the old value and a second one, made here, what holds from now on.
"""

from __future__ import annotations

import json
import sqlite3
from typing import NamedTuple

from loaders.migrations.campaigns_projection import Field, instant_of, json_value
from loaders.times import NOW_SQL

INSERT_HISTORY = "insert into job_history (job_id, version, operation, changed_at, data)"

LOG_UNCHANGED = f"""
{INSERT_HISTORY}
select id, 1, 'insert', {NOW_SQL}, data
from jobs
where rowid between :first and :last
  and id is not null
  and rowid not in (select value from json_each(:drifted))
order by rowid
"""  # noqa: S608

LAST_LOGGED = "select coalesce(max(id), 0) from job_history"

LOG_SECOND = f"""
{INSERT_HISTORY}
select job_history.job_id, 2, 'update', {NOW_SQL}, jobs.data
from job_history
cross join jobs on jobs.id = job_history.job_id
where job_history.id > :logged
  and job_history.data is not jobs.data
"""  # noqa: S608


class HistoryStatements(NamedTuple):
    """SQL that finds the jobs whose columns drifted, and that logs them as they were."""

    find_drifted: str
    log_drifted: str


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
    old, new = f"jobs_old.{field.column}", f"jobs.{field.column}"
    if field.kind == "time":
        return f"({old} is not null and {current_timestamp_or_instant(old)} is not {new})"
    return f"({old} is not null and {old} is not {new} and not ({old} = '' and {new} is null))"


def old_json_value(field: Field, column: str) -> str:
    """SQL: the JSON text of an old column's value, be it one that JSON has no word for."""
    return f"""case
      when typeof({column}) = 'blob' or {column} in (9e999, -9e999) then json_form({column})
      else {json_value(field, column)} end"""


def history_statements(fields: list[Field]) -> HistoryStatements:
    any_drift = " or ".join(["jobs_old.data is not jobs.data", *map(drifted, fields)])
    old_values = ",\n".join(
        f"case when {drifted(field)} then '$.{field.column}' else '$.id' end,\n"
        f"json(case when {drifted(field)} then {old_json_value(field, f'jobs_old.{field.column}')}"
        " else coalesce(jobs_old.data -> '$.id', json_quote(jobs_old.id)) end)"
        for field in fields
    )
    both = "from jobs_old\ncross join jobs on jobs.rowid = jobs_old.rowid"
    return HistoryStatements(
        f"""
select jobs_old.rowid
{both}
where jobs_old.rowid <= :last
  and jobs_old.id is not null
  and ({any_drift})
""",
        f"""
{INSERT_HISTORY}
select jobs_old.id, 1, 'insert', {NOW_SQL}, json_set(jobs_old.data, {old_values})
{both}
where jobs_old.rowid in (select value from json_each(:drifted))
order by jobs_old.rowid
""",  # noqa: S608
    )


def write_history(
    connection: sqlite3.Connection, statements: HistoryStatements, batch: dict[str, int]
) -> None:
    """The versions of the jobs of a batch: in `jobs_old` as they were, in `jobs` as they are."""
    changed = json.dumps([row[0] for row in connection.execute(statements.find_drifted, batch)])
    connection.execute(LOG_UNCHANGED, {**batch, "drifted": changed})
    if changed != "[]":
        logged = connection.execute(LAST_LOGGED).fetchone()[0]
        connection.execute(statements.log_drifted, {"drifted": changed})
        connection.execute(LOG_SECOND, {"logged": logged})
