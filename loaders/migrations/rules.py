"""Rules for single values, kept by triggers so that they hold whoever writes.

Values of old rows that break today's rules stay: a write that says the same again is let pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

LARGEST_INTEGER = 9007199254740991  # that a JavaScript program reads exactly


class Rule(NamedTuple):
    """A column, what is wrong with a value (SQL over `{0}`), and what it has to be (words)."""

    column: str
    broken: str
    message: str


def share(column: str) -> Rule:
    # Text and blobs are greater than any number.
    return Rule(column, "{0} not between 0 and 1", "must be a number from 0 to 1")


def flag(column: str) -> Rule:
    return Rule(column, "{0} not in (0, 1)", "must be 0 or 1")


def count(column: str) -> Rule:
    broken = "({0} is not null and (typeof({0}) <> 'integer' or {0} < 0))"
    return Rule(column, broken, "must be a whole number, 0 or more")


def json_document(column: str, kind: str | None = None) -> Rule:
    """`kind` is the JSON type asked for, such as array."""
    broken = f"""case
      when {{0}} is null then false
      when typeof({{0}}) <> 'text' then true
      when not json_valid({{0}}) then true
      else {f"json_type({{0}}) <> '{kind}'" if kind else "false"} end"""
    return Rule(column, broken, f"must be {f'a JSON {kind}' if kind else 'valid JSON'}")


def conflict_with_new(keys: Iterable[str]) -> str:
    """SQL: does a row stand where `new` wants to be?"""
    return " or ".join(f"{key} = new.{key}" for key in keys)


def keep_rules(table: str, rules: Iterable[Rule], keys: tuple[str, ...] = ("id",)) -> Iterator[str]:
    """SQL: the triggers that refuse a row of `table`, whose unique columns are `keys`."""
    inserted = "".join(
        refusal(table, rule)
        + f"""
      and not exists (
        select 1
        from {table}
        where ({conflict_with_new(keys)})
          and {rule.column} is new.{rule.column}
      );"""
        for rule in rules
    )
    updated = "".join(
        refusal(table, rule) + f"\n      and new.{rule.column} is not old.{rule.column};"
        for rule in rules
    )
    yield f"create trigger {table}_bi_rules before insert on {table}\nbegin{inserted}\nend"
    yield f"create trigger {table}_bu_rules before update on {table}\nbegin{updated}\nend"


def refusal(table: str, rule: Rule) -> str:
    return f"""
    select raise(abort, '{table}.{rule.column}: {rule.message}')
    where {rule.broken.format(f"new.{rule.column}")}"""
