"""`dailies check`: everything in a database that is not as it should be, in words."""

from __future__ import annotations

import importlib
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import cache
from pathlib import Path

import sqlite_utils

from loaders import integrity, upgrade
from loaders.connections import connect
from loaders.registry import database_spec

MOST_NAMED = 20  # keys named in one message


def check(name: str, path: Path) -> list[str]:
    """The problems found in the file, each one line; it is not changed."""
    if not path.exists():
        return [f"{path} does not exist: run `dailies build {name}`"]
    try:
        upgrade.inspect(name, path)
        with closing(connect_to_check(path)) as connection:
            return list(problems(name, connection))
    except ValueError as error:
        return [str(error)]
    except sqlite3.DatabaseError as error:
        return [f"{path} {integrity.fault(error)}"]


def connect_to_check(path: Path) -> sqlite3.Connection:
    """Without the pragmas of `connect`, some of which write to the file of an earlier system."""
    return sqlite3.connect(path, timeout=5, isolation_level=None)


def problems(name: str, connection: sqlite3.Connection) -> Iterator[str]:
    yield from (f"integrity: {message}" for message in integrity.damage(connection))
    pending = upgrade.pending(name, connection)
    if pending:
        yield f"migrations are pending ({', '.join(pending)}): run `dailies build {name}`"
        return
    yield from schema_differences(name, connection)
    yield from search_indexes(name, connection)
    yield from foreign_keys(connection)
    yield from write_context(connection)
    yield from set_aside(connection)
    yield from importlib.import_module(f"loaders.{database_spec(name).stem}").check(connection)


def search_indexes(name: str, connection: sqlite3.Connection) -> Iterator[str]:
    for index in stale_search_indexes(connection):
        yield f"search index {index} does not agree with its table: run `dailies build {name}`"


def stale_search_indexes(connection: sqlite3.Connection) -> list[str]:
    """Full-text indexes that do not hold what their tables hold.

    The check compares with the table only when `rank` is 1, and is spelt as an insert.
    """
    stale = []
    for index in full_text_indexes(connection):
        connection.execute("begin immediate")
        try:
            connection.execute(
                f"insert into {index} ({index}, rank) values ('integrity-check', 1)"  # noqa: S608
            )
        except sqlite3.DatabaseError as error:
            if "malformed" not in str(error) and "corrupt" not in str(error):
                raise
            stale.append(index)
        finally:
            connection.rollback()
    return stale


def rebuild_search_indexes(connection: sqlite3.Connection) -> list[str]:
    """Build anew those that are stale, as after a restore from a dump; their names."""
    stale = stale_search_indexes(connection)
    for index in stale:
        connection.execute(f"insert into {index} ({index}) values ('rebuild')")  # noqa: S608
    return stale


def full_text_indexes(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute(
        """
        select name
        from sqlite_master
        where type = 'table'
          and sql like 'create virtual table%using fts5%'
        order by name
        """
    )
    return [name for (name,) in rows]


def foreign_keys(connection: sqlite3.Connection) -> Iterator[str]:
    for table, rowid, parent, _ in connection.execute("pragma foreign_key_check"):
        yield f"{table}: row {rowid} refers to a row of {parent} that does not exist"


def write_context(connection: sqlite3.Connection) -> Iterator[str]:
    row = connection.execute("select paused from write_context where id = 1").fetchone()
    if row != (0,):
        yield "write_context: triggers are at rest; set `paused` to 0"


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
    named = ", ".join(keys[:MOST_NAMED])
    return named if len(keys) <= MOST_NAMED else f"{named} and {len(keys) - MOST_NAMED} more"


def schema_differences(name: str, connection: sqlite3.Connection) -> Iterator[str]:
    """What the schema holds beside ours, or lacks of it; tables of others are named only."""
    expected, actual = reference_schema(name), schema_of(connection)
    shadows = tuple(f"{index}_" for index in full_text_indexes(connection))
    known = {thing for kind, thing, _ in expected if kind == "table"}
    for kind, thing, _ in sorted(actual - expected):
        if belongs_to(thing, shadows) or (kind == "column" and thing.split(".")[0] not in known):
            continue
        yield f"{kind} {thing} is not ours"
    for kind, thing, _ in sorted(expected - actual):
        if not belongs_to(thing, shadows):
            yield f"{kind} {thing} is missing or changed"


def belongs_to(thing: str, prefixes: tuple[str, ...]) -> bool:
    """Is it one of the tables in which a search index keeps itself?"""
    return bool(prefixes) and thing.startswith(prefixes)


@cache
def reference_schema(name: str) -> frozenset[tuple[str, str, str]]:
    """What a database just built holds; see `schema_of`."""
    with closing(connect(":memory:")) as connection:
        upgrade.migrations_of(name).apply(sqlite_utils.Database(connection))
        return schema_of(connection)


def schema_of(connection: sqlite3.Connection) -> frozenset[tuple[str, str, str]]:
    """(kind, name, text) of all there is in the schema, columns too; text for triggers only."""
    things = connection.execute(
        """
        select type, name, case type when 'trigger' then sql else '' end
        from sqlite_master
        where name not like 'sqlite_%'
        union all
        select 'column', master.name || '.' || columns.name, ''
        from sqlite_master as master
        join pragma_table_info(master.name) as columns
        where master.type = 'table'
          and master.name not like 'sqlite_%'
        """
    )
    return frozenset(things.fetchall())
