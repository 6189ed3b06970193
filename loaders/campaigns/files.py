"""Campaign jobs from files and to files: bulk import, export, and the comparison of both.

An import writes in one transaction. New jobs go in by the batch, past the triggers: each statement
here does for a batch what `jobs_fts_insert` does for one row.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

from loaders.campaigns import jobs
from loaders.campaigns.diff import Comparison, differences
from loaders.conflicts import GIVEN_TWICE, resolve_conflict
from loaders.connections import Connection, bulk_cache, sqlite_connection
from loaders.errors import translated, with_value
from loaders.formats.atomic_write import ExportReport, write_export
from loaders.formats.files import read
from loaders.formats.record import Record
from loaders.import_options import (
    DEFAULT_OPTIONS,
    ImportOptions,
    RowProgress,
    import_transaction,
)
from loaders.import_report import ImportReport, Origin
from loaders.migrations.campaigns import CREATE_HISTORY_INDEX, create_job_indexes, drop_job_indexes
from loaders.migrations.campaigns_counts import count_jobs
from loaders.migrations.campaigns_projection import (
    BROKEN_RULES,
    COLUMNS,
    FIELDS,
    SEARCHED,
    TIMES,
    WITHOUT_NUL,
    projection_of,
)
from loaders.migrations.campaigns_triggers import create_job_triggers, drop_job_triggers
from loaders.times import NOW_SQL, configured_timezone, to_instant

TEXT_FIELDS = frozenset(
    {"id"} | {key for f in FIELDS if f.kind in ("text", "time") for key in f.keys}
)
BATCH_ROWS = 2_000
BATCH_BYTES = 4_000_000

INSERT = """
insert or ignore into jobs (id, data, {columns})
select :id, {document}, {projection}
from (select :data as {document})
"""
INSERT_BATCH, INSERT_BATCH_WITH_NUL = (
    INSERT.format(columns=", ".join(COLUMNS), document=document, projection=projection_of(document))
    for document in (WITHOUT_NUL, "document_with_nul")
)
NUL = "\\u0000"  # as JSON spells it

FIND_BATCH = """
select id, rowid, data
from jobs
where id in (select value from json_each(:ids))
"""

INDEX_BATCH = f"""
insert into jobs_fts (rowid, {", ".join(SEARCHED)})
select rowid, {", ".join(SEARCHED)}
from jobs
where rowid > :last
"""  # noqa: S608

LOG_BATCH = f"""
insert into job_history (job_id, version, operation, actor, changed_at, data)
select
  id,
  {{version}},
  'insert',
  (select actor from write_context),
  {NOW_SQL},
  data
from jobs
where rowid > :last
order by rowid
"""  # noqa: S608

NEXT_VERSION = "coalesce((select max(version) from job_history where job_id = jobs.id), 0) + 1"

SET_TIME = {
    column: f"update jobs set {column} = :at where id = :id"  # noqa: S608
    for column in TIMES
}

REFUSE_BATCH = {
    column: f"""
delete from jobs
where rowid > :last
  and {broken}
returning id
"""  # noqa: S608
    for column, (broken, _) in BROKEN_RULES.items()
}


@dataclass
class Entry:
    """A job on its way in."""

    record: Record
    job_id: str
    data: str


def import_jobs(
    db: Connection,
    paths: Iterable[Path],
    options: ImportOptions = DEFAULT_OPTIONS,
) -> ImportReport:
    """Load jobs from files and folders; each is counted in the report."""
    columns = options.columns
    texts = TEXT_FIELDS | {name for name, column in columns.items() if column in TEXT_FIELDS}
    records = (
        renamed(record, columns)
        for path in paths
        for record in read(path, options.format, text_fields=texts)
    )
    return load(db, records, options)


def renamed(record: Record, columns: Mapping[str, str]) -> Record:
    """The record with the fields that `columns` maps under their column's name."""
    if not columns or record.value is None:
        return record
    return record._replace(
        value={columns.get(name, name): value for name, value in record.value.items()}
    )


