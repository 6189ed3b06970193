"""Identify and check database files: `dailies check`, and what is refused before it is changed."""

from __future__ import annotations

import importlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loaders import schema
from loaders.connections import quoted
from loaders.database_file import open_as_allowed, open_read_only
from loaders.errors import DAMAGED, code_of, describe_error
from loaders.registry import DATABASES, database_spec

SQLITE_HEADER = b"SQLite format 3\x00"
NOT_SQLITE = "is not a SQLite file: it was left as it is"
MAX_KEYS = 20  # in one message
MAX_MESSAGES = 20  # about damage
# Rows of an old file may break the constraints of their own table, and a search index that
# disagrees can be rebuilt: the file is readable all the same.
NOT_DAMAGE = ("check constraint failed in", "null value in")


@dataclass
class Findings:
    """What `dailies check` reports of a file, in lines; notes are no faults."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check(name: str, path: Path) -> list[str]:
    """The problems found in the file, which is not changed."""
    return examine(name, path).problems


def examine(name: str, path: Path) -> Findings:
    """Check the file, without changing it."""
    if not path.exists():
        return Findings([f"{path} does not exist: run `dailies build {name}`"])
    try:
        inspect(name, path)
        with closing(connect_to_check(path)) as connection:
            return examine_open(name, connection, can_write=os.access(path, os.W_OK))
    except (ValueError, OSError) as error:
        return Findings([str(error)])
    except sqlite3.DatabaseError as error:
        return Findings([f"{path} {describe_error(error)}"])


def connect_to_check(path: Path) -> sqlite3.Connection:
    """Connect without the pragmas of `connect`, some of which write to an old file."""
    return open_as_allowed(path)


def examine_open(name: str, connection: sqlite3.Connection, *, can_write: bool) -> Findings:
    findings = Findings([f"integrity: {message}" for message in damage(connection)])
    if not can_write:
        findings.notes.append("search indexes were not checked: the file is read-only")
    if pending := schema.pending(name, connection):
        names = ", ".join(pending)
        findings.problems.append(f"migrations are pending ({names}): run `dailies build {name}`")
        return findings
    differences = schema.differences(name, connection)
    findings.notes += [f"{label}: not created by Dailies" for label in differences.added]
    findings.problems += [f"{line}: run `dailies build {name}`" for line in differences.problems]
    try:
        findings.problems += problems_of_rows(name, connection)
    except sqlite3.OperationalError:
        if not differences.problems:  # of which a missing table or column is one
            raise
    return findings


def problems_of_rows(name: str, connection: sqlite3.Connection) -> Iterator[str]:
    stale = stale_search_indexes(connection, name)
    for index in stale:
        yield f"search index {index} does not agree with its table: run `dailies build {name}`"
    for fault in [] if stale else derived_faults(connection, name):
        yield f"{fault}: run `dailies build {name}`"
    yield from foreign_keys(connection)
    yield from write_context(connection)
    yield from set_aside(connection)
    yield from database_module(name).check(connection)


def stale_search_indexes(connection: sqlite3.Connection, name: str) -> list[str]:
    """Search indexes of the database `name` that do not hold what their tables hold.

    FTS5 compares with the table only if `rank` is 1. The check has the form of an insert, and so is
    not possible in a file that cannot be written.
    """
    stale = []
    for index in [one.name for one in schema.reference(name).values() if one.is_fts]:
        try:
            connection.execute("begin immediate")
            connection.execute(
                f"insert into {index} ({index}, rank) values ('integrity-check', 1)"  # noqa: S608
            )
        except sqlite3.DatabaseError as error:
            if code_of(error) == sqlite3.SQLITE_READONLY:
                return []
            if code_of(error) not in DAMAGED:
                raise
            stale.append(index)
        finally:
            connection.rollback()
    return stale


def derived_faults(connection: sqlite3.Connection, name: str) -> list[str]:
    """What disagrees with the rows from which triggers derive it; they may have been missing."""
    return list(named_rows(connection, database_module(name).DERIVED))


def database_module(name: str) -> Any:
    """The module with the rules of one database."""
    return importlib.import_module(f"loaders.{database_spec(name).stem}")


def foreign_keys(connection: sqlite3.Connection) -> Iterator[str]:
    for table, rowid, parent, _ in connection.execute("pragma foreign_key_check"):
        yield f"{table}: row {rowid} refers to a row of {parent} that does not exist"


def write_context(connection: sqlite3.Connection) -> Iterator[str]:
    row = connection.execute("select paused from write_context where id = 1").fetchone()
    if row != (0,):
        yield "write_context: triggers are paused; set `paused` to 0"


def set_aside(connection: sqlite3.Connection) -> Iterator[str]:
    rows = connection.execute(
        """
        select table_name, reason, count(*), group_concat(row_key, ', ')
        from (select * from set_aside order by id)
        group by table_name, reason
        """
    )
    for table, reason, count, keys in rows:
        yield f"set_aside: {count} of {table} ({reason}): {shortened((keys or '').split(', '))}"


def named_rows(connection: sqlite3.Connection, queries: Mapping[str, str]) -> Iterator[str]:
    """For each query that selects keys of rows: its message, followed by those keys."""
    for message, sql in queries.items():
        if keys := [str(key) for (key,) in connection.execute(sql)]:
            yield f"{message}: {shortened(keys)}"


def shortened(keys: list[str]) -> str:
    """The keys as one text, cut where there are too many to read."""
    named = ", ".join(keys[:MAX_KEYS])
    return named if len(keys) <= MAX_KEYS else f"{named} and {len(keys) - MAX_KEYS} more"


def damage(connection: sqlite3.Connection) -> list[str]:
    """What SQLite finds broken in the file; empty for a sound one.

    A search index is built from other tables: `damaged_indexes` names those that are broken.
    """
    found = integrity_of(connection)
    if not found:
        return []
    kept = [table for table in stored_tables(connection) if table not in shadows(connection)]
    in_tables = [line for table in kept for line in integrity_of(connection, table)]
    return in_tables or ([] if damaged_indexes(connection) else found)


def damaged_indexes(connection: sqlite3.Connection) -> list[str]:
    """The search indexes in whose own tables SQLite finds something broken."""
    owners = shadows(connection)
    broken = (owners[table] for table in owners if integrity_of(connection, table))
    return list(dict.fromkeys(broken))


def integrity_of(connection: sqlite3.Connection, table: str | None = None) -> list[str]:
    """What is broken in a table and its indexes, or in the whole file."""
    argument = MAX_MESSAGES * 50 if table is None else quoted(table)
    try:
        rows = connection.execute(f"pragma integrity_check({argument})").fetchall()
    except sqlite3.DatabaseError as error:
        if code_of(error) not in DAMAGED:
            raise
        return [str(error)]
    return [message for (message,) in rows if is_damage(message)][:MAX_MESSAGES]


def stored_tables(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute(
        "select name from sqlite_master where type = 'table' and rootpage > 0"
    )
    return [name for (name,) in rows]


def shadows(connection: sqlite3.Connection) -> dict[str, str]:
    """The tables in which search indexes keep their content, with their index."""
    indexes = [one.name for one in schema.objects_of(connection).values() if one.is_fts]
    names = {f"{index}_{part}": index for index in indexes for part in schema.SHADOW_TABLES}
    return {table: names[table] for table in stored_tables(connection) if table in names}


def is_damage(message: str) -> bool:
    text = message.lower()
    return text != "ok" and "fts5" not in text and not text.startswith(NOT_DAMAGE)


def inspect(name: str, path: Path) -> None:
    """ValueError if the file is no database `name`, or is damaged and due for a change."""
    # The file itself is not opened: closing it would end the locks of this process's connections
    # to it, so that another program could delete the log with their latest transactions.
    if path.stat().st_size == 0:
        raise ValueError(f"{path} {NOT_SQLITE}")
    roll_back_unfinished(path)
    try:
        with closing(open_read_only(path)) as connection:
            identity = identify(connection)
            if identity == name and (message := schema.newer(name, connection)):
                raise ValueError(f"{path} {message}")
            if identity == name and needs_work(name, connection):
                refuse_damaged(path, connection)
    except sqlite3.DatabaseError as error:
        if code_of(error) == sqlite3.SQLITE_NOTADB:
            raise ValueError(f"{path} {NOT_SQLITE}") from error
        message = f"{path} {describe_error(error)}: it was left as it is"
        raise ValueError(message) from error
    if identity is None:
        raise ValueError(f"{path} holds other tables than {name}: it was left as it is")
    if identity not in ("", name):
        raise ValueError(f"{path} is a {identity} database, not {name}: it was left as it is")


def needs_work(name: str, connection: sqlite3.Connection) -> bool:
    """True if an upgrade or a repair is due, or impossible since the file is of a newer version."""
    return bool(
        schema.pending(name, connection)
        or schema.differences(name, connection).labels
        or schema.newer(name, connection)
    )


def roll_back_unfinished(path: Path) -> None:
    """Roll back the journal of a writer that was killed, which a read-only connection cannot."""
    real = path.resolve()
    if not real.with_name(f"{real.name}-journal").exists():
        return
    with closing(connect_to_check(real)) as connection, suppress(sqlite3.DatabaseError):
        identify(connection)


def identify(connection: sqlite3.Connection) -> str | None:
    """The name of the database; empty for a file without tables; None if it is unknown."""
    for name, spec in DATABASES.items():
        found = connection.execute("select name from pragma_table_info(?)", (spec.main_table,))
        if {column for (column,) in found} >= set(spec.signature):
            return name
    tables = connection.execute("select count(*) from sqlite_master").fetchone()[0]
    return built_as(connection) if tables else ""


def built_as(connection: sqlite3.Connection) -> str | None:
    """The database whose migrations were applied, whatever happened to its main table since."""
    try:
        rows = connection.execute(
            "select distinct migration_set from _sqlite_migrations"
        ).fetchall()
    except sqlite3.OperationalError:
        return None
    names = [name for (name,) in rows if name in DATABASES]
    return names[0] if len(names) == 1 else None


def refuse_damaged(path: Path, connection: sqlite3.Connection) -> None:
    try:
        found = damage(connection)
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{path} {describe_error(error)}: it was left as it is") from error
    if found:
        raise ValueError(f"{path} is damaged ({found[0]}): it was left as it is")
