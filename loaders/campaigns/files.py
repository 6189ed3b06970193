"""Campaign jobs from files and to files: import, export, and the comparison of both."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import tzinfo
from itertools import chain, islice
from pathlib import Path
from typing import Any

from loaders import backups
from loaders.campaigns import bulk_load, jobs
from loaders.campaigns.diff import differences
from loaders.campaigns.normal_form import (
    BOOLEAN_KEYS,
    FIELDS,
    INSERT_JOB,
    UPDATE_JOB,
    instants,
    normalized,
)
from loaders.comparison import Comparison
from loaders.conflicts import GIVEN_TWICE, resolve_conflict
from loaders.connections import Connection, bulk_cache, has_rows, snapshot
from loaders.errors import Invalid, translated
from loaders.formats.atomic_write import ExportReport, write_export
from loaders.formats.csv import Cells
from loaders.formats.files import read
from loaders.formats.record import FileRecord
from loaders.import_options import DEFAULT_OPTIONS, ImportOptions, import_transaction
from loaders.import_report import ImportReport, Origin, OtherLists, unknown_lists
from loaders.rows import select
from loaders.times import configured_timezone

TEXT_FIELDS = frozenset({"id"} | {key for f in FIELDS if f.kind != "boolean" for key in f.keys})
FIND_JOB = "select rowid, data from jobs where id = :id"
FEW = 200  # jobs, which a table with jobs takes through its triggers


@dataclass
class Entry:
    """A job of a file: its content for `data`, and the instants for its time columns."""

    origin: Origin
    job_id: str
    job: dict[str, Any]
    times: dict[str, str | None]
    text: str = ""  # the content as JSON, while it is stored

    def values(self) -> dict[str, str | None]:
        """Parameters of INSERT_JOB and UPDATE_JOB."""
        return {"id": self.job_id, "data": self.text, **self.times}


def import_jobs(
    db: Connection,
    paths: Iterable[Path],
    options: ImportOptions = DEFAULT_OPTIONS,
) -> ImportReport:
    """Load jobs from files and folders; each is counted in the report."""
    columns = options.columns
    texts = TEXT_FIELDS | {name for name, column in columns.items() if column in TEXT_FIELDS}
    others: OtherLists = {}
    records = (
        renamed(record, columns)
        for path in paths
        for record in read(
            path, options.format, text_fields=texts, others=others.setdefault(path, [])
        )
    )
    report = load(db, records, options)
    report.other_lists = others
    return report


def renamed(record: FileRecord, columns: Mapping[str, str]) -> FileRecord:
    """The record with the fields that `columns` maps under their column's name."""
    if not columns or record.value is None:
        return record
    return record._replace(
        value={columns.get(name, name): value for name, value in record.value.items()}
    )


def load(
    db: Connection,
    records: Iterable[FileRecord],
    options: ImportOptions = DEFAULT_OPTIONS,
) -> ImportReport:
    """Store the jobs of `records` in one transaction."""
    report = ImportReport()
    zone = configured_timezone()
    with (
        bulk_cache(db),
        import_transaction(db, ["jobs"], options, report) as connection,
    ):
        source = iter(records)
        first = list(islice(source, FEW))
        is_many = len(first) == FEW or not has_rows(connection, "jobs")
        is_bulk = is_many and bulk_load.is_possible(connection)
        target = Import(connection, options.on_conflict, report, is_bulk)
        with bulk_load.without_triggers(connection, options.actor) if is_bulk else nullcontext():
            for record in chain(first, source):
                report.found += 1
                options.progress(1)
                if entry := to_entry(record, report, zone):
                    target.store(entry)
        target.close()
    return report


def to_entry(record: FileRecord, report: ImportReport, zone: tzinfo) -> Entry | None:
    """The job of a record. If it has none, that is an error of the report."""
    if record.value is None:
        report.fail(record.source, record.position, None, record.error or "cannot be read")
        return None
    try:
        job = normalized(record.value)
        job_id = jobs.key_of(job)
        if job_id is None:
            job_id = derived_id(job)
        if job.get("id") != job_id:
            job["id"] = job_id
        times = instants(job, zone)
    except ValueError as error:
        report.fail(record.source, record.position, None, str(error))
        return None
    return Entry(Origin(record.source, record.position, job_id), job_id, job, times)


