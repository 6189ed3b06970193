"""Upgrades the `jobs` of an earlier campaigns file: seed 000's versions, seed 001's option 3.

`data` is the truth there as well, but columns drifted from it, and not all of it is valid JSON.
Each job gets version 1 in the history; where an old value had to give way, version 1 shows it and
version 2 is the job as it is now.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import UTC, tzinfo
from typing import Any, NamedTuple

from loaders.campaigns.normal_form import COLUMNS, FIELDS, TIMES, instant_of, to_boolean
from loaders.formats.json_form import encode
from loaders.legacy import tables
from loaders.legacy.json_text import may_hold_lone_surrogate, mend
from loaders.migrations import script
from loaders.times import configured_timezone, now

BATCH = 500  # jobs
CURRENT_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)  # SQLite's own is UTC
BOOLEANS = {field.column: field.keys for field in FIELDS if field.kind == "boolean"}
DEFAULTS = {
    "enabled": 1,
    "use_overlay": 0,
    "automated_video_editing_enabled": 1,
    "useExactScript": 0,
}

FIND_INVALID = r"""
select rowid, id, cast(data as blob)
from jobs
where case
    when typeof(data) <> 'text' or not json_valid(data) then true
    when json_type(data) <> 'object' then true
    when data glob '*\u[dD][89a-fA-F]*' then may_hold_lone_surrogate(cast(data as blob))
    else false end
"""

FIND_JOBS = f"""
select
  jobs.rowid,
  jobs.id,
  cast(data ->> '$.id' as text) is not jobs.id,
  data ->> '$.created_at',
  data ->> '$.updated_at',
  {", ".join(f"jobs.{column}" for column in COLUMNS)},
  {", ".join(f"projection.{column}" for column in COLUMNS)},
  {", ".join(f"jobs.{column} is not projection.{column}" for column in COLUMNS)}
from jobs
join projection on projection.job_rowid = jobs.rowid
where jobs.rowid > :last
order by jobs.rowid
limit {BATCH}
"""  # noqa: S608

UPDATE_COLUMNS = f"""
update jobs
set
  {", ".join(f"{column} = :{column}" for column in COLUMNS)},
  created_instant = round((julianday(
    iif(:created_at glob '[0-9][0-9][0-9]*', :created_at, null), 'auto') - 2440587.5) * 86400000)
where rowid = :rowid
"""  # noqa: S608

INSERT_FIRST_VERSIONS = """
insert into job_history (job_id, version, operation, changed_at, data)
select jobs.id, 1, 'insert', :now, earlier.data
from jobs
left join earlier on earlier.job_rowid = jobs.rowid
where jobs.id is not null
order by jobs.rowid
"""

INSERT_SECOND_VERSIONS = """
insert into job_history (job_id, version, operation, changed_at)
select jobs.id, 2, 'update', :now
from earlier
join jobs on jobs.rowid = earlier.job_rowid
where jobs.id is not null
order by jobs.rowid
"""

COUNT_JOBS = """
insert into job_counts (group_key, product, persona, language, enabled, jobs)
select json_array(product, persona, language, enabled is 1), product, persona, language,
  enabled is 1, count(*)
from jobs
group by 1
"""


def upgrade(connection: sqlite3.Connection) -> None:
    """Replace the old table by today's, with its rows and whatever columns it had beyond ours."""
    existing = set(tables.stored_columns(connection, "jobs"))
    connection.create_function(
        "may_hold_lone_surrogate", 1, may_hold_lone_surrogate, deterministic=True
    )
    with tables.rebuilding(connection, "campaigns"):
        before, connection.text_factory = connection.text_factory, tables.text_or_bytes
        try:
            repair_data(connection)
            connection.execute("create temp table earlier (job_rowid INTEGER PRIMARY KEY, data)")
            create_projection(connection)
            follow_data(connection, existing)
        finally:
            connection.text_factory = before
        connection.execute(INSERT_FIRST_VERSIONS, {"now": now()})
        connection.execute(INSERT_SECOND_VERSIONS, {"now": now()})
        connection.execute("drop view temp.projection")
        connection.execute("drop table temp.earlier")
        connection.execute(COUNT_JOBS)
    tables.fill_search(connection, "jobs")


def create_projection(connection: sqlite3.Connection) -> None:
    """The view jobs_projection, under a name of its own until the schema is complete."""
    for statement in script.statements("campaigns"):
        if statement.kind == "view" and statement.name == "jobs_projection":
            connection.execute(
                statement.sql.replace(
                    "create view jobs_projection", "create temp view projection", 1
                )
            )


def repair_data(connection: sqlite3.Connection) -> None:
    """Make every `data` a JSON object; the original of one that was none is set aside whole.

    A blob that holds one becomes the same characters as text, of which nothing is lost. If nothing
    can be read, `data` is made of the columns, which are all that is known of the job.
    """
    for rowid, job_id, content in connection.execute(FIND_INVALID).fetchall():
        mended = mend(content)
        if mended is None:
            set_data(connection, rowid, content.decode())
            continue
        if content is not None:
            aside = {
                "table_name": "jobs",
                "row_key": job_id,
                "reason": "data was no valid JSON object; what could be read of it stays",
                "content": mended.original,
            }
            connection.execute(tables.SET_ASIDE, aside)
        text = mended.text if mended.text != "{}" else columns_as_json(connection, rowid)
        set_data(connection, rowid, text)


