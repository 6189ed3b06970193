"""One search over everything: words, or their beginnings, and beginnings of names and ids."""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import urlencode

from datasette.app import Datasette
from datasette.utils import tilde_encode
from markupsafe import Markup, escape

from dailies.auth.permissions import Actor
from dailies.web.pages.viewer import Question, Row, Viewer

MILLISECONDS = 500
MOST_HITS = 5
MOST_COUNTED = 1_000
MOST_WORDS = 20
LONGEST_TEXT = 200

# Stand around the words found in an excerpt until it is safe HTML.
BEGIN, END = "\x02", "\x03"
FOUND = re.compile(f"{BEGIN}([^{BEGIN}{END}]*){END}")
AFTER_ALL = "\U0010ffff"


class Source(NamedTuple):
    """A table to search: its key, its column of titles, its search index, its columns of names."""

    database: str
    table: str
    key: str
    title: str
    fts: str | None = None
    names: tuple[str, ...] = ()


SOURCES = (
    Source("campaigns", "jobs", "id", "job_name", "jobs_fts", ("id",)),
    Source("yt-builder", "jobs", "job_id", "run_id", names=("run_id",)),
    Source("yt-builder", "youtube_uploads", "id", "title", names=("video_id",)),
    Source("presentation_jobs", "presentation_jobs", "job_id", "job_id", names=("job_id",)),
    Source("trends", "trending_topics", "id", "topic", "trending_topics_fts"),
    Source("metrics", "video_metadata", "id", "title", "video_metadata_fts", ("video_id",)),
    Source("image_library", "image_library", "id", "file_path", "image_library_fts"),
)


class Hit(NamedTuple):
    href: str
    title: str
    excerpt: Markup


class Found(NamedTuple):
    """What one table holds: the first hits, how many there are, and the page of all of them."""

    database: str
    table: str
    hits: list[Hit]
    rows: int
    more: bool
    href: str | None


def words_of(text: str) -> list[str]:
    """The words to search for; FTS5 would end at a NUL."""
    return text[:LONGEST_TEXT].replace("\0", " ").split()[:MOST_WORDS]


def expression(words: list[str]) -> str:
    """An FTS5 query for rows in which each of these begins a word, whatever characters it holds."""
    return " ".join('"' + word.replace('"', '""') + '"*' for word in words)


async def read(datasette: Datasette, actor: Actor, text: str) -> list[Found]:
    """The hits in every table that this actor may see, tables without any left out."""
    words = words_of(text)
    viewer = Viewer(datasette, actor, MILLISECONDS)
    every = [await search(viewer, source, words) for source in SOURCES] if words else []
    return [found for found in every if found is not None]


async def search(viewer: Viewer, source: Source, words: list[str]) -> Found | None:
    named = await by_name(viewer, source, " ".join(words))
    matching, matches = await by_words(viewer, source, expression(words))
    rows = {row["key"]: row for row in (*matching, *named)}
    if not rows:
        return None
    first = [hit(viewer, source, row) for row in list(rows.values())[:MOST_HITS]]
    about = await viewer.datasette.get_database_metadata(source.database)
    described = await viewer.datasette.get_resource_metadata(source.database, source.table)
    return Found(
        database=about.get("title") or source.database,
        table=described.get("title") or source.table,
        hits=first,
        rows=min(max(matches, len(rows)), MOST_COUNTED),
        more=matches > MOST_COUNTED,
        href=page_of_all(viewer, source, words) if matches > len(first) else None,
    )


async def by_words(viewer: Viewer, source: Source, match: str) -> tuple[list[Row], int]:
    """The best matches and how many there are; of very many the newest, which are found at once."""
    if source.fts is None:
        return [], 0
    counted = await viewer.row(counting(source), match=match, most=MOST_COUNTED)
    if counted is None or not counted["rows"]:
        return [], 0
    order = "rank" if counted["rows"] <= MOST_COUNTED else "rowid desc"
    found = await viewer.rows(
        matching(source, order), match=match, begin=BEGIN, end=END, most=MOST_HITS
    )
    return found or [], counted["rows"]


def counting(source: Source) -> Question:
    sql = f"""
        select count(*) as rows
        from (
          select 1
          from {source.fts}
          where {source.fts} match :match
          limit :most + 1
        )
        """  # noqa: S608
    return Question(source.database, (source.table,), sql)


def matching(source: Source, order: str) -> Question:
    sql = f"""
        with found as materialized (
          select
            rowid as number,
            snippet({source.fts}, -1, :begin, :end, '…', 12) as excerpt
          from {source.fts}
          where {source.fts} match :match
          order by {order}
          limit :most
        )
        select
          {source.table}.{source.key} as key,
          {source.table}.{source.title} as title,
          found.excerpt
        from found
        join {source.table} on {source.table}.rowid = found.number
        """  # noqa: S608
    return Question(source.database, (source.table,), sql)


async def by_name(viewer: Viewer, source: Source, text: str) -> list[Row]:
    """The rows of which a name or id begins with the text."""
    found: list[Row] = []
    for name in source.names:
        sql = f"""
            select
              {source.key} as key,
              {source.title} as title,
              {name} as excerpt
            from {source.table}
            where {name} >= :text
              and {name} < :after
            order by {name}
            limit :most
            """  # noqa: S608
        question = Question(source.database, (source.table,), sql)
        found += (
            await viewer.rows(question, text=text, after=text + AFTER_ALL, most=MOST_HITS) or []
        )
    return found


def hit(viewer: Viewer, source: Source, row: Row) -> Hit:
    key = tilde_encode(str(row["key"]))
    href = str(viewer.datasette.urls.row(source.database, source.table, key))
    title = str(row["title"] or row["key"])
    return Hit(href, title, marked(str(row["excerpt"] or "")))


def marked(excerpt: str) -> Markup:
    """The excerpt as HTML with its found words marked."""
    html = FOUND.sub(r"<mark>\1</mark>", str(escape(excerpt)))
    return Markup(html.replace(BEGIN, "").replace(END, ""))  # noqa: S704


def page_of_all(viewer: Viewer, source: Source, words: list[str]) -> str:
    """The table's own page with the same search, which knows how to filter, sort and export."""
    question: dict[str, Any] = {"_search": expression(words), "_searchmode": "raw"}
    table = viewer.datasette.urls.table(source.database, source.table)
    return f"{table}?{urlencode(question)}"