def derived_id(job: dict[str, Any]) -> str:
    """An id that the same content always gets, so that a second import adds nothing."""
    content = {key: value for key, value in job.items() if key != "id"}
    return hashlib.sha256(canonical(content).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def canonical(value: Any) -> str:
    """JSON text that is equal exactly when the content is, types included."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


@dataclass
class Import:
    """Stores jobs; remembers which of those stored before the import it has found in its files."""

    connection: sqlite3.Connection
    on_conflict: str
    report: ImportReport
    is_bulk: bool
    cursor: sqlite3.Cursor = field(init=False)  # one for all jobs, which is faster
    last_row: int = field(init=False)  # before the import

    def __post_init__(self) -> None:
        self.cursor = self.connection.cursor()
        last = self.connection.execute("select coalesce(max(rowid), 0) from jobs").fetchone()
        self.last_row = last[0]
        self.connection.execute("create temp table found_jobs (job_rowid INTEGER PRIMARY KEY)")

    def close(self) -> None:
        self.connection.execute("drop table temp.found_jobs")

    def store(self, entry: Entry) -> None:
        """Insert, update or skip a job, or report why it cannot be stored."""
        try:
            entry.text = jobs.to_json(entry.job)
            if self.inserted(entry):
                self.report.imported += 1
            else:
                self.compare(entry, *self.find(entry))
        except ValueError as error:
            self.report.fail(*entry.origin, str(error))

    def find(self, entry: Entry) -> Sequence[Any]:
        """Rowid and data of the stored job; empty if there is none."""
        return self.cursor.execute(FIND_JOB, {"id": entry.job_id}).fetchone() or ()

    def inserted(self, entry: Entry) -> bool:
        """False if the job is stored already."""
        faults = jobs.faults_in(entry.job)
        if (faults or not self.is_bulk) and self.find(entry):
            return False
        if faults:
            raise Invalid(*faults)
        return self.write(bulk_load.INSERT_JOB if self.is_bulk else INSERT_JOB, entry) > 0

    def write(self, sql: str, entry: Entry) -> int:
        """The number of rows written."""
        try:
            return self.cursor.execute(sql, entry.values()).rowcount
        except sqlite3.Error:
            with translated(f'job "{entry.job_id}"', entry.job):
                raise

    def compare(self, entry: Entry, rowid: int, data: str) -> None:
        """Skip a job that is stored already; if its content differs, apply the conflict policy."""
        is_repeated = rowid > self.last_row or not self.note_found(rowid)
        if data == entry.text or canonical(json.loads(data)) == canonical(entry.job):
            self.report.skipped += 1
        elif is_repeated:
            self.report.fail(*entry.origin, GIVEN_TWICE)
        else:
            resolve_conflict(
                self.on_conflict, self.report, entry.origin, lambda: self.write(UPDATE_JOB, entry)
            )

    def note_found(self, rowid: int) -> bool:
        """False if the files held the stored job before."""
        sql = "insert or ignore into temp.found_jobs values (?)"
        return self.cursor.execute(sql, (rowid,)).rowcount > 0


def export_jobs(db: Connection, path: Path, format: str | None = None) -> ExportReport:
    """Write every job to a file, or to a folder of one YAML file a job (no suffix)."""
    with snapshot(db) as connection:
        documents = jobs.iterate_documents(connection)
        cells = Cells(defaults=None, plain=frozenset(BOOLEAN_KEYS))
        return write_export(path, documents, format, "jobs", TEXT_FIELDS, cells, summary)


def summary(job: Mapping[str, Any]) -> dict[str, Any]:
    """What earlier programs list of a job."""
    return {
        "job_name": job.get("job_name") or "",
        "product": job.get("product") or "",
        "created_at": job.get("created_at") or "",
        "enabled": job.get("enabled", True),
    }


def verify_jobs(db: Connection, paths: Iterable[Path], format: str | None = None) -> Comparison:
    """Compare files with the database: what is missing here, extra here, or different and where."""
    with snapshot(db) as connection:
        return compare_all(connection, paths, format)


def compare_all(
    connection: sqlite3.Connection, paths: Iterable[Path], format: str | None
) -> Comparison:
    comparison = Comparison()
    seen: set[str] = set()
    others = comparison.other_lists
    records = (
        record
        for path in paths
        for record in read(path, format, TEXT_FIELDS, others=others.setdefault(path, []))
    )
    report = ImportReport()
    zone = configured_timezone()
    for record in records:
        comparison.found += 1
        entry = to_entry(record, report, zone)
        if entry is not None:
            compare(connection, entry, comparison, seen)
    comparison.errors = report.errors
    stored = select(connection, "select id from jobs order by rowid")
    comparison.extra = [row["id"] for row in stored if row["id"] not in seen]
    return comparison


def compare(
    connection: sqlite3.Connection, entry: Entry, comparison: Comparison, seen: set[str]
) -> None:
    seen.add(entry.job_id)
    job = jobs.get_job(connection, entry.job_id)
    if job is None:
        comparison.missing.append(entry.job_id)
        return
    paths = list(differences(entry.job, dict(job)))
    if paths:
        comparison.different.append({"id": entry.job_id, "paths": paths})


def migrate_from_yaml(
    db: Connection, path: str | Path, create_backup: bool = True
) -> dict[str, Any]:
    """Import a campaigns file or folder of the earlier system; `create_backup` copies it first."""
    source = Path(path)
    backup = backups.copy_beside(source) if create_backup else None
    report = import_jobs(db, [source])
    report.fail_all(unknown_lists(report.other_lists, "campaigns", ["jobs"]))
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
    exported = export_jobs(db, target, "yaml")
    return {
        "success": True,
        "jobs_exported": exported.rows,
        "path": str(target),
        "backup_path": exported.backup,
    }


def verify_migration(db: Connection, path: str | Path) -> dict[str, Any]:
    """Compare a campaigns file or folder with the database, deeply."""
    comparison = verify_jobs(db, [Path(path)])
    return {
        "success": comparison.ok,
        "missing_in_db": comparison.missing,
        "extra_in_db": comparison.extra,
        "different": comparison.different,
        "errors": comparison.errors,
    }
