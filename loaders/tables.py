"""Imports, exports and verifies the rows of any table, which are plain columns and values.

Constraints and triggers apply as to every other writer.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from loaders import derived
from loaders.comparison import Comparison
from loaders.conflicts import resolve_conflict
from loaders.connections import Connection, bulk_cache, quoted, reading, snapshot
from loaders.errors import translated
from loaders.formats.atomic_write import ExportReport, write_export
from loaders.formats.csv import Cells
from loaders.formats.files import read
from loaders.formats.json_form import decode, encode, is_form
from loaders.formats.record import FileRecord
from loaders.import_options import DEFAULT_OPTIONS, ImportOptions, import_transaction
from loaders.import_report import ImportReport, Origin, OtherLists
from loaders.registry import database_spec
from loaders.rows import dictionaries, select
from loaders.times import configured_timezone, to_instant


class Table:
    """A table with its columns, and the keys that identify a row: primary and unique ones."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self.connection = connection
        self.name = name
        info = connection.execute(
            "select name, type, pk, dflt_value from pragma_table_info(:name)", {"name": name}
        ).fetchall()
        self.types = {column: kind.upper() for column, kind, *_ in info}
        self.primary_key = [column for column, _, place, _ in sorted(info, key=place_of) if place]
        self.keys = [self.primary_key, *self.unique_keys()]
        self.defaults = frozenset(column for column, *_, default in info if default is not None)
        self.zone = configured_timezone()  # of times without one
        self.cursor = connection.cursor()  # one for all rows, which is faster

    def unique_keys(self) -> list[list[str]]:
        rows = self.connection.execute(
            """
            select indexes.name, columns.name
            from pragma_index_list(:name) as indexes
            join pragma_index_info(indexes.name) as columns
            where indexes."unique"
              and indexes.origin = 'u'
            order by indexes.seq, columns.seqno
            """,
            {"name": self.name},
        ).fetchall()
        return [
            [column for index, column in rows if index == name]
            for name in dict.fromkeys(index for index, _ in rows)
        ]

    @cached_property
    def text_columns(self) -> frozenset[str]:
        """Columns for which a scalar is read as it is written."""
        kinds = ("TEXT", "CHAR", "DATE", "TIME")
        return frozenset(
            column for column, kind in self.types.items() if any(word in kind for word in kinds)
        )

    @cached_property
    def time_columns(self) -> frozenset[str]:
        """Columns with times, which are stored in UTC."""
        return frozenset(
            column
            for column, kind in self.types.items()
            if kind in ("DATETIME", "TIMESTAMP")
            or column.endswith("_at")
            or column in ("at", "timestamp", "last_heartbeat")
        )

    def stored(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """The stored row with a key of `row`; if it has no key, a stored row with its values."""
        for key in self.keys_of(row) or [list(row)]:
            values = [row[column] for column in key]
            sql = select_statement(self.name, tuple(key))
            if found := dictionaries(self.cursor.execute(sql, values)):
                return found[0]
        return None

    def differences(self, stored: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
        """The columns of the row that are stored differently; a time may be stored in any form."""
        return [
            column
            for column, value in row.items()
            if not same(stored.get(column), value)
            and not (column in self.time_columns and same(self.to_utc(stored.get(column)), value))
        ]

    def to_utc(self, value: Any) -> Any:
        """A time as an instant; other values as they are."""
        return to_instant(value, self.zone) if isinstance(value, str) else value

    def keys_of(self, row: Mapping[str, Any]) -> list[list[str]]:
        """The keys of which the row has all columns."""
        return [key for key in self.keys if key and all(row.get(name) is not None for name in key)]

    def key_text(self, row: Mapping[str, Any]) -> str | None:
        """The values of the row's first key, for messages."""
        keys = self.keys_of(row)
        return ", ".join(str(row[column]) for column in keys[0]) if keys else None

    def execute(self, sql: str, values: list[Any], row: Mapping[str, Any]) -> None:
        try:
            self.cursor.execute(sql, values)
        except sqlite3.Error:
            with translated(f"{self.name} {self.key_text(row) or 'row'}", row):
                raise

    def insert(self, row: Mapping[str, Any]) -> None:
        self.execute(insert_statement(self.name, tuple(row)), list(row.values()), row)

    def update(self, stored: Mapping[str, Any], row: Mapping[str, Any]) -> None:
        key = self.primary_key
        changes = {column: value for column, value in row.items() if column not in key}
        assignments = ", ".join(f"{quoted(column)} = ?" for column in changes)
        where = " and ".join(f"{quoted(column)} = ?" for column in key)
        sql = f"update {quoted(self.name)} set {assignments} where {where}"  # noqa: S608
        self.execute(sql, [*changes.values(), *(stored[column] for column in key)], row)


@lru_cache
def select_statement(table: str, key: tuple[str, ...]) -> str:
    where = " and ".join(f"{quoted(column)} is ?" for column in key)
    return f"select * from {quoted(table)} where {where} limit 1"  # noqa: S608


@lru_cache
def insert_statement(table: str, columns: tuple[str, ...]) -> str:
    names = ", ".join(quoted(column) for column in columns)
    marks = ", ".join("?" * len(columns))
    return f"insert into {quoted(table)} ({names}) values ({marks})"  # noqa: S608


def place_of(column: tuple[str, str, int, str | None]) -> int:
    return column[2]


def served_tables(name: str, connection: sqlite3.Connection) -> list[str]:
    """The tables that a database serves, the main one first; no views."""
    rows = connection.execute("select name from sqlite_master where type = 'table'")
    existing = {table for (table,) in rows}
    return [table for table in database_spec(name).tables if table in existing]


def served_table(name: str, connection: sqlite3.Connection, table: str | None) -> Table:
    """The named table, by default the main table; ValueError if the database does not serve it."""
    choices = served_tables(name, connection)
    if table is None:
        table = database_spec(name).main_table
    if table not in choices:
        raise ValueError(f'{name} has no table "{table}": choose from {", ".join(choices)}')
    return Table(connection, table)


def import_rows(
    name: str,
    db: Connection,
    paths: Iterable[Path],
    options: ImportOptions = DEFAULT_OPTIONS,
) -> ImportReport:
    """Load rows into `options.table`, by default the main table of the database `name`."""
    with reading(db) as connection:
        target = served_table(name, connection, options.table)
    columns = options.columns
    check_columns(target, columns.values())
    report = ImportReport()
    with (
        bulk_cache(db),
        import_transaction(db, [target.name], options, report) as connection,
        derived.kept(connection, target.name, options.actor),
    ):
        for record in records_of(target, paths, options.format, columns, report.other_lists):
            report.found += 1
            store(target, record, columns, options.on_conflict, report)
            options.progress(1)
    return report


def taken_back(target: Table, row: Mapping[str, Any]) -> dict[str, Any] | None:
    """A row that was moved aside as derived, put back if it is the same as this one."""
    if target.name not in derived.LOGS or row.get("id") is None:
        return None
    sql = "select * from temp.derived where id = :id"
    found = select(target.connection, sql, {"id": row["id"]})
    if not found or target.differences(found[0], row):
        return None
    target.insert(found[0])
    return found[0]


def check_fields(target: Table, row: Mapping[str, Any]) -> None:
    if not row:
        raise ValueError("has no fields")
    check_columns(target, row)


def check_columns(target: Table, columns: Iterable[str]) -> None:
    unknown = [column for column in columns if column not in target.types]
    if unknown:
        raise ValueError(f"{target.name} has no column {', '.join(unknown)}")


def records_of(
    target: Table,
    paths: Iterable[Path],
    format: str | None,
    columns: Mapping[str, str],
    others: OtherLists,
) -> Iterator[FileRecord]:
    texts = target.text_columns
    texts |= {name for name, column in columns.items() if column in texts}
    for path in paths:
        found = others.setdefault(path, [])
        yield from read(path, format, text_fields=texts, list_key=target.name, others=found)


def store(
    target: Table,
    record: FileRecord,
    columns: Mapping[str, str],
    policy: str,
    report: ImportReport,
) -> None:
    """Insert, update or skip one record, or add its error to the report."""
    if record.value is None:
        report.fail(record.source, record.position, None, record.error or "cannot be read")
        return
    row = sql_row(target, record.value, columns)
    try:
        check_fields(target, row)
        stored = target.stored(row) or taken_back(target, row)
        if stored is None:
            target.insert(row)
            report.imported += 1
        elif target.differences(stored, row):
            origin = Origin(record.source, record.position, target.key_text(row))
            resolve_conflict(policy, report, origin, lambda: target.update(stored, row))
        else:
            report.skipped += 1
    except (ValueError, OverflowError) as error:
        report.fail(record.source, record.position, target.key_text(row), str(error))


def sql_row(target: Table, record: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """The record as column -> SQL value; times without a zone are in the configured one."""
    row = {columns.get(name, name): to_sql(value) for name, value in record.items()}
    for column in target.time_columns & row.keys():
        row[column] = target.to_utc(row[column])
    return row


def same(stored: Any, given: Any) -> bool:
    """True for equal values, also if SQLite stored the text of a number as a number."""
    return stored == given or (given is not None and str(stored) == str(given))


def to_sql(value: Any) -> Any:
    """The value itself, or that of a form of `json_form`; other lists and mappings as JSON text."""
    if not isinstance(value, list | dict):
        return value
    if is_form(value) and value.keys() <= {"!!binary", "!!float"}:
        return decode(value)
    return json.dumps(value, ensure_ascii=False)


def export_rows(
    name: str, db: Connection, path: Path, table: str | None = None, format: str | None = None
) -> ExportReport:
    """Write the rows of a table to a file, by default as JSON."""
    chosen = format or (None if path.suffix else "json")
    with snapshot(db) as connection:
        target = served_table(name, connection, table)
        cells = Cells(defaults=target.defaults)
        return write_export(path, rows_of(target), chosen, list_key=target.name, cells=cells)


def rows_of(target: Table) -> Iterator[dict[str, Any]]:
    cursor = target.connection.execute(
        f"select * from {quoted(target.name)} order by rowid"  # noqa: S608
    )
    names = [name for name, *_ in cursor.description]
    for row in cursor:
        yield encode(dict(zip(names, row, strict=True)))


def verify_rows(
    name: str,
    db: Connection,
    paths: Iterable[Path],
    table: str | None = None,
    format: str | None = None,
) -> Comparison:
    """Compare files with a table; columns that the files do not name are not compared."""
    with snapshot(db) as connection:
        return compare_all(served_table(name, connection, table), paths, format)


def compare_all(target: Table, paths: Iterable[Path], format: str | None) -> Comparison:
    comparison = Comparison()
    seen = set()
    for record in records_of(target, paths, format, {}, comparison.other_lists):
        comparison.found += 1
        try:
            stored = compare(target, record, comparison)
        except ValueError as error:
            fault = {"source": record.source, "position": record.position, "id": None}
            comparison.errors.append({**fault, "reason": str(error)})
        else:
            seen.add(stored and target.key_text(stored))
    keys = map(target.key_text, rows_of(target))
    comparison.extra = [str(key) for key in keys if key not in seen]
    return comparison


def compare(target: Table, record: FileRecord, comparison: Comparison) -> dict[str, Any] | None:
    """Compare one record with its stored row, which is returned; ValueError for a bad record."""
    if record.value is None:
        raise ValueError(record.error)
    row = sql_row(target, record.value, {})
    check_fields(target, row)
    stored = target.stored(row)
    key = target.key_text(row) or record.position
    if stored is None:
        comparison.missing.append(key)
    elif columns := target.differences(stored, row):
        comparison.different.append({"id": key, "paths": [f"$.{column}" for column in columns]})
    return stored