def load(
    db: Connection,
    records: Iterable[Record],
    options: ImportOptions = DEFAULT_OPTIONS,
) -> ImportReport:
    """Store the jobs of `records` in one transaction."""
    report = ImportReport()
    with (
        bulk_cache(sqlite_connection(db)),
        import_transaction(db, "jobs", options, report) as connection,
    ):
        loading = Loading(connection, options.on_conflict, report)
        for batch in batches(records, report, options.progress):
            loading.store(batch)
        loading.finish()
    return report


def batches(
    records: Iterable[Record], report: ImportReport, progress: RowProgress
) -> Iterator[list[Entry]]:
    """Jobs fit to be stored, some at a time; the others are reported as they pass."""
    batch: list[Entry] = []
    size = 0
    for record in records:
        report.found += 1
        progress(1)
        entry = to_entry(record, report)
        if entry is None:
            continue
        batch.append(entry)
        size += len(entry.data)
        if len(batch) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def to_entry(record: Record, report: ImportReport) -> Entry | None:
    if record.value is None:
        report.fail(record.source, record.position, None, record.error or "cannot be read")
        return None
    try:
        job_id = jobs.key_of(record.value)
        if job_id is None:
            job_id = derived_id(record.value)
        if record.value.get("id") != job_id:
            record.value["id"] = job_id
        return Entry(record, job_id, jobs.to_json(record.value))
    except ValueError as error:
        report.fail(record.source, record.position, None, str(error))
        return None


