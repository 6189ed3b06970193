"""The page that searches everything: results, permissions, and unusual search texts."""

from __future__ import annotations

import html
import re
import sqlite3
import unicodedata
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from datasette.app import Datasette
from in_process import READER, READING, ROOT, asking, metadata, serving

from dailies.web.pages import search
from loaders import campaigns, open_database
from loaders.search import may_hold_words

INSERT_TOPICS = """
    insert into trending_topics (topic, source)
    with recursive numbers (number) as (
      select 1 union all select number + 1 from numbers where number < 1202
    )
    select 'glowing ' || number, 'test' from numbers
    """
HIT = re.compile(r'<li><a href="([^"]+)">')


@pytest.fixture(scope="module")
def datasette(shared_datasette: Datasette) -> Datasette:
    return shared_datasette


async def look_for(datasette: Datasette, text: str, actor: Any = None) -> str:
    async with asking(datasette, actor) as client:
        response = await client.get(f"/-/search?{urlencode({'q': text})}")
    assert response.status_code == 200, response.text
    page = str(response.text)
    return html.unescape(page[page.index("<main") : page.index("</main>")])


@pytest.mark.parametrize(
    ("text", "title", "href", "where"),
    [
        ("shaky", "Matcha Starter Kit – spring launch", "/campaigns/jobs/spring-matcha-avatar",
         "Campaigns"),
        ("sha", "Matcha Starter Kit – spring launch", "/campaigns/jobs/spring-matcha-avatar",
         "Campaigns"),
        ("SHAKY coff", "Matcha Starter Kit – spring launch",
         "/campaigns/jobs/spring-matcha-avatar", "Campaigns"),
        ("squirrel jump", "images/nutsy/nutsy_happy_jumping.png",
         "/image_library/image_library/2", "Image library: Images"),
        ("sustain", "sustainable fashion", "/trends/trending_topics/12",
         "Trends: Trending topics"),
        ("whisk", "Which matcha whisk survives Butcher?", "/metrics/video_metadata/2",
         "Metrics: Videos"),
        ("run-13", "run-13-d7aaf551", "/yt-builder/jobs/13", "YouTube builder: Builds"),
        ("pitch-ring", "pitch-ring-light", "/presentation_jobs/presentation_jobs/pitch-ring-light",
         "Presentations"),
        ("dly_vid_003", "28 days in a fridge bag", "/metrics/video_metadata/3", "Metrics: Videos"),
        ("抹茶", "抹茶スイーツ", "/trends/trending_topics/14", "Trends: Trending topics"),
        ("kuhl", "28 Tage im Kühlschrank", "/metrics/video_metadata/4", "Metrics: Videos"),
    ],
)  # fmt: skip
async def test_words_their_beginnings_and_names_are_found(
    datasette: Datasette, text: str, title: str, href: str, where: str
) -> None:
    page = await look_for(datasette, text)
    section = page.partition(f">{where}</h2>")[2].partition("</section>")[0]
    assert f'<a href="{href}">{title}</a>' in section


async def test_the_words_found_are_marked(datasette: Datasette) -> None:
    page = await look_for(datasette, "coff")
    assert "<mark>Coffee</mark> made me shaky" in page


async def test_all_words_must_be_there(datasette: Datasette) -> None:
    assert "No results for all of these words" in await look_for(datasette, "shaky squirrel")


@pytest.mark.parametrize(
    "text",
    [
        '"', '"" "', "*", "a*", "AND", "NOT (", "NEAR(", "^a", "hook:shaky", "{a b}", "-", "'", ";",
        "\0", "a\0b", "%", "_", "💤", "\ud7ff", "'; drop table jobs; --", "x" * 5000,
        " ".join("ab" for _ in range(500)),
    ],
)  # fmt: skip
async def test_any_text_can_be_searched(datasette: Datasette, text: str) -> None:
    assert "Search everything" in await look_for(datasette, text)


async def test_an_empty_search_is_explained(datasette: Datasette) -> None:
    assert "Search for words in campaigns" in await look_for(datasette, "")
    assert HIT.search(await look_for(datasette, "  ")) is None


async def test_more_hits_link_to_the_table(samples: Path) -> None:
    with closing(open_database("trends")) as db:
        db.conn.execute(INSERT_TOPICS)
    with serving() as datasette:
        page = await look_for(datasette, "glow")
        [href] = re.findall(r'<a href="([^"]+)">All 1,000\+ in Trends: Trending topics</a>', page)
        assert len(HIT.findall(page)) == search.MAX_HITS
        async with asking(datasette, None) as client:
            path, _, arguments = href.partition("?")
            answer = (await client.get(f"{path}.json?{arguments}&_extra=count")).json()
    assert answer["count"] == 1202


