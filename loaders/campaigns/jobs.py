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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any

from loaders import backups, info
from loaders.campaigns import files
from loaders.checks import shortened
from loaders.connections import Connection, acting_as, sqlite_connection
from loaders.errors import Conflict, DomainError, Invalid, NotFound, for_each, translated
from loaders.formats.json_form import MAX_DEPTH, check_forms, encode
from loaders.messages import but_is, quoted
from loaders.migrations.campaigns_projection import BROKEN_RULES, COLUMNS, TIMES
from loaders.rows import Job, Record, Statistics, Version
from loaders.times import configured_timezone, now, to_instant

Change = Callable[[dict[str, Any]], dict[str, Any]]
Check = Callable[[Record], None]

ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
BOOLEANS = (
    "enabled",
    "use_overlay",
    "useOverlay",
    "automated_video_editing_enabled",
    "useExactScript",
)
BOOLEAN_WORDS = ("", "true", "yes", "on", "1", "false", "no", "off", "0")
NOT_COPIED = ("id", "created_at", "updated_at")

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

# A job without a creation time in `data` was created when it was inserted.
FIND_VERSION = """
select
  data,
  (
    select changed_at
    from job_history as inserted
    where inserted.job_id = :id
      and inserted.operation = 'insert'
      and inserted.version <= job_history.version
    order by inserted.version desc
    limit 1
  )
from job_history
where job_id = :id
  and (:version is null or version = :version)
order by version desc
limit 1
"""

LIST_VERSIONS = """
select
  version,
  json_object(
    'version', version,
    'operation', operation,
    'actor', actor,
    'changed_at', changed_at,
    'data', json(case when json_valid(data) then data else json_quote(data) end)
  )
from job_history
where job_id = :id
  and (:before is null or version < :before)
order by version desc
limit :limit
"""

LIST_DELETED = """
select
  job_id,
  version,
  not exists (
    select 1
    from job_history as later
    where later.job_id = deleted.job_id
      and later.version > deleted.version
  )
from job_history as deleted
where id between :first and :last
  and operation = 'delete'
order by id
"""

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
    document = checked(job)
    if faults := faults_in(document):
        raise Invalid(*faults)
    job_id = key_of(document) or uuid.uuid4().hex
    with translated(f"A job {quoted(job_id)}", document):
        values = {"id": job_id, "data": to_json({**document, "id": job_id})}
        connection.execute(INSERT_JOB, values)
    return job_id


def write(connection: sqlite3.Connection, job_id: str, document: Mapping[str, Any]) -> None:
    with translated(f"A job {quoted(job_id)}", document):
        values = {"id": job_id, "data": to_json({**document, "id": job_id})}
        connection.execute(UPDATE_JOB, values)


def get_job(db: Connection, job_id: str) -> Job | None:
    cursor = sqlite_connection(db).execute(FIND_JOB, {"id": job_id})
    row = cursor.fetchone()
    return to_job(cursor, row) if row else None


def job_exists(db: Connection, job_id: str) -> bool:
    found = sqlite_connection(db).execute("select 1 from jobs where id = ?", (job_id,))
    return found.fetchone() is not None


def get_record(db: Connection, job_id: str) -> Record:
    """The job as JSON text. NotFound if there is none."""
    row = sqlite_connection(db).execute(FIND_RECORD, {"id": job_id}).fetchone()
    if row is None:
        raise NotFound(f"There is no job {quoted(job_id)}")
    return to_record(row)


def to_record(row: Sequence[Any]) -> Record:
    """The record of a row of `RECORD`: times that `data` lacks are taken from the columns."""
    job_id, data, created_at, updated_at, *types = row
    if isinstance(data, bytes):
        data = data.decode(errors="replace")
    times = {"created_at": created_at, "updated_at": updated_at}
    if "null" in types:
        return Record(job_id, to_json(Job(json.loads(data), times).to_dict()))
    missing = {
        name: value
        for (name, value), found in zip(times.items(), types, strict=True)
        if found is None and value is not None
    }
    if not missing:
        return Record(job_id, data)
    return Record(job_id, f"{data.rstrip()[:-1]}, {to_json(missing)[1:]}")


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
        record = get_record(connection, job_id)
        if check:
            check(record)
        before = json.loads(record.text)
        document = change(before)
        if document.get("id", job_id) not in (job_id, before.get("id")):
            raise Invalid(f"id: is {quoted(job_id)} and cannot be changed")
        if faults := faults_in(document, before):
            raise Invalid(*faults)
        if document.get("updated_at") == before.get("updated_at"):
            document = {**document, "updated_at": now()}
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


