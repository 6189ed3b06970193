"""Search everything: words, their beginnings and parts, and beginnings of names and ids."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlencode

from datasette.app import Datasette
from datasette.utils import tilde_encode
from markupsafe import Markup, escape

from dailies.auth.permissions import Actor
from dailies.web.pages.viewer import PageQuery, Row, Viewer
from loaders.search import SEARCHES, Search, terms_of

TIME_LIMIT_MS = 500
MAX_HITS = 5
MAX_COUNTED = 1_000
MAX_WORDS = 20
MAX_TEXT = 200  # characters
NEARBY = 60  # characters shown on each side of what was found

# FTS5 puts these around the words it found; they become HTML after the excerpt is escaped.
BEGIN, END = "\x02", "\x03"
FOUND = re.compile(f"{BEGIN}([^{BEGIN}{END}]*){END}")
LAST_CHARACTER = "\U0010ffff"


class Source(NamedTuple):
    """A table to search, and its columns: key, title, names searched by their beginning."""

    database: str
    table: str
    key: str
    title: str
    names: tuple[str, ...] = ()

    @property
    def search(self) -> Search:
        return SEARCHES[self.database, self.table]


SOURCES = (
    Source("campaigns", "jobs", "id", "job_name", ("id",)),
    Source("yt-builder", "jobs", "job_id", "run_id", ("run_id",)),
    Source("yt-builder", "youtube_uploads", "id", "title", ("video_id",)),
    Source("presentation_jobs", "presentation_jobs", "job_id", "job_id", ("job_id",)),
    Source("trends", "trending_topics", "id", "topic"),
    Source("metrics", "video_metadata", "id", "title", ("video_id",)),
    Source("image_library", "image_library", "id", "file_path"),
)


class Hit(NamedTuple):
    href: str
    title: str
    excerpt: Markup


class Result(NamedTuple):
    """The first hits in one table; `rows` is their number, `more` if counting stopped early."""

    database: str
    table: str
    hits: list[Hit]
    rows: int
    more: bool
    href: str | None


async def read(datasette: Datasette, actor: Actor, text: str) -> list[Result]:
    """The hits in every table that this actor may see; tables without hits are left out."""
    words = terms_of(text[:MAX_TEXT])[:MAX_WORDS]
    viewer = Viewer(datasette, actor, TIME_LIMIT_MS)
    results = [await search(viewer, source, words) for source in SOURCES] if words else []
    return [result for result in results if result is not None]


async def search(viewer: Viewer, source: Source, words: list[str]) -> Result | None:
    text = " ".join(words)
    named = await by_name(viewer, source, text)
    matching, count = await by_words(viewer, source, text)
    if count < MAX_HITS:
        parts, count = await by_parts(viewer, source, words)
        known = {row["key"] for row in matching}
        matching = [*matching, *(row for row in parts if row["key"] not in known)]
    rows = {row["key"]: row for row in (*matching, *named)}
    if not rows:
        return None
    hits = [hit(viewer, source, row) for row in list(rows.values())[:MAX_HITS]]
    database = await viewer.datasette.get_database_metadata(source.database)
    table = await viewer.datasette.get_resource_metadata(source.database, source.table)
    return Result(
        database=database.get("title") or source.database,
        table=table.get("title") or source.table,
        hits=hits,
        rows=min(max(count, len(rows)), MAX_COUNTED),
        more=count > MAX_COUNTED,
        href=table_href(viewer, source, words) if count > len(hits) else None,
    )


async def by_words(viewer: Viewer, source: Source, text: str) -> tuple[list[Row], int]:
    """The best matches and their number; the newest if there are too many to rank quickly."""
    if source.search.words is None:
        return [], 0
    search = source.search
    count, found = await counted(viewer, source, text, search.with_whole_words, search.with_words)
    if not count:
        return [], 0
    order = "rank" if count <= MAX_COUNTED else "rowid desc"
    query = match_query(source, found, order)
    return await viewer.rows(query, q=text, begin=BEGIN, end=END, max=MAX_HITS) or [], count


async def counted(viewer: Viewer, source: Source, text: str, *ways: str) -> tuple[int, str]:
    """How many rows are found, and in which way: the last, or one before it that finds too many."""
    for found in ways:
        row = await viewer.row(count_query(source, found), q=text, max=MAX_COUNTED)
        count = row["rows"] if row else 0
        if count > MAX_COUNTED:
            break
    return count, found


async def by_parts(viewer: Viewer, source: Source, words: list[str]) -> tuple[list[Row], int]:
    """Rows that hold the words as parts of others, and the number of all rows found."""
    text = " ".join(words)
    search = source.search
    count, _ = await counted(viewer, source, text, search.with_parts, search.found)
    if not count:
        return [], 0
    rows = await viewer.rows(parts_query(source), q=text, max=MAX_HITS) or []
    return [{**row, "excerpt": excerpt(row["excerpt"], words)} for row in rows], count


def count_query(source: Source, found: str) -> PageQuery:
    sql = f"""
        select count(*) as rows
        from (
          select 1
          from ({found})
          limit :max + 1
        )
        """  # noqa: S608
    return PageQuery(source.database, (source.table,), sql)


def parts_query(source: Source) -> PageQuery:
    columns = (f"coalesce({source.table}.{column} || ' ', '')" for column in source.search.columns)
    sql = f"""
        select
          {source.table}.{source.key} as key,
          {source.table}.{source.title} as title,
          {" || ".join(columns)} as excerpt
        from ({source.search.with_parts}) as found
        join {source.table} on {source.table}.rowid = found.rowid
        limit :max
        """  # noqa: S608
    return PageQuery(source.database, (source.table,), sql)


def excerpt(text: str, words: list[str]) -> str:
    """The text around the first of the words that is in it as it was typed, but for its case."""
    lower = text.lower()
    for word in words:
        start = lower.find(word.lower()) if len(lower) == len(text) else -1
        if start >= 0:
            end = start + len(word)
            before, after = text[max(0, start - NEARBY) : start], text[end : end + NEARBY]
            return f"{before}{BEGIN}{text[start:end]}{END}{after}"
    return text[: 2 * NEARBY]


def match_query(source: Source, found: str, order: str) -> PageQuery:
    excerpt = f"snippet({source.search.words}, -1, :begin, :end, '…', 12) as excerpt"
    sql = f"""
        with found as materialized (
          {found.replace("select rowid", f"select rowid as number, {excerpt}", 1)}
          order by {order}
          limit :max
        )
        select
          {source.table}.{source.key} as key,
          {source.table}.{source.title} as title,
          found.excerpt
        from found
        join {source.table} on {source.table}.rowid = found.number
        """  # noqa: S608
    return PageQuery(source.database, (source.table,), sql)


async def by_name(viewer: Viewer, source: Source, text: str) -> list[Row]:
    """The rows with a name or id that begins with `text`."""
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
            limit :max
            """  # noqa: S608
        query = PageQuery(source.database, (source.table,), sql)
        after = text + LAST_CHARACTER
        found += await viewer.rows(query, text=text, after=after, max=MAX_HITS) or []
    return found


def hit(viewer: Viewer, source: Source, row: Row) -> Hit:
    key = tilde_encode(str(row["key"]))
    href = str(viewer.datasette.urls.row(source.database, source.table, key))
    return Hit(href, str(row["title"] or row["key"]), highlight(str(row["excerpt"] or "")))


def highlight(excerpt: str) -> Markup:
    """The excerpt as HTML with its found words marked."""
    html = FOUND.sub(r"<mark>\1</mark>", str(escape(excerpt)))
    return Markup(html.replace(BEGIN, "").replace(END, ""))  # noqa: S704


def table_href(viewer: Viewer, source: Source, words: list[str]) -> str:
    """The table's own page with the same search, which can filter, sort and export."""
    table = viewer.datasette.urls.table(source.database, source.table)
    return f"{table}?{urlencode({'_search': ' '.join(words)})}"
