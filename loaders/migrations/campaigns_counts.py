"""What statistics of campaign jobs count by, kept by triggers as the jobs change.

A statistic then costs by the number of products, personas, languages and days, not of jobs.
"""

from __future__ import annotations

import sqlite3

# The instant at which the job called {row} was created; a text that is no time stays what it is.
CREATED_INSTANT = """case
    when {row}.created_at glob '[0-9]*-*'
      then coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', {row}.created_at), {row}.created_at)
    else {row}.created_at end"""


# What statistics count by. `day` is the one on which a job was created.
COUNTED = {
    "product": "{row}.product",
    "persona": "{row}.persona",
    "language": "{row}.language",
    "day": "case when {instant} glob '[0-9][0-9][0-9][0-9]-*' then substr({instant}, 1, 10) end",
    "all": "''",
}


def counted(row: str, field: str) -> str:
    """SQL: the value of `row` that a job is counted under."""
    return COUNTED[field].format(row=row, instant=CREATED_INSTANT.format(row=row))


def count_statements(row: str, sign: str) -> str:
    """SQL: count the job of `row` in, or out, under each of its values.

    A count may be below zero for a moment: SQLite does not say which trigger comes first.
    """
    values = " union all ".join(
        f"select '{field}' as field, {counted(row, field)} as value" for field in COUNTED
    )
    add = f"""
  insert into job_counts (field, value, jobs, enabled_jobs)
  select field, value, 0, 0
  from ({values}) as counted
  where not exists (
      select 1
      from job_counts
      where job_counts.field = counted.field
        and job_counts.value is counted.value
    );"""
    change = "".join(
        f"""
  update job_counts
  set
    jobs = jobs {sign} 1,
    enabled_jobs = enabled_jobs {sign} ({row}.enabled is 1)
  where field = '{field}'
    and value is {counted(row, field)};"""
        for field in COUNTED
    )
    return add + change


def count_out_replaced(condition: str) -> str:
    """SQL: count out a job that `or replace` removed without telling a delete trigger."""
    gone = f"from jobs_replaced as gone where gone.id = new.id and gone.removed = 0 and {condition}"
    return "".join(
        f"""
    update job_counts
    set
      jobs = jobs - 1,
      enabled_jobs = enabled_jobs - (select gone.enabled is 1 {gone})
    where field = '{field}'
      and value is (select {counted("gone", field)} {gone})
      and exists (select 1 {gone});"""
        for field in COUNTED
    )


COUNTING = "coalesce((select paused from write_context), 0) <> 2"


COUNT_TRIGGERS = (
    f"""
create trigger job_counts_insert after insert on jobs
when {COUNTING}
begin
  {count_statements("new", "+")}
end
""",
    f"""
create trigger job_counts_update
after update of product, persona, language, enabled, created_at on jobs
when {COUNTING}
  and (new.product is not old.product
    or new.persona is not old.persona
    or new.language is not old.language
    or new.enabled is not old.enabled
    or new.created_at is not old.created_at)
begin
  {count_statements("old", "-")}
  {count_statements("new", "+")}
end
""",
    f"""
create trigger job_counts_delete after delete on jobs
when {COUNTING}
begin
  {count_statements("old", "-")}
end
""",
)


CREATE_COUNTS = """
create table job_counts (
  field TEXT NOT NULL,
  value TEXT,
  jobs INTEGER NOT NULL,
  enabled_jobs INTEGER NOT NULL
)
"""


CREATE_COUNTS_INDEX = "create unique index idx_job_counts_value on job_counts (field, value)"


def count_jobs(connection: sqlite3.Connection, last: int | None = None) -> None:
    """Count in the jobs whose row number is above `last`; None means count all jobs anew."""
    if last is None:
        connection.execute("delete from job_counts")
        connection.execute(INSERT_NEW_COUNTS, {"last": -1})
        connection.execute(INSERT_TOTAL)
    else:
        connection.execute(ADD_TO_COUNTS, {"last": last})
        connection.execute(INSERT_NEW_COUNTS, {"last": last})


INSERT_TOTAL = """
insert into job_counts
select 'all', '', 0, 0
where not exists (select 1 from job_counts where field = 'all')
"""

# The jobs are read once, and counted under each of their values together.
COUNT_NEW_JOBS = f"""
with grouped as materialized (
  select
    {", ".join(f"{counted('jobs', field)} as {field}_value" for field in COUNTED)},
    count(*) as jobs,
    count(*) filter (where enabled is 1) as enabled_jobs
  from jobs
  where rowid > :last
  group by {", ".join(str(place) for place in range(1, len(COUNTED) + 1))}
)
select field, value, sum(jobs) as jobs, sum(enabled_jobs) as enabled_jobs
from (
  {
    " union all ".join(
        f"select '{field}' as field, {field}_value as value, jobs, enabled_jobs from grouped"
        for field in COUNTED
    )
}
)
group by field, value
"""

ADD_TO_COUNTS = f"""
update job_counts
set
  jobs = job_counts.jobs + counted.jobs,
  enabled_jobs = job_counts.enabled_jobs + counted.enabled_jobs
from ({COUNT_NEW_JOBS}) as counted
where job_counts.field = counted.field
  and job_counts.value is counted.value
"""

INSERT_NEW_COUNTS = f"""
insert into job_counts (field, value, jobs, enabled_jobs)
select field, value, jobs, enabled_jobs
from ({COUNT_NEW_JOBS}) as counted
where not exists (
    select 1
    from job_counts
    where job_counts.field = counted.field
      and job_counts.value is counted.value
  )
"""
