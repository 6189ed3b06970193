"""What triggers derive from rows, and exports contain as well.

Imported, such rows replace what an import derived before rather than adding to it: a job's history
replaces the version that its import made, and a use that an image's count includes is not counted
again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Log(NamedTuple):
    """A table in which triggers record what happens to jobs.

    `first` is the condition for a job's first row, `derived` for one that an import made.
    """

    first: str
    derived: str


# By the actor of this import, or one of our commands.
BY_IMPORT = "(actor is :actor or ifnull(actor, '') in ('import', 'build'))"

LOGS = {
    "job_history": Log(first="version = 1", derived=BY_IMPORT),
    "job_events": Log(first="status_from is null", derived=BY_IMPORT),
    "job_attempts": Log(
        first="ended_at is null",
        derived=f"""not exists (
            select 1
            from job_changes
            where job_changes.job_id = one.job_id
              and not {BY_IMPORT}
          )""",  # noqa: S608
    ),
}

# Jobs take the times that their `data` lacks from their history. While `paused`, no trigger works.
TAKE_TIMES = (
    "update write_context set paused = 1",
    """
    update jobs
    set created_at = iif(data ->> '$.created_at' is null, times.created_at, jobs.created_at),
      updated_at = iif(data ->> '$.updated_at' is null, times.updated_at, jobs.updated_at)
    from (
      select job_id, max(changed_at) filter (where operation = 'insert') as created_at,
        max(changed_at) as updated_at
      from job_history
      where job_id in (select job_id from temp.derived)
      group by job_id
      having created_at is not null
    ) as times
    where times.job_id = jobs.id
    """,
    """
    update jobs
    set created_instant = (
      select created_instant
      from jobs_projection
      where job_rowid = jobs.rowid
    )
    where id in (select job_id from temp.derived)
    """,
    "update write_context set paused = 0",
)

# The number of a job that is gone is not given again.
KEEP_NUMBERS = (
    """
    update sqlite_sequence
    set seq = max(seq, (select ifnull(max(job_id), 0) from job_events))
    where name = 'jobs'
    """,
)

# Uses are new to an image's count if they are more than it, or later than its last use.
COUNT_USES = """
update image_library
set usage_count = uses.counted,
  last_used_at = iif(uses.counted > before.usage_count,
    max(ifnull(before.last_used_at, ''), uses.last), before.last_used_at)
from temp.images_before as before
join (
  select image_id, max(timestamp) as last,
    max(
      (select count(*) from image_usage as every where every.image_id = added.image_id),
      images.usage_count + count(*) filter (where timestamp > images.last_used_at)
    ) as counted
  from image_usage as added
  join temp.images_before as images on images.id = image_id
  where added.id not in (select id from temp.uses_before)
  group by image_id
) as uses on uses.image_id = before.id
where image_library.id = before.id
"""


@contextmanager
def kept(connection: sqlite3.Connection, table: str, actor: str | None) -> Iterator[None]:
    """An import of `table` within a transaction."""
    if table in LOGS:
        with derived_aside(connection, table, actor):
            yield
    elif table == "image_usage":
        with counted_once(connection):
            yield
    else:
        yield


@contextmanager
def derived_aside(connection: sqlite3.Connection, table: str, actor: str | None) -> Iterator[None]:
    """Move rows that an import derived to `temp.derived`; those not replaced come back."""
    log = LOGS[table]
    connection.execute(
        f"""
        create temp table derived as
        select *
        from {table} as one
        where {log.first}
          and {log.derived}
          and not exists (
            select 1
            from {table} as other
            where other.job_id = one.job_id
              and other.id <> one.id
          )
        """,  # noqa: S608
        {"actor": actor},
    )
    connection.execute(f"delete from {table} where id in (select id from temp.derived)")  # noqa: S608
    yield
    replaced = f"job_id in (select job_id from {table} where {log.first})"  # noqa: S608
    columns = [name for name, *_ in connection.execute("select * from temp.derived").description]
    others = ", ".join(name for name in columns if name != "id")
    connection.execute(
        f"""
        insert into {table} (id, {others})
        select
          iif(id in (select id from {table}), row_number() over (order by id) + last, id), {others}
        from temp.derived,
          (select max(id) as last from (select id from {table} union select id from temp.derived))
        where not {replaced}
        """  # noqa: S608
    )
    connection.execute(f"delete from temp.derived where not {replaced}")  # noqa: S608
    for statement in TAKE_TIMES if table == "job_history" else KEEP_NUMBERS:
        connection.execute(statement)
    connection.execute("drop table temp.derived")


@contextmanager
def counted_once(connection: sqlite3.Connection) -> Iterator[None]:
    """Count uses of images that their counts do not include."""
    connection.execute(
        """
        create temp table images_before as
        select id, ifnull(usage_count, 0) + 0 as usage_count, last_used_at
        from image_library
        """
    )
    connection.execute("create temp table uses_before as select id from image_usage")
    yield
    connection.execute(COUNT_USES)
    connection.execute("drop table temp.images_before")
    connection.execute("drop table temp.uses_before")
