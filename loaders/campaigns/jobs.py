"""Campaign jobs: the Python functions of the database `campaigns`.

Every function takes `db` first: a `sqlite_utils.Database` or a `sqlite3.Connection`. A job is a
dictionary of anything JSON can hold. There are two views of a stored job: a `Job` is a dictionary
whose columns are attributes too, a `Record` is its JSON text as `data` holds it, so that nothing is
changed or unreadable on the way to an HTTP client. Errors are those of loaders/errors.py.
"""

from __future__ import annotations

import json
import math
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from loaders import info
from loaders.campaigns.normal_form import (
    BOOLEAN_KEYS,
    COLUMNS,
    INSERT_JOB,
    UPDATE_JOB,
    instants,
    normalized,
)
from loaders.connections import Connection, acting_as, reading
from loaders.errors import Invalid, NotFound, for_each, translated
from loaders.formats.json_form import MAX_DEPTH, check_forms, encode
from loaders.messages import but_is, quoted
from loaders.rows import Change, Check, Job, Record, Statistics, select
from loaders.search import CAMPAIGNS, add_functions, terms_of
from loaders.times import now

ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
SELECT_JOB = f"select id, {', '.join(COLUMNS)}, data from jobs"  # noqa: S608

FIND_JOB = f"{SELECT_JOB} where id = :id"

RECORD = """
jobs.id,
jobs.data,
jobs.created_at,
jobs.updated_at,
json_type(jobs.data, '$.created_at'),
json_type(jobs.data, '$.updated_at')
"""

FIND_RECORD = f"select {RECORD} from jobs where id = :id"  # noqa: S608

SEARCH_JOBS = f"""
with found as (
  select rowid as number, rank
  from jobs_fts
  where jobs_fts match search_words(:q)
  union all
  select rowid, 0
  from ({CAMPAIGNS.with_parts})
)
{SELECT_JOB}
where rowid in (
    select number
    from found
    group by number
    order by min(rank), number
    limit :limit
  )
order by created_instant desc, id
"""  # noqa: S608

PRODUCT_HOLDS = "instr(lower(product), lower(:product)) > 0"

STATISTICS = """
select
  count(*) as total_jobs,
  count(*) filter (where enabled = 1) as enabled_jobs,
  count(*) filter (where enabled is not 1) as disabled_jobs,
  count(distinct product) as unique_products,
  count(distinct persona) as unique_personas,
  count(distinct language) as unique_languages
from jobs
"""

NEXT_DOCUMENTS = """
select rowid as place, id, data
from jobs
where rowid > :last
order by rowid
limit 100
"""

COUNT_BY = {
    column: f"""
select {column}, count(*)
from jobs
where {column} is not null
group by {column}
order by count(*) desc, {column}
"""  # noqa: S608
    for column in ("product", "persona", "language")
}


@dataclass(frozen=True)
class JobFilter:
    """Which jobs `list_jobs` returns; a field left None does not filter.

    `product` is a part of the product, whatever its case.
    """

    enabled: bool | None = None
    product: str | None = None
    persona: str | None = None
    language: str | None = None
    brand_name: str | None = None
    campaign_type: str | None = None
    avatar_id: str | None = None
    script_id: str | None = None
    use_overlay: bool | None = None
    limit: int | None = None
    offset: int = 0
    order_by: str = "created_at"
    order_dir: str = "DESC"

    def conditions(self) -> dict[str, Any]:
        """Column and value of each field that filters."""
        other = {"limit", "offset", "order_by", "order_dir"}
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in other}
        return {name: value for name, value in named.items() if value is not None}


def add_job(db: Connection, job: Mapping[str, Any], actor: str | None = None) -> Job:
    """Store a new job; without an id it gets a random one."""
    with acting_as(db, actor) as connection:
        return require(connection, insert(connection, job))


def bulk_add_jobs(
    db: Connection, jobs: Iterable[Mapping[str, Any]], actor: str | None = None
) -> list[Job]:
    """Store new jobs, all or none; the error names every fault and its position."""
    with acting_as(db, actor) as connection:
        keys = for_each(list(jobs), lambda job: insert(connection, job))
        return [require(connection, key) for key in keys]


def add_records(
    db: Connection, jobs: Sequence[Mapping[str, Any]], actor: str | None = None
) -> list[Record]:
    """Like `bulk_add_jobs`, returning records."""
    with acting_as(db, actor) as connection:
        keys = for_each(jobs, lambda job: insert(connection, job))
        return [get_record(connection, key) for key in keys]


def add_record(db: Connection, job: Mapping[str, Any], actor: str | None = None) -> Record:
    """Like `add_job`, returning a record."""
    with acting_as(db, actor) as connection:
        return get_record(connection, insert(connection, job))


def insert(connection: sqlite3.Connection, job: Mapping[str, Any]) -> str:
    """Store a new job and return its key."""
    document = normalized(checked(job))
    if faults := faults_in(document):
        raise Invalid(*faults)
    job_id = key_of(document) or uuid.uuid4().hex
    values = {"id": job_id, "data": to_json({**document, "id": job_id}), **instants(document)}
    with translated(f"A job {quoted(job_id)}", document):
        connection.execute(INSERT_JOB, values)
    return job_id