def derived_id(job: dict[str, Any]) -> str:
    """An id that the same content always gets, so that a second import adds nothing."""
    content = {key: value for key, value in job.items() if key != "id"}
    return hashlib.sha256(canonical(content).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def canonical(value: Any) -> str:
    """JSON text that is equal exactly when the content is, types included."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


class Loading:
    """One import at work: what it writes to, and which jobs it has met before."""

    def __init__(
        self, connection: sqlite3.Connection, on_conflict: str, report: ImportReport
    ) -> None:
        self.connection = connection
        self.on_conflict = on_conflict
        self.report = report
        self.zone = configured_timezone()
        self.first_row = self.last_row()
        self.met: set[str] = set()
        self.fresh = self.first_row == 0 and self.history_is_empty()
        if self.fresh:
            drop_job_triggers(connection)
            drop_job_indexes(connection)
            connection.execute("drop index idx_job_history_job_id_version")

    def last_row(self) -> int:
        row = self.connection.execute("select coalesce(max(rowid), 0) from jobs").fetchone()
        return int(row[0])

    def history_is_empty(self) -> bool:
        return self.connection.execute("select 1 from job_history limit 1").fetchone() is None

    def finish(self) -> None:
        if self.fresh:
            count_jobs(self.connection)
            create_job_indexes(self.connection)
            self.connection.execute(CREATE_HISTORY_INDEX)
            create_job_triggers(self.connection)

    def store(self, batch: list[Entry]) -> None:
        stored = {} if self.fresh else self.find(batch)
        fresh: dict[str, Entry] = {}
        later: list[Entry] = []
        for entry in batch:
            if entry.job_id in stored or entry.job_id in fresh:
                later.append(entry)
            else:
                fresh[entry.job_id] = entry
        later = self.insert(fresh) + later
        stored |= self.find(later)
        for entry in later:
            self.meet_again(entry, *stored.get(entry.job_id, (None, "")))

    def find(self, entries: list[Entry]) -> dict[str, tuple[int, str]]:
        """Row number and `data` of those that are stored."""
        if not entries:
            return {}
        ids = json.dumps([entry.job_id for entry in entries])
        rows = self.connection.execute(FIND_BATCH, {"ids": ids})
        return {job_id: (rowid, data) for job_id, rowid, data in rows}

    def insert(self, entries: dict[str, Entry]) -> list[Entry]:
        """Store new jobs. Those whose id is taken after all come back."""
        last = {"last": self.last_row()}
        self.connection.execute("update write_context set paused = 2")
        with_nul = any(NUL in entry.data for entry in entries.values())
        self.connection.executemany(
            INSERT_BATCH_WITH_NUL if with_nul else INSERT_BATCH,
            [{"id": entry.job_id, "data": entry.data} for entry in entries.values()],
        )
        taken = self.taken(entries, last["last"])
        self.refuse(entries, last)
        self.set_times(entries)
        self.connection.execute(INDEX_BATCH, last)
        version = "1" if self.fresh else NEXT_VERSION
        self.connection.execute(LOG_BATCH.format(version=version), last)
        if not self.fresh:
            count_jobs(self.connection, last["last"])
        self.connection.execute("update write_context set paused = 0")
        self.report.imported += len(entries)
        return taken

    def taken(self, entries: dict[str, Entry], last: int) -> list[Entry]:
        """Take out the jobs that an earlier one of the same id kept from being stored."""
        if self.last_row() - last == len(entries):
            return []
        stored = self.find(list(entries.values()))
        return [entries.pop(job_id) for job_id, (row, _) in stored.items() if row <= last]

    def refuse(self, entries: dict[str, Entry], last: dict[str, int]) -> None:
        """Take back those that break a rule."""
        for column, sql in REFUSE_BATCH.items():
            for (job_id,) in self.connection.execute(sql, last).fetchall():
                entry = entries.pop(job_id)
                rule = f"jobs.{column}: {BROKEN_RULES[column][1]}"
                self.fail(entry, with_value(rule, entry.record.value or {}))

    def set_times(self, entries: dict[str, Entry]) -> None:
        """Times without a zone are of the configured one; SQL took them for UTC."""
        if self.zone is UTC:
            return
        for job_id, entry in entries.items():
            job = entry.record.value or {}
            for column in TIMES:
                text = job.get(column)
                if isinstance(text, str):
                    self.connection.execute(
                        SET_TIME[column], {"at": to_instant(text, self.zone), "id": job_id}
                    )

    def meet_again(self, entry: Entry, row: int | None, data: str) -> None:
        """A job whose id is taken: by this import's own earlier job, or by one stored before."""
        if row is None:  # the earlier one was refused
            self.insert({entry.job_id: entry})
        elif canonical(json.loads(data)) == canonical(entry.record.value):
            self.report.skipped += 1
        elif row > self.first_row or entry.job_id in self.met:
            self.fail(entry, GIVEN_TWICE)
        else:
            resolve_conflict(
                self.on_conflict, self.report, origin_of(entry), lambda: self.update(entry)
            )
        self.met.add(entry.job_id)

    def update(self, entry: Entry) -> None:
        with translated(f'job "{entry.job_id}"', entry.record.value):
            self.connection.execute(jobs.UPDATE_JOB, {"id": entry.job_id, "data": entry.data})

    def fail(self, entry: Entry, reason: str) -> None:
        self.report.fail(*origin_of(entry), reason)


def origin_of(entry: Entry) -> Origin:
    return Origin(entry.record.source, entry.record.position, entry.job_id)


def export_jobs(db: Connection, path: Path, format: str | None = None) -> ExportReport:
    """Write every job to a file, or to a folder of one YAML file a job (no suffix)."""
    return write_export(path, jobs.iterate_documents(db), format, "jobs", TEXT_FIELDS)


def verify_jobs(db: Connection, paths: Iterable[Path], format: str | None = None) -> Comparison:
    """Compare files with the database: what is missing here, extra here, or different and where."""
    comparison = Comparison()
    seen: set[str] = set()
    records = (record for path in paths for record in read(path, format, text_fields=TEXT_FIELDS))
    report = ImportReport()
    for record in records:
        comparison.found += 1
        entry = to_entry(record, report)
        if entry is not None:
            compare(db, entry, comparison, seen)
    comparison.errors = report.errors
    stored = sqlite_connection(db).execute("select id from jobs order by rowid")
    comparison.extra = [job_id for (job_id,) in stored if job_id not in seen]
    return comparison


def compare(db: Connection, entry: Entry, comparison: Comparison, seen: set[str]) -> None:
    seen.add(entry.job_id)
    job = jobs.get_job(db, entry.job_id)
    if job is None:
        comparison.missing.append(entry.job_id)
        return
    paths = list(differences(entry.record.value, dict(job)))
    if paths:
        comparison.different.append({"id": entry.job_id, "paths": paths})
