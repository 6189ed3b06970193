"""The instant of a stored time, as an SQL expression for queries; the indexes contain the same."""

from __future__ import annotations


def instant(column: str) -> str:
    """SQL: the instant in the form that Dailies writes; null for what is not a time.

    A time without a zone is taken as UTC, a large number as seconds since 1970.
    """
    text = f"iif({column} glob '[0-9][0-9][0-9]*', {column}, null)"
    return f"strftime('%Y-%m-%dT%H:%M:%fZ', {text}, 'auto')"