def set_data(connection: sqlite3.Connection, rowid: int, text: str) -> None:
    connection.execute("update jobs set data = ? where rowid = ?", (text, rowid))


def columns_as_json(connection: sqlite3.Connection, rowid: int) -> str:
    row = connection.execute(
        f"select id, {', '.join(COLUMNS)} from jobs where rowid = ?",  # noqa: S608
        (rowid,),
    ).fetchone()
    named = dict(zip(("id", *COLUMNS), row, strict=True))
    return json.dumps(
        {
            column: json.loads(json_text(column, value))
            for column, value in named.items()
            if value is not None and value != ""
        },
        ensure_ascii=False,
    )


def json_text(column: str, value: Any) -> str:
    """The JSON text of an old column's value, including one that JSON has no form for."""
    if column in BOOLEANS and value in (0, 1):
        value = bool(value)
    return json.dumps(encode(value), ensure_ascii=False)


def follow_data(connection: sqlite3.Connection, existing: set[str]) -> None:
    """Let every column follow `data`; the values that give way are kept in `earlier`."""
    zone = configured_timezone()
    for job in different_jobs(connection):
        for column in TIMES:
            known = job.old[column] if column in existing else None
            job.new[column] = time_of(job.times[column], known, zone)
        edits = boolean_edits(connection, job)
        if job.has_wrong_id:
            edits["id"] = json.dumps(job.id, ensure_ascii=False)
        lost = {
            column: json_text(column, job.old[column])
            for column in job.differing
            if column in existing and gives_way(column, job.old[column], job.new[column])
        }
        if lost or edits:
            connection.execute(
                f"insert into earlier select rowid, {json_set(lost)} from jobs where rowid = ?",  # noqa: S608
                (*flat(lost), job.rowid),
            )
        if edits:
            connection.execute(
                f"update jobs set data = {json_set(edits)} where rowid = ?",  # noqa: S608
                (*flat(edits), job.rowid),
            )
        if job.new != job.old or job.new["created_at"] is not None:
            connection.execute(UPDATE_COLUMNS, {"rowid": job.rowid, **job.new})


class Job(NamedTuple):
    """A job whose columns may differ from its `data`."""

    rowid: int
    id: str | None
    has_wrong_id: bool
    times: dict[str, Any]  # as `data` has them
    old: dict[str, Any]
    new: dict[str, Any]
    differing: list[str]


def different_jobs(connection: sqlite3.Connection) -> Iterator[Job]:
    """Every job, in batches, since they are updated meanwhile."""
    last = -(2**63)
    while rows := connection.execute(FIND_JOBS, {"last": last}).fetchall():
        for rowid, job_id, has_wrong_id, created_at, updated_at, *values in rows:
            old, new, differs = (values[n * len(COLUMNS) :][: len(COLUMNS)] for n in range(3))
            yield Job(
                rowid,
                job_id,
                bool(has_wrong_id),
                {"created_at": created_at, "updated_at": updated_at},
                dict(zip(COLUMNS, old, strict=True)),
                dict(zip(COLUMNS, new, strict=True)),
                [column for column, one in zip(COLUMNS, differs, strict=True) if one],
            )
        last = rows[-1][0]


def time_of(said: Any, known: Any, zone: tzinfo) -> Any:
    """The time in `data` as an instant; without one, that of the column, or else now."""
    if said is not None:
        return instant_of(said, zone) or said
    if isinstance(known, str) and CURRENT_TIMESTAMP.fullmatch(known):
        zone = UTC
    return now() if known is None else instant_of(known, zone) or known


def gives_way(column: str, old: Any, new: Any) -> bool:
    """True if the old column held something else than the new one, and not merely nothing."""
    if old is None or (old == "" and new is None):
        return False
    return column not in TIMES or time_of(None, old, configured_timezone()) != new


def boolean_edits(connection: sqlite3.Connection, job: Job) -> dict[str, str]:
    """Put true, false or null for the words in boolean columns; key of `data` -> JSON text."""
    edits: dict[str, str] = {}
    for column, keys in BOOLEANS.items():
        value = to_boolean(job.new[column])
        if value is job.new[column]:
            continue
        job.new[column] = DEFAULTS[column] if value is None else int(value)
        for key in keys:
            sql = f"select data ->> '$.{key}' from jobs where rowid = ?"  # noqa: S608
            word = connection.execute(sql, (job.rowid,)).fetchone()[0]
            if isinstance(word, str):
                edits[key] = json.dumps(to_boolean(word))
    return edits


def json_set(values: Mapping[str, str]) -> str:
    """SQL that sets these keys of `data`; see `flat` for its parameters."""
    return f"json_set(data{', ?, json(?)' * len(values)})" if values else "data"


def flat(values: Mapping[str, str]) -> list[str]:
    return [text for key, value in values.items() for text in (f"$.{key}", value)]