def write(connection: sqlite3.Connection, job_id: str, job: Mapping[str, Any]) -> None:
    """Replace the content of a stored job."""
    document = normalized(job)
    values = {"id": job_id, "data": to_json({**document, "id": job_id}), **instants(document)}
    with translated(f"A job {quoted(job_id)}", document):
        connection.execute(UPDATE_JOB, values)


def get_job(db: Connection, job_id: str) -> Job | None:
    found = query_jobs(db, FIND_JOB, {"id": job_id})
    return found[0] if found else None


def job_exists(db: Connection, job_id: str) -> bool:
    return bool(select(db, "select 1 from jobs where id = :id", {"id": job_id}))


def get_record(db: Connection, job_id: str) -> Record:
    """The job as JSON text. NotFound if there is none."""
    with reading(db) as connection:
        return to_record(find_row(connection, job_id))


def find_row(connection: sqlite3.Connection, job_id: str) -> Sequence[Any]:
    """The columns `RECORD` of a job. NotFound if there is none."""
    row: Sequence[Any] | None = connection.execute(FIND_RECORD, {"id": job_id}).fetchone()
    if row is None:
        raise NotFound(f"There is no job {quoted(job_id)}")
    return row


def to_record(row: Sequence[Any]) -> Record:
    """The record of a row of `RECORD`: times that `data` lacks are taken from the columns."""
    job_id, data, created_at, updated_at, *types = row
    if isinstance(data, bytes):
        data = data.decode(errors="replace")
    times = {"created_at": created_at, "updated_at": updated_at}
    if "null" in types:
        return Record(job_id, to_json(Job(json.loads(data), times).to_dict()))
    missing = [
        f', "{name}": {to_json(value)}'
        for (name, value), found in zip(times.items(), types, strict=True)
        if found is None and value is not None
    ]
    return Record(job_id, f"{data.rstrip()[:-1]}{''.join(missing)}}}" if missing else data)


def update_job(
    db: Connection, job_id: str, updates: Mapping[str, Any], actor: str | None = None
) -> Job | None:
    """Replace the top-level fields given and stamp `updated_at`; None if there is no such job.

    An `id` among the updates is ignored.
    """
    given = {name: value for name, value in checked(updates).items() if name != "id"}
    with acting_as(db, actor) as connection:
        if not job_exists(connection, job_id):
            return None
        change_job(connection, job_id, lambda job: {**job, **given}, actor)
        return require(connection, job_id)


def change_job(
    db: Connection,
    job_id: str,
    change: Change,
    actor: str | None = None,
    check: Check | None = None,
) -> Record:
    """Store what `change` makes of the job; `updated_at` is now unless `change` sets it.

    `check` gets the record as it is before, and raises to prevent the change.
    """
    with acting_as(db, actor) as connection:
        row = find_row(connection, job_id)
        record = to_record(row)
        if check:
            check(record)
        before = json.loads(record.text)
        document = normalized(change(before))
        if document.get("id", job_id) not in (job_id, before.get("id")):
            raise Invalid(f"id: is {quoted(job_id)} and cannot be changed")
        if faults := faults_in(document, before):
            raise Invalid(*faults)
        if document.get("updated_at") == before.get("updated_at"):
            document["updated_at"] = now()
        if row[-2] is None and document.get("created_at") == before.get("created_at"):
            document.pop("created_at", None)  # it comes from the column alone
        write(connection, job_id, document)
        return get_record(connection, job_id)


def delete_job(db: Connection, job_id: str, actor: str | None = None) -> bool:
    """Delete a job; its history stays. False if there was none."""
    with acting_as(db, actor) as connection:
        cursor = connection.execute("delete from jobs where id = :id", {"id": job_id})
        return cursor.rowcount > 0


def remove_job(
    db: Connection, job_id: str, actor: str | None = None, check: Check | None = None
) -> None:
    """Like `delete_job`, but NotFound if there is none; `check` as in `change_job`."""
    with acting_as(db, actor) as connection:
        record = get_record(connection, job_id)
        if check:
            check(record)
        delete_job(connection, job_id, actor)


def list_jobs(db: Connection, job_filter: JobFilter | None = None) -> list[Job]:
    """Jobs that match every condition, newest first unless the filter says otherwise."""
    wanted = job_filter or JobFilter()
    conditions = wanted.conditions()
    clauses = [SELECT_JOB]
    if conditions:
        tests = (PRODUCT_HOLDS if name == "product" else f"{name} = :{name}" for name in conditions)
        clauses.append("where " + " and ".join(tests))
    clauses.append(order_clause(wanted))
    clauses.append("limit :limit offset :offset")
    limit = -1 if wanted.limit is None else wanted.limit
    values = {**conditions, "limit": limit, "offset": wanted.offset}
    return query_jobs(db, "\n".join(clauses), values)