def duplicate_job(db: Connection, job_id: str, actor: str | None = None) -> Record:
    """Add a copy of a job, with an id of its own and "(Copy)" after its name."""
    with acting_as(db, actor) as connection:
        document = json.loads(get_record(connection, job_id).text)
        document = {name: value for name, value in document.items() if name not in NOT_COPIED}
        if isinstance(name := document.get("job_name"), str):
            document["job_name"] = f"{name} (Copy)"
        return add_record(connection, document, actor)


def list_versions(
    db: Connection, job_id: str, before: int | None = None, limit: int = -1
) -> list[Version]:
    """Versions of a job below number `before`, newest first."""
    values = {"id": job_id, "before": before, "limit": limit}
    return [Version(*row) for row in sqlite_connection(db).execute(LIST_VERSIONS, values)]


def restore_job(
    db: Connection,
    job_id: str,
    version: int | None = None,
    actor: str | None = None,
    check: Check | None = None,
) -> Record:
    """Bring back a version of a job, or, without a number, a deleted job as it last was.

    `check` gets the present record, if there is one.
    """
    with acting_as(db, actor) as connection:
        present = job_exists(connection, job_id)
        if present and check:
            check(get_record(connection, job_id))
        if present and version is None:
            message = f"The job {quoted(job_id)} is not deleted: name the version to restore"
            raise Conflict(message)
        document = {**version_document(connection, job_id, version), "updated_at": now()}
        if present:
            write(connection, job_id, document)
        else:
            insert(connection, {**document, "id": job_id})
        return get_record(connection, job_id)


def version_document(
    connection: sqlite3.Connection, job_id: str, version: int | None
) -> dict[str, Any]:
    """The content of a version, of the last one if None. NotFound if there is none."""
    row = connection.execute(FIND_VERSION, {"id": job_id, "version": version}).fetchone()
    if row is None:
        of_version = "" if version is None else f" in version {version}"
        raise NotFound(f"There was no job {quoted(job_id)}{of_version}")
    data, created_at = row
    document: dict[str, Any] = json.loads(data)
    if created_at is not None:
        document.setdefault("created_at", created_at)
    return document


def restore_deleted(
    db: Connection, first: int, last: int, actor: str | None = None
) -> tuple[int, int]:
    """Bring back the jobs deleted by the changes `first` to `last` of `job_history`.

    Jobs that were written since, or that break today's rules, stay deleted. Returns how many were
    found, and how many were brought back.
    """
    with acting_as(db, actor) as connection:
        found = connection.execute(LIST_DELETED, {"first": first, "last": last}).fetchall()
        deleted = [(job_id, version) for job_id, version, is_last in found if is_last]
        restored = [try_to_restore(connection, *one, actor) for one in deleted]
        return len(found), sum(restored)


def try_to_restore(
    connection: sqlite3.Connection, job_id: str, version: int, actor: str | None
) -> bool:
    try:
        restore_job(connection, job_id, version, actor)
    except DomainError:
        return False
    return True


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
    for name in BOOLEANS:
        value = document.get(name)
        if not is_boolean(value) and value != former.get(name):
            faults.append(f"jobs.{name}: must be true or false (1 or 0){but_is(value)}")
    job_id = document.get("id")
    if isinstance(job_id, bool) or not isinstance(job_id, str | int | float | None):
        faults.append(f"jobs.id: must be text{but_is(job_id)}")
    return faults


def is_boolean(value: Any) -> bool:
    """True for booleans, 1, 0, null and the words that forms send."""
    if isinstance(value, str):
        return value.strip(" ").lower() in BOOLEAN_WORDS
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


def to_json(document: Mapping[str, Any]) -> str:
    """The text for the column `data`. Invalid for what JSON or UTF-8 cannot hold."""
    try:
        text = ENCODER.encode(document)
        text.encode()
    except UnicodeEncodeError as error:
        raise Invalid("a text holds half of a character (a lone surrogate)") from error
    except ValueError as error:
        raise Invalid(str(error)) from error
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
