"""Campaign jobs: the Python functions of the database `campaigns`.

Every function takes `db` first: a `sqlite_utils.Database` or a `sqlite3.Connection`. A job is a
dictionary of anything JSON can hold; functions that return one return a `Job`, whose columns are
attributes too. Bad input is ValueError; a key that exists is `DuplicateKey`, which is
`sqlite3.IntegrityError` as well.
"""

from __future__ import annotations

import json
import math
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any

from loaders import backups, info
from loaders.campaigns import files
from loaders.checks import shortened
from loaders.connections import Connection, acting_as, sqlite_connection
from loaders.errors import translated
from loaders.formats.json_form import MAX_DEPTH, check_forms, encode
from loaders.migrations.campaigns_projection import BROKEN_RULES, COLUMNS, TIMES
from loaders.rows import Job, Statistics
from loaders.times import configured_timezone, now, to_instant

ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)

SELECT_JOB = f"select id, {', '.join(COLUMNS)}, data from jobs"  # noqa: S608

FIND_JOB = f"{SELECT_JOB} where id = :id"

INSERT_JOB = "insert into jobs (id, data) values (:id, :data)"

UPDATE_JOB = """
update jobs
set data = :data
where id = :id
"""

SEARCH_JOBS = f"""
{SELECT_JOB}
where rowid in (
    select rowid
    from jobs_fts
    where jobs_fts match :query
    order by rank
    limit :limit
  )
order by created_at desc, id
"""  # noqa: S608

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
    """Which jobs `list_jobs` returns; a field left None does not filter."""

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
    document = checked(job)
    job_id = key_of(document) or uuid.uuid4().hex
    values = {"id": job_id, "data": to_json({**document, "id": job_id})}
    with acting_as(db, actor) as connection:
        with translated(f'job "{job_id}"', document):
            connection.execute(INSERT_JOB, values)
        return require(connection, job_id)


def bulk_add_jobs(
    db: Connection, jobs: Iterable[Mapping[str, Any]], actor: str | None = None
) -> list[Job]:
    """Store new jobs, all or none."""
    with acting_as(db, actor) as connection:
        return [add_job(connection, job, actor) for job in jobs]


def get_job(db: Connection, job_id: str) -> Job | None:
    cursor = sqlite_connection(db).execute(FIND_JOB, {"id": job_id})
    row = cursor.fetchone()
    return to_job(cursor, row) if row else None


def job_exists(db: Connection, job_id: str) -> bool:
    found = sqlite_connection(db).execute("select 1 from jobs where id = ?", (job_id,))
    return found.fetchone() is not None


def update_job(
    db: Connection, job_id: str, updates: Mapping[str, Any], actor: str | None = None
) -> Job | None:
    """Replace the top-level fields given and stamp `updated_at`; None if there is no such job.

    The key stays what it is, whatever `updates` says of it.
    """
    changes = checked(updates)
    with acting_as(db, actor) as connection:
        job = get_job(connection, job_id)
        if job is None:
            return None
        document = {**job, "updated_at": now(), **changes, "id": job["id"]}
        with translated(f'job "{job_id}"', document):
            connection.execute(UPDATE_JOB, {"id": job_id, "data": to_json(document)})
        return require(connection, job_id)


def delete_job(db: Connection, job_id: str, actor: str | None = None) -> bool:
    """Remove a job; its history stays. False if there was none."""
    with acting_as(db, actor) as connection:
        cursor = connection.execute("delete from jobs where id = :id", {"id": job_id})
        return cursor.rowcount > 0


def list_jobs(db: Connection, job_filter: JobFilter | None = None) -> list[Job]:
    """Jobs that match every condition, newest first unless the filter says otherwise."""
    wanted = job_filter or JobFilter()
    conditions = wanted.conditions()
    clauses = [SELECT_JOB]
    if conditions:
        clauses.append("where " + " and ".join(f"{name} = :{name}" for name in conditions))
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
    return f"order by {wanted.order_by} {direction}, id"


def search_jobs(db: Connection, q: str, limit: int = 20) -> list[Job]:
    """Jobs in which every word of `q` occurs, newest first; the best `limit` of them."""
    words = q.replace("\0", " ").split()
    if not words:
        return list_jobs(db, JobFilter(limit=limit))
    query = " ".join('"' + word.replace('"', '""') + '"' for word in words)
    return query_jobs(db, SEARCH_JOBS, {"query": query, "limit": limit})


def get_job_statistics(db: Connection) -> Statistics:
    """Counts of jobs, and of jobs by product, persona and language."""
    connection = sqlite_connection(db)
    cursor = connection.execute(STATISTICS)
    names = [column for column, *_ in cursor.description]
    statistics = Statistics(zip(names, cursor.fetchone(), strict=True))
    for column, sql in COUNT_BY.items():
        statistics[f"jobs_by_{column}"] = dict(connection.execute(sql).fetchall())
    return statistics


def migrate_from_yaml(
    db: Connection, path: str | Path, create_backup: bool = True
) -> dict[str, Any]:
    """Import a campaigns file or folder of the earlier system; `create_backup` copies it first."""
    source = Path(path)
    backup = backups.copy_beside(source) if create_backup else None
    report = files.import_jobs(db, [source])
    return {
        "success": report.ok,
        "jobs_found": report.found,
        "jobs_migrated": report.imported,
        "jobs_skipped": report.skipped,
        "jobs_failed": report.failed,
        "errors": report.errors,
        "backup_path": str(backup) if backup else None,
    }