def order_clause(wanted: JobFilter) -> str:
    direction = wanted.order_dir.lower()
    if wanted.order_by not in ("id", *COLUMNS):
        raise ValueError(f'cannot order jobs by "{wanted.order_by}": it is no column')
    if direction not in ("asc", "desc"):
        raise ValueError(f'order_dir is ASC or DESC, not "{wanted.order_dir}"')
    column = "created_instant" if wanted.order_by == "created_at" else wanted.order_by
    return f"order by {column} {direction}, id"


def search_jobs(db: Connection, q: str, limit: int = 20) -> list[Job]:
    """Jobs with all words of `q` or parts of words, newest first; the best `limit` of them."""
    if not terms_of(q):
        return list_jobs(db, JobFilter(limit=limit))
    with reading(db) as connection:
        add_functions(connection)  # it may not be one of `connect`
        return query_jobs(connection, SEARCH_JOBS, {"q": q, "limit": limit})


def get_job_statistics(db: Connection) -> Statistics:
    """Counts of jobs, and of jobs by product, persona and language."""
    with reading(db) as connection:
        statistics = Statistics(select(connection, STATISTICS)[0])
        for column, sql in COUNT_BY.items():
            statistics[f"jobs_by_{column}"] = dict(connection.execute(sql).fetchall())
    return statistics


def vacuum_database(db: Connection) -> dict[str, int]:
    """Give free pages back; bytes before and after."""
    return info.vacuum(db)


def get_database_info(db: Connection) -> dict[str, Any]:
    """Path, size and rows of the file behind `db`; `size_mb` and `job_count` among them."""
    found = info.describe_open(db)
    return {**found, "size_mb": found["size"] / 1_000_000, "job_count": found["rows"]["jobs"]}


def checked(job: Mapping[str, Any]) -> dict[str, Any]:
    """The job as JSON can hold it; Invalid for what is no job at all.

    JSON is kept to the letter. Dates, bytes, sets and the like get their documented form.
    """
    if not isinstance(job, Mapping):
        raise Invalid(f"a job is a mapping, not {type(job).__name__}")
    document = dict(job)
    try:
        if not is_json(document):
            return dict(encode(document))
        check_forms(document)
    except ValueError as error:
        raise Invalid(str(error)) from error
    return document


def faults_in(document: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> list[str]:
    """What breaks a rule; of a changed job only in fields that differ from `before`."""
    former = before or {}
    faults = []
    if document.get("job_name") is None and not (before and before.get("job_name") is None):
        faults.append("jobs.job_name: a job needs a name")
    for name in [key for key in BOOLEAN_KEYS if key in document]:
        value = document[name]
        if not is_boolean(value) and value != former.get(name):
            faults.append(f"jobs.{name}: must be true or false (1 or 0){but_is(value)}")
    job_id = document.get("id")
    if isinstance(job_id, bool) or not isinstance(job_id, str | int | float | None):
        faults.append(f"jobs.id: must be text{but_is(job_id)}")
    return faults


def is_boolean(value: Any) -> bool:
    """True for booleans, 1, 0 and null."""
    return value in (None, True, False, 0, 1)


def is_json(value: Any, depth: int = 0) -> bool:
    """Could a JSON text have given this value?"""
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_json(item, depth + 1) for key, item in value.items())
    if isinstance(value, list):
        return all(is_json(item, depth + 1) for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int | bool)


def key_of(document: Mapping[str, Any]) -> str | None:
    """The job's id as text; None where it has none. Invalid if it cannot be a key."""
    job_id = document.get("id")
    if job_id is None or job_id == "":
        return None
    if isinstance(job_id, bool) or not isinstance(job_id, str | int | float):
        raise Invalid("id must be text")
    return str(job_id)


def to_json(value: Any) -> str:
    """The text for the column `data` or a part of it. Invalid for what JSON cannot hold."""
    try:
        text = ENCODER.encode(value)
        text.encode()
    except UnicodeEncodeError as error:
        raise Invalid("a text holds half of a character (a lone surrogate)") from error
    except ValueError as error:
        raise Invalid(str(error)) from error
    return text


def to_job(columns: dict[str, Any]) -> Job:
    document = json.loads(columns.pop("data"))
    document["id"] = columns["id"]
    return Job(document, columns)


def query_jobs(db: Connection, sql: str, values: Mapping[str, Any]) -> list[Job]:
    return [to_job(row) for row in select(db, sql, values)]


def iterate_documents(db: Connection) -> Iterator[dict[str, Any]]:
    """Every job's document, in the order they came in, a few in memory at a time."""
    last = -(2**63)
    while rows := next_documents(db, last):
        for _, job_id, data in rows:
            document = json.loads(data)
            document["id"] = job_id
            yield document
        last = rows[-1][0]


def next_documents(db: Connection, last: int) -> list[Any]:
    with reading(db) as connection:
        return connection.execute(NEXT_DOCUMENTS, {"last": last}).fetchall()


def require(connection: sqlite3.Connection, job_id: str) -> Job:
    job = get_job(connection, job_id)
    if job is None:
        raise ValueError(f'job "{job_id}" is gone')
    return job
