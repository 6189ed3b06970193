"""Any text is fit for a search: what holds no word finds nothing, rather than failing."""

from __future__ import annotations

import sqlite3

from datasette import hookimpl
from datasette.utils import escape_fts

NO_WORDS = '""'


@hookimpl(trylast=True)
def prepare_connection(conn: sqlite3.Connection) -> None:
    """Replaces Datasette's SQL function of this name, which its search box uses too."""
    conn.create_function("escape_fts", 1, quoted_words, deterministic=True)


def quoted_words(text: str | None) -> str:
    """`text` as an FTS5 query for all of its words; FTS5 would end it at a NUL."""
    return escape_fts(str(text or "").replace("\0", " ")) or NO_WORDS
