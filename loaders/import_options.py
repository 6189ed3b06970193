"""The options of an import, and the transaction that it runs in."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from loaders import backups
from loaders.conflicts import POLICIES
from loaders.connections import Connection, acting_as, connect, has_rows, main_file
from loaders.folder_lock import exclusive
from loaders.import_report import ImportReport

RowProgress = Callable[[int], None]  # called with the number of rows read since the last call


def no_progress(_rows: int) -> None:
    pass


@dataclass(frozen=True)
class ImportOptions:
    """Options of `dailies import`; ValueError for an unknown conflict policy.

    `table` and `format` are detected if None. `rename` maps columns to the fields of the files.
    `character` is whom a folder of images shows; `actor` is written to the histories. The
    database `is_backed_up` if the caller did that.
    """

    table: str | None = None
    format: str | None = None
    on_conflict: str = "skip"
    dry_run: bool = False
    actor: str | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    character: str | None = None
    progress: RowProgress = no_progress
    is_backed_up: bool = False

    def __post_init__(self) -> None:
        if self.on_conflict not in POLICIES:
            choices = ", ".join(POLICIES)
            raise ValueError(f'on-conflict must be one of {choices}, not "{self.on_conflict}"')

    @property
    def needs_backup(self) -> bool:
        return self.on_conflict == "update" and not (self.dry_run or self.is_backed_up)

    @property
    def columns(self) -> dict[str, str]:
        """Renamed fields of the files -> columns."""
        return {name: column for column, name in self.rename.items()}


DEFAULT_OPTIONS = ImportOptions()


@contextmanager
def import_transaction(
    db: Connection, tables: Iterable[str], options: ImportOptions, report: ImportReport
) -> Iterator[sqlite3.Connection]:
    """The transaction of an import into `tables`; rolled back at its end if it is a dry run.

    Before an import that may update rows, the database is backed up.
    """
    if options.needs_backup and any(has_rows(db, table) for table in tables):
        file = main_file(db)
        # SQLite never finishes a backup from a connection that has a transaction open.
        with exclusive(file.parent), closing(connect(file)) as connection:
            report.backup = str(backups.back_up(connection, file))
    with acting_as(db, options.actor, commit=not options.dry_run) as connection:
        yield connection
