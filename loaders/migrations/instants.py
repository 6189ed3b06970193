"""What instant a stored time names, as one SQL expression for queries, indexes and triggers."""

from __future__ import annotations


def instant(column: str) -> str:
    """SQL: the instant in our form, or null where the column names none; without a zone it is UTC.

    Numbers are seconds of the epoch, or its milliseconds from 1e11 on.
    """
    digits = "[0-9]" * 9
    seconds = f"{column} / case when cast({column} as real) < 1e11 then 1.0 else 1000.0 end"
    return f"""case
    when {column} glob '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'
      then strftime('%Y-%m-%dT%H:%M:%fZ', upper({column}))
    when {column} glob '{digits}*'
      then strftime('%Y-%m-%dT%H:%M:%fZ', {seconds}, 'unixepoch')
  end"""