def export_to_yaml(db: Connection, path: str | Path, create_backup: bool = True) -> dict[str, Any]:
    """Write every job to a YAML file; one that is there is backed up, never overwritten."""
    target = Path(path)
    if target.exists() and not create_backup:
        raise ValueError(f"{target} exists, and without a backup it would be lost")
    exported = files.export_jobs(db, target, "yaml")
    return {
        "success": True,
        "jobs_exported": exported.rows,
        "path": str(target),
        "backup_path": exported.backup,
    }


def verify_migration(db: Connection, path: str | Path) -> dict[str, Any]:
    """Compare a campaigns file or folder with the database, deeply."""
    comparison = files.verify_jobs(db, [Path(path)])
    return {
        "success": comparison.ok,
        "missing_in_db": comparison.missing,
        "extra_in_db": comparison.extra,
        "different": comparison.different,
        "errors": comparison.errors,
    }


def vacuum_database(db: Connection) -> dict[str, int]:
    """Give free pages back; bytes before and after."""
    return info.vacuum(db)


def get_database_info(db: Connection) -> dict[str, Any]:
    """Path, size and rows of the file behind `db`; `size_mb` and `job_count` among them."""
    found = info.describe_open(db)
    return {**found, "size_mb": found["size"] / 1_000_000, "job_count": found["rows"]["jobs"]}


def checked(job: Mapping[str, Any]) -> dict[str, Any]:
    """The job as JSON can hold it; ValueError for what is no job at all.

    JSON is kept to the letter. Dates, bytes, sets and the like get their documented form.
    """
    if not isinstance(job, Mapping):
        raise ValueError(f"a job is a mapping, not {type(job).__name__}")
    document = dict(job)
    if not is_json(document):
        return dict(encode(document))
    check_forms(document)
    return document


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
    """The job's id as text; None where it has none. ValueError if it cannot be a key."""
    job_id = document.get("id")
    if job_id is None or job_id == "":
        return None
    if isinstance(job_id, bool) or not isinstance(job_id, str | int | float):
        raise ValueError("id must be text")
    return str(job_id)


def to_json(document: Mapping[str, Any]) -> str:
    """The text that `data` holds. ValueError for what JSON or UTF-8 cannot hold."""
    text = ENCODER.encode(document)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("a text holds half of a character (a lone surrogate)") from error
    return text


def to_job(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> Job:
    columns = dict(zip((name for name, *_ in cursor.description), row, strict=True))
    document = json.loads(columns.pop("data"))
    document["id"] = columns["id"]
    return Job(document, columns)


def query_jobs(db: Connection, sql: str, values: Mapping[str, Any]) -> list[Job]:
    cursor = sqlite_connection(db).execute(sql, dict(values))
    return [to_job(cursor, row) for row in cursor]


def iterate_documents(db: Connection) -> Iterator[dict[str, Any]]:
    """Every job's document, in the order they came in, one in memory at a time."""
    rows = sqlite_connection(db).execute("select id, data from jobs order by rowid")
    for job_id, data in rows:
        document = json.loads(data)
        document["id"] = job_id
        yield document


def require(connection: sqlite3.Connection, job_id: str) -> Job:
    job = get_job(connection, job_id)
    if job is None:
        raise ValueError(f'job "{job_id}" is gone')
    return job


def check(connection: sqlite3.Connection) -> Iterator[str]:
    """Jobs whose columns do not follow their `data`, and old ones that break today's rules."""
    for column in COLUMNS:
        ids = drifted_jobs(connection, column)
        if ids:
            yield f"jobs.{column} does not agree with data: {shortened(ids)}"
    for column, (broken, rule) in BROKEN_RULES.items():
        found = connection.execute(f"select id from jobs where {broken}")  # noqa: S608
        ids = [str(job_id) for (job_id,) in found]
        if ids:
            yield f"jobs.{column} {rule}: {shortened(ids)}"


def drifted_jobs(connection: sqlite3.Connection, column: str) -> list[str]:
    """Ids of jobs whose column differs from what `data` says; times may differ in spelling."""
    said = f"jobs.data ->> '$.{column}'"
    rows = connection.execute(
        f"""
        select jobs.id, jobs.{column}, {said}
        from jobs
        join jobs_projection on jobs_projection.job_rowid = jobs.rowid
        where jobs.{column} is not jobs_projection.{column}
        """  # noqa: S608
    )
    if column not in TIMES:
        return [str(job_id) for job_id, _, _ in rows]
    zone = configured_timezone()
    return [
        str(job_id)
        for job_id, stored, text in rows
        if text is not None and not same_instant(str(stored), str(text), zone)
    ]


def same_instant(one: str, other: str, zone: tzinfo) -> bool:
    """Do both texts name one instant, be a text without a zone meant in `zone` or in UTC?"""
    return any(
        to_instant(one, first) == to_instant(other, second)
        for first in (zone, UTC)
        for second in (zone, UTC)
    )
