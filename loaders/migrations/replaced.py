"""Keeps what a write is about to replace, so that triggers can take back what hung on it.

`insert or replace` and `update or replace` remove rows without telling delete triggers unless
recursive_triggers is on. Rows that stand in a write's way are therefore copied to `TABLE_replaced`
before it. A trigger after the write finds them there, gone for certain; `removed` says that a
delete trigger has been told. A write that was ignored leaves its copies for the next one to clear.
"""

from __future__ import annotations

from collections.abc import Iterable

from loaders.migrations.rules import conflict_with_new


def keep_replaced(table: str, columns: Iterable[str], keys: tuple[str, ...]) -> tuple[str, ...]:
    """SQL: table and triggers that keep `columns` of rows which share one of `keys` with `new`."""
    names = ", ".join(("id", *columns))
    conflict = conflict_with_new(keys)
    keep = f"""
  delete from {table}_replaced;
  insert into {table}_replaced ({names})
  select {names}
  from {table}
  where ({conflict})"""
    return (
        f"""
create table {table}_replaced (
  id INTEGER PRIMARY KEY,
  removed INTEGER NOT NULL DEFAULT 0{"".join(f", {column}" for column in columns)}
)
""",
        f"""
create trigger {table}_bi_replaced before insert on {table}
when exists (select 1 from {table} where {conflict})
  or exists (select 1 from {table}_replaced)
begin{keep};
end
""",
        f"""
create trigger {table}_bu_replaced before update on {table}
when {any_changed(keys)}
begin{keep}
    and id is not old.id;
end
""",
    )


def any_changed(columns: Iterable[str]) -> str:
    """SQL: does an update change one of `columns`? (`update of id` would not see `rowid`.)"""
    return "(" + " or ".join(f"new.{name} is not old.{name}" for name in columns) + ")"
