"""Search: words, their beginnings and parts of words, in every script.

A text is split at white space into terms. A row is found if each term begins a word in it, or if
each is part of its text, whatever their case; accents do not matter in words. Words are looked up
in an FTS5 index. So are parts of three characters or more where a table has an index of trigrams;
otherwise its rows are read.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

MAX_TERMS = 100
MAX_TRIGRAMS = 30  # of a term; rows are compared with the whole term
MAX_LITERALS = 10  # characters of a pattern
MANY = 5_000  # rows, from which on reading rows in their order beats looking up all of them
NOTHING = '""'  # an FTS5 query without results

INDEXED = re.compile("[\u0300-\u0331!-/:-@\\[-`{-~]")  # accents, and punctuation between words
PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]+")


@dataclass(frozen=True)
class Search:
    """A table to search, its columns, and the FTS5 indexes of its words and trigrams.

    SQL is for connections with the functions of `add_functions`; its parameter is `:q`.
    """

    table: str
    columns: tuple[str, ...]
    words: str | None = None
    trigrams: str | None = None

    @property
    def holds(self) -> str:
        """SQL: true for a row whose text has all terms as parts."""
        columns = [f"{self.table}.{column}" for column in self.columns]
        text = " || char(10) || ".join(f"coalesce({column}, '')" for column in columns)
        # The pattern spares most rows a call of Python.
        return f"{text} glob search_pattern(:q) and holds_terms(:q, {', '.join(columns)})"

    @property
    def with_words(self) -> str:
        """SQL: the rowids of rows with words that begin with the terms."""
        return f"select rowid from {self.words} where {self.words} match search_words(:q)"  # noqa: S608

    @property
    def with_whole_words(self) -> str:
        """SQL: the rowids of rows with the terms as whole words, found faster if there are many."""
        return self.with_words.replace("search_words", "search_whole_words")

    @property
    def candidates(self) -> str:
        """SQL: the rowids of rows with the trigrams of the terms, and of those not yet indexed.

        All rows are candidates if no term has three characters.
        """
        return f"""
          select rowid
          from {self.trigrams}
          where {self.trigrams} match search_trigrams(:q)
          union all
          select rowid
          from {self.table}
          where rowid > iif(search_trigrams(:q) = '""', -9223372036854775808,
            (select trigrams_to from write_context where id = 1))
        """  # noqa: S608

    @property
    def with_parts(self) -> str:
        """SQL: the rowids of rows whose text has all terms as parts."""
        if not self.trigrams:
            return f"select rowid from {self.table} where {self.holds}"  # noqa: S608
        return f"""
        select {self.table}.rowid
        from ({self.candidates}) as candidate
        join {self.table} on {self.table}.rowid = candidate.rowid
        where {self.holds}
        """  # noqa: S608

    @property
    def found(self) -> str:
        """SQL: the rowids of all rows found."""
        return f"{self.with_words} union {self.with_parts}" if self.words else self.with_parts

    @property
    def condition(self) -> str:
        """SQL: true for rows found."""
        return f"{self.table}.rowid in ({self.found})" if self.words else self.holds

    @property
    def condition_of_row(self) -> str:
        """SQL: like `condition`, for a few rows that are read anyway."""
        columns = ", ".join(f"{self.table}.{column}" for column in self.columns)
        # All rows with the words are looked up at once, for the first row that may be one of them.
        others = f"may_hold_words(:q, {columns}) and {self.table}.rowid in ({self.with_words})"
        return f"(({self.holds}) or ({others}))"

    def count_up_to(self, most: int) -> str:
        """SQL: the number of rows found, if it is not larger, in a table with an index of trigrams.

        It is counted in the cheapest way that tells: whole words, parts of words, all rows found.
        """
        exactly = f"select 1 from {self.table} where {self.condition}"  # noqa: S608
        ways = (self.with_whole_words, self.with_parts, exactly)
        counts = [f"(select count(*) from ({way} limit {most}))" for way in ways]  # noqa: S608
        first = " ".join(f"when {count} = {most} then {most}" for count in counts[:-1])
        return f"select case {first} else {counts[-1]} end"

    def condition_in_order(self, text: str) -> str:
        """SQL: like `condition`, for a query that reads rows in its order until it has enough."""
        if search_trigrams(text) == NOTHING:
            return self.condition  # the table is read faster as it is stored
        candidates = f"+{self.table}.rowid in ({self.with_words} union all {self.candidates})"
        return f"{candidates} and (({self.holds}) or +{self.table}.rowid in ({self.with_words}))"

    def finds_many(self, connection: sqlite3.Connection, text: str) -> bool:
        """True if the indexes name so many rows, or can name none, that reading rows is faster."""
        if not self.trigrams:
            return False
        if search_trigrams(text) == NOTHING:
            return True
        trigrams = f"select 1 from {self.trigrams} where {self.trigrams} match search_trigrams(:q)"  # noqa: S608
        return any(
            connection.execute(
                f"select 1 from ({found}) limit 1 offset :many",  # noqa: S608
                {"q": text, "many": MANY},
            ).fetchone()
            for found in (trigrams, self.with_words)  # the faster one first
        )


CAMPAIGNS = Search(
    "jobs",
    ("job_name", "product", "persona", "setting", "emotion", "hook", "brand_name"),
    words="jobs_fts",
    trigrams="jobs_trigrams",
)
BUILDS = Search(
    "jobs",
    ("run_id", "run_dir", "status", "current_step", "config", "output_file", "error", "worker"),
)
UPLOADS = Search("youtube_uploads", ("video_id", "title", "description", "tags"))
PRESENTATIONS = Search(
    "presentation_jobs",
    (
        "job_id", "status", "current_step", "config", "video_url", "thumbnail_url",
        "slide_image_path", "created_files", "error", "worker",
    ),
)  # fmt: skip
TOPICS = Search("trending_topics", ("topic",), words="trending_topics_fts")
VIDEOS = Search("video_metadata", ("title", "description"), words="video_metadata_fts")
IMAGES = Search(
    "image_library", ("generation_prompt", "tags", "file_path"), words="image_library_fts"
)
SEARCHES = {
    ("campaigns", "jobs"): CAMPAIGNS,
    ("yt-builder", "jobs"): BUILDS,
    ("yt-builder", "youtube_uploads"): UPLOADS,
    ("presentation_jobs", "presentation_jobs"): PRESENTATIONS,
    ("trends", "trending_topics"): TOPICS,
    ("metrics", "video_metadata"): VIDEOS,
    ("image_library", "image_library"): IMAGES,
}


def add_functions(connection: sqlite3.Connection) -> None:
    """Register the SQL functions that searching needs."""
    connection.create_function("search_words", 1, search_words, deterministic=True)
    connection.create_function("search_whole_words", 1, search_whole_words, deterministic=True)
    connection.create_function("search_trigrams", 1, search_trigrams, deterministic=True)
    connection.create_function("search_pattern", 1, search_pattern, deterministic=True)
    connection.create_function("holds_terms", -1, holds_terms, deterministic=True)
    connection.create_function("may_hold_words", -1, may_hold_words, deterministic=True)


def terms_of(text: str | None) -> list[str]:
    return str(text or "").replace("\0", " ").split()[:MAX_TERMS]  # FTS5 stops at a NUL


@lru_cache
def search_words(text: str | None) -> str:
    """An FTS5 query: all terms as words or their beginnings; punctuation does not count."""
    terms = [term for term in terms_of(text) if not PUNCTUATION.fullmatch(term)]
    if not terms or not all(map(is_indexed, terms)):
        return NOTHING
    return " ".join(f"{in_quotes(term)}*" for term in terms)


def search_whole_words(text: str | None) -> str:
    """An FTS5 query: all terms as words, which are among those of `search_words`."""
    return search_words(text).replace('"*', '"')


def is_indexed(term: str) -> bool:
    """True if the index of words holds the term: not symbols such as emoji, nor Thai vowels."""
    kinds = {unicodedata.category(one)[0] for one in INDEXED.sub("", term)}
    return kinds <= set("LNP") and bool(kinds & set("LN"))


@lru_cache
def search_trigrams(text: str | None) -> str:
    """An FTS5 query for rows with all trigrams of all terms, composed or decomposed."""
    terms = [term for term in terms_of(text) if len(unicodedata.normalize("NFC", term)) > 2]
    parts = [" OR ".join(f"({' AND '.join(one)})" for one in spellings(term)) for term in terms]
    return " AND ".join(f"({part})" for part in parts) or NOTHING


def spellings(term: str) -> Iterator[list[str]]:
    """The trigrams of a term in each of its Unicode normal forms."""
    forms = {term, unicodedata.normalize("NFC", term), unicodedata.normalize("NFD", term)}
    for form in sorted(forms):
        count = min(len(form) - 2, MAX_TRIGRAMS)
        yield sorted({in_quotes(form[start : start + 3]) for start in range(count)})


@lru_cache
def search_pattern(text: str | None) -> str:
    """A GLOB pattern for rows that may have all terms as parts: the longest one in any case."""
    longest = max(terms_of(text), key=len, default="")
    return f"*{''.join(map(in_any_case, longest[:MAX_LITERALS]))}*"


def in_any_case(character: str) -> str:
    if unicodedata.decomposition(character) or unicodedata.combining(character):
        return "*"  # the row may have another normal form
    cases = {character, character.lower(), character.upper()}
    letters = sorted(one for one in cases if len(one) == 1)
    return f"[{''.join(letters)}]" if len(letters) > 1 or character in "*?[" else character


def in_quotes(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def holds_terms(text: str | None, *values: object) -> bool:
    """True if each term of the text is part of one of the values."""
    held = folded("\n".join(str(value) for value in values if value is not None))
    terms = folded_terms(text)
    return bool(terms) and all(term in held for term in terms)


def may_hold_words(text: str | None, *values: object) -> bool:
    """False only if a row with these values is not found by `search_words`.

    That is known of plain terms: a word that begins with one has it as a part, without accents.
    """
    terms = folded_terms(text)
    if not all(term.isascii() and term.isalnum() for term in terms):
        return True
    held = without_accents("\n".join(str(value) for value in values if value is not None))
    return all(term in held for term in terms)


def without_accents(text: str) -> str:
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFD", text.casefold())
    return "".join(one for one in decomposed if not unicodedata.combining(one))


@lru_cache
def folded_terms(text: str | None) -> tuple[str, ...]:
    return tuple(map(folded, terms_of(text)))


def folded(text: str) -> str:
    """The text without case, in one normal form."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text).casefold()
