"""Import jobs of a file in batches, each in a short transaction: other writers need not wait long.

`dailies import` stores a file in one transaction instead.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import tzinfo
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from loaders.campaigns.files import TEXT_FIELDS, Entry, Import, canonical, to_entry
from loaders.campaigns.normal_form import UPDATE_JOB
from loaders.conflicts import GIVEN_TWICE
from loaders.connections import acting_as
from loaders.errors import Invalid
from loaders.formats.files import read
from loaders.formats.record import FileRecord
from loaders.import_report import ImportReport, OtherLists, unknown_lists
from loaders.times import configured_timezone

BATCH = 50
BATCH_SECONDS = 0.1  # of a transaction
MAX_JOBS = 20_000
MAX_ROWID = 2**63 - 1

Written = tuple[Entry, dict[str, Any] | None]  # a job, and what was stored before


class RolledBack(Exception):
    """Raised at the end of a dry run's transaction, to roll it back."""


@dataclass
class BatchImport(Import):
    """Stores the jobs of one batch; `given` has a digest of each job of the file so far.

    The rows of earlier batches are rolled back if this is a dry run.
    """

    given: dict[str, bytes] = field(default_factory=dict)
    written: list[Written] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cursor = self.connection.cursor()
        self.last_row = MAX_ROWID  # `given` finds what is repeated

    def note_found(self, rowid: int) -> bool:
        return rowid <= self.last_row

    def store(self, entry: Entry) -> None:
        digest = sha256(canonical(entry.job).encode("utf-8", "surrogatepass")).digest()
        if entry.job_id in self.given:
            self.compare_with_given(entry, digest)
            return
        failed = self.report.failed
        super().store(entry)
        if self.report.failed == failed:
            self.given[entry.job_id] = digest

    def compare_with_given(self, entry: Entry, digest: bytes) -> None:
        if self.given[entry.job_id] == digest:
            self.report.skipped += 1
        else:
            self.report.fail(*entry.origin, GIVEN_TWICE)

    def write(self, sql: str, entry: Entry) -> int:
        before = None
        if sql == UPDATE_JOB:
            [text] = self.connection.execute(
                "select data from jobs where id = :id", {"id": entry.job_id}
            ).fetchone()
            before = json.loads(text)
        number = super().write(sql, entry)
        self.written.append((entry, before))
        return number


@dataclass
class FileImport:
    """The import of one file: `take` reads jobs, `store` writes them, until `take` has no more."""

    path: Path
    format: str | None
    on_conflict: str
    actor: str | None
    dry_run: bool = False
    report: ImportReport = field(default_factory=ImportReport)
    others: OtherLists = field(default_factory=dict)
    given: dict[str, bytes] = field(default_factory=dict)
    records: Iterator[FileRecord] | None = None
    zone: tzinfo = field(default_factory=configured_timezone)

    def take(self) -> deque[Entry]:
        """The next jobs; none at the end of the file. Broken ones are in the report.

        Raises ValueError if the file cannot be read at all, and Invalid if it has too many jobs.
        """
        if self.records is None:
            others = self.others.setdefault(self.path, [])
            self.records = iter(read(self.path, self.format, TEXT_FIELDS, others=others))
        entries: deque[Entry] = deque()
        while not entries and (records := list(islice(self.records, BATCH))):
            self.report.found += len(records)
            if self.report.found > MAX_JOBS:
                raise Invalid(f"The file has more than {MAX_JOBS:,} jobs: use `dailies import`")
            found = (to_entry(record, self.report, self.zone) for record in records)
            entries.extend(filter(None, found))
        if not entries:
            self.report.fail_all(unknown_lists(self.others, "campaigns", ["jobs"]))
        return entries

    def store(
        self, connection: sqlite3.Connection, entries: deque[Entry]
    ) -> tuple[BatchImport, int]:
        """Store the first of `entries`; how many of them. RolledBack, with that, in a dry run."""
        with acting_as(connection, self.actor):
            batch = BatchImport(
                connection, self.on_conflict, ImportReport(), is_bulk=False, given=dict(self.given)
            )
            end = time.monotonic() + BATCH_SECONDS
            number = 0
            while number < len(entries) and (number == 0 or time.monotonic() < end):
                batch.store(entries[number])
                number += 1
            if self.dry_run:
                raise RolledBack(batch, number)
            return batch, number

    def finish(self, batch: BatchImport, entries: deque[Entry], number: int) -> list[Written]:
        """Count a batch whose transaction has ended."""
        for _ in range(number):
            entries.popleft()
        self.report.add(batch.report)
        self.given = batch.given
        return batch.written