@pytest.mark.parametrize(
    ("path", "text", "key"),
    [
        ("/campaigns/jobs", "hak coff", "spring-matcha-avatar"),
        ("/campaigns/jobs", "haky", "spring-matcha-avatar"),
        ("/yt-builder/jobs", "un-13", "13"),
        ("/yt-builder/youtube_uploads", "ly_vid_001", "1"),
        ("/presentation_jobs/presentation_jobs", "tch-ring", "pitch-ring-light"),
        ("/trends/trending_topics", "ainable fash", "12"),
        ("/trends/trending_topics", "スイ", "14"),
        ("/metrics/video_metadata", "hisk", "2"),
        ("/image_library/image_library", "quirrel ump", "2"),
    ],
)
async def test_table_pages_find_parts_of_words(
    datasette: Datasette, path: str, text: str, key: str
) -> None:
    async with asking(datasette, None) as client:
        page = await client.get(f"{path}?{urlencode({'_search': text})}")
        assert re.search(r'name="_search" value="([^"]*)"', page.text)[1] == text  # type: ignore[index]
        found = (await client.get(f"{path}.json?{urlencode({'_search': text})}")).json()["rows"]
        assert key in [str(row.get("job_id") or row["id"]) for row in found]
        nothing = await client.get(f"{path}.json?_search=nowhere-to-be-found")
        assert nothing.json()["rows"] == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("_search_hook=haky", ["spring-matcha-avatar"]),
        ("_search_product=haky", []),
        ("_search=shak*&_searchmode=raw", ["spring-matcha-avatar"]),
        ("_search=hook:sha*&_searchmode=raw", ["spring-matcha-avatar"]),
    ],
)
async def test_table_pages_search_as_datasette_does(
    datasette: Datasette, query: str, expected: list[str]
) -> None:
    async with asking(datasette, None) as client:
        answer = await client.get(f"/campaigns/jobs.json?{query}")
        assert [row["id"] for row in answer.json()["rows"]] == expected
        for column in ("data", "nope", 'hook" or "1'):
            unknown = await client.get(
                f"/campaigns/jobs.json?{urlencode({f'_search_{column}': 'x'})}"
            )
            assert unknown.status_code == 400
            assert unknown.json()["error"] == "Cannot search by that column"


@pytest.mark.parametrize(
    ("database", "table", "text", "absent"),
    [
        ("campaigns", "jobs", "shaky", ["Campaigns", "/campaigns/jobs/"]),
        ("campaigns", "jobs", "spring-matcha", ["Matcha Starter", "Campaigns"]),
        ("yt-builder", "jobs", "run-13", ["d7aaf551", "YouTube builder"]),
        ("yt-builder", "youtube_uploads", "dly_vid_001", ["YouTube builder", "spring launch"]),
        ("presentation_jobs", "presentation_jobs", "pitch", ["pitch-", "Presentations"]),
        ("trends", "trending_topics", "fashion", ["sustainable", "Trending topics"]),
        ("metrics", "video_metadata", "whisk", ["survives", "Videos"]),
        ("image_library", "image_library", "squirrel", ["nutsy_", "Images"]),
    ],
)
async def test_a_closed_table_has_no_hits(
    samples: Path, database: str, table: str, text: str, absent: list[str]
) -> None:
    config = metadata()
    config["databases"][database]["tables"][table]["allow"] = {"id": "root"}
    with serving(config=config, **READING) as datasette:
        for actor in (None, READER):
            page = await look_for(datasette, text, actor)
            assert [word for word in absent if word in page] == []
        page = await look_for(datasette, text, ROOT)
        assert [word for word in absent if word not in page] == []


async def test_a_private_instance_searches_nothing(samples: Path) -> None:
    with serving(config=metadata() | {"allow": {"id": "root"}}, **READING) as datasette:
        async with asking(datasette, None) as client:
            response = await client.get("/-/search?q=shaky")
    assert response.status_code == 403
    assert "Matcha" not in response.text


def test_highlights_are_the_only_markup_of_an_excerpt() -> None:
    hostile = "\x02<b>\x03 \x02 & \x03\x03 <i>\x02"
    assert search.highlight(hostile) == ("<mark>&lt;b&gt;</mark> <mark> &amp; </mark> &lt;i&gt;")


@pytest.mark.parametrize("limit", [2, 10_000])
async def test_a_search_with_many_hits_finds_the_same(
    samples: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """Rows are then read in their order, and counted in another way."""
    with open_database("campaigns") as db:
        for number, name in enumerate(
            ["Café déjà", "cafe", "CAFÉ-crème", "decaf", "x-cafe x", "ca"]
        ):
            campaigns.add_job(db, {"id": f"c{number}", "job_name": name, "hook": f"h{number % 2}"})
    with serving(**READING) as served:
        await served.invoke_startup()
        served.databases["campaigns"].count_limit = limit
        for text in ("cafe", "café", "afe", "creme", "-cre", "deja cafe", "h1", "c", "CAF h0", "ü"):
            address = f"/campaigns/jobs.json?{urlencode({'_search': text})}&_extra=count"
            few = (await served.client.get(address)).json()
            with monkeypatch.context() as patch:
                patch.setattr("loaders.search.MANY", 0)
                many = (await served.client.get(address)).json()
            assert few == many, text
            assert few["count"] == min(len(few["rows"]), limit + 1)


def test_words_are_ruled_out_only_where_the_index_has_none() -> None:
    """In each alphabet: what the index of words makes of a character may be in its text."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("create virtual table words using fts5 (word)")
        connection.execute("create virtual table terms using fts5vocab (words, instance)")
        letters = [
            chr(code) for code in range(1, 0x20000) if unicodedata.category(chr(code))[0] in "LNM"
        ]
        rows = [(ord(letter), f"a{letter}b") for letter in letters]
        connection.executemany("insert into words (rowid, word) values (?, ?)", rows)
        indexed = connection.execute("select doc, term from terms where term glob 'a[a-z0-9]*'")
        found = {doc: term for doc, term in indexed if term.isascii()}
    assert len(found) > 400
    for code, term in found.items():
        assert may_hold_words(term, "x", None, f"a{chr(code)}b")
    assert not may_hold_words("ab", "a b")
    assert may_hold_words("a-b", "a b")
