"""A full-text index beside its table, right whoever writes and however.

FTS5 forgets a row only when it is told the very words that it was given.
"""

from __future__ import annotations

from loaders.migrations.replaced import any_changed, keep_replaced


def create_search(
    table: str,
    columns: tuple[str, ...],
    keys: tuple[str, ...] = ("id",),
    after_replacing: str = "",
    after_deleting: str = "",
) -> tuple[str, ...]:
    """SQL: the index `TABLE_fts` over `columns`, what is in the table already, and its triggers.

    `keys` are the table's unique columns, `id` its INTEGER PRIMARY KEY. `after_replacing` and
    `after_deleting` are statements for what else has to go with a row.
    """
    names = ", ".join(columns)
    index, replaced = f"{table}_fts", f"{table}_replaced"
    forget_old = f"""
  insert into {index} ({index}, rowid, {names})
  values ('delete', old.id, {prefixed("old", columns)});"""
    learn_new = f"""
  insert into {index} (rowid, {names})
  values (new.id, {prefixed("new", columns)});"""
    forget_replaced = f"""
  insert into {index} ({index}, rowid, {names})
  select 'delete', id, {names}
  from {replaced}
  where removed = 0;"""
    return (
        *keep_replaced(table, columns, keys),
        f'create virtual table {index} using fts5 ({names}, content="{table}")',
        f"insert into {index} ({index}) values ('rebuild')",
        f"""
create trigger {index}_insert after insert on {table}
begin{forget_replaced}{after_replacing}{learn_new}
  delete from {replaced};
end
""",
        f"""
create trigger {index}_update after update on {table}
when {any_changed((*columns, *keys))}
begin
  delete from {replaced} where not {any_changed(keys)};{forget_replaced}{after_replacing}
  {forget_old}{learn_new}
  delete from {replaced};
end
""",
        f"""
create trigger {index}_delete after delete on {table}
begin{forget_old}{after_deleting}
  update {replaced} set removed = 1 where id = old.id;
end
""",
    )


def prefixed(row: str, columns: tuple[str, ...]) -> str:
    return ", ".join(f"{row}.{column}" for column in columns)
