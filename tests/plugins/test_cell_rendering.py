"""Cells are formatted for people, and stored values never become markup."""

from __future__ import annotations

import html
import json
import re
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils
from datasette.app import Datasette
from in_process import READING, asking, metadata, serving

from dailies.web.pages import formatting
from loaders import open_database
from loaders.registry import DATABASES

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOSTILE = [
    "<script>window.marked = 1</script>",
    "\"><img src=x onerror='window.marked = 1'>",
    "javascript:window.marked=1",
    "'-->{{ 7 * 7 }}",
]


@pytest.fixture(scope="module")
def datasette(shared_datasette: Datasette) -> Datasette:
    return shared_datasette


async def get(datasette: Datasette, path: str) -> str:
    async with asking(datasette, None) as client:
        response = await client.get(path)
    assert response.status_code == 200, (path, response.text)
    return str(response.text)


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("2026-11-20T12:00:10.000Z", "just now"),
        ("2026-11-20T11:58:30.000Z", "2 minutes ago"),
        ("2026-11-20T11:00:00+00:00", "1 hour ago"),
        ("2026-11-20 10:00:00", "2 hours ago"),
        ("2026-11-20T14:00:00+01:00", "in 1 hour"),
        ("2026-11-17T12:00:00.000Z", "3 days ago"),
        ("2026-03-03T10:00:00.000Z", "3 Mar 2026, 10:00"),
        (1772532000, "3 Mar 2026, 10:00"),
        ("1772532000000", "3 Mar 2026, 10:00"),
    ],
)
def test_times_are_relative_and_have_the_stored_text_as_title(stored: Any, shown: str) -> None:
    found = formatting.time_html(stored, NOW)
    assert found is not None
    assert re.sub(r"<[^>]*>", "", found) == shown
    assert f'title="{html.escape(str(stored))}' in found


@pytest.mark.parametrize("stored", ["", "soon", "2026-13-45", 12, -5, 1e300, "9999999999999999"])
def test_other_values_are_not_formatted_as_times(stored: Any) -> None:
    assert formatting.time_html(stored, NOW) is None


def test_a_status_is_a_word_on_a_colour() -> None:
    assert formatting.status_pill("failed") == '<span class="pill pill-bad">failed</span>'
    assert (
        formatting.status_pill("odd & new") == '<span class="pill pill-other">odd &amp; new</span>'
    )
    assert formatting.status_pill(3) is None


@pytest.mark.parametrize(("value", "number"), [(75, "75"), (33.3, "33.3"), (0, "0")])
def test_progress_is_a_bar_and_a_number(value: float, number: str) -> None:
    shown = formatting.progress_bar(value)
    assert shown is not None
    assert f'value="{number}"' in shown
    assert shown.endswith(f"{number} %</span>")


@pytest.mark.parametrize("value", [-1, 101, float("nan"), float("inf"), "75", True, None])
def test_other_values_are_not_formatted_as_progress(value: Any) -> None:
    assert formatting.progress_bar(value) is None


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "data:text/html,x", "//evil", "https://", "ftp://x/y", " "]
)
def test_only_web_addresses_become_links(address: str) -> None:
    assert formatting.web_link(address) is None
    assert "<a " in str(formatting.web_link("https://example.com/?a=1&b=<2>"))


@pytest.mark.parametrize(
    ("start", "end", "took"),
    [
        ("2026-01-01T00:00:00.000Z", "2026-01-01T01:02:03.000Z", "1 h 2 min 3 s"),
        ("2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00.100Z", "0 s"),
        ("2026-01-02T00:00:00.000Z", "2026-01-01T00:00:00.000Z", None),
        (None, "2026-01-01T00:00:00.000Z", None),
    ],
)
def test_duration(start: Any, end: Any, took: str | None) -> None:
    assert formatting.duration(start, end) == took


def test_json_too_deep_for_python_stays_text() -> None:
    assert formatting.folded_json("[" * 100_000 + "]" * 100_000) is None


async def test_builds_show_statuses_times_and_progress(datasette: Datasette) -> None:
    page = await get(datasette, "/yt-builder/jobs")
    assert '<span class="pill pill-bad">failed</span>' in page
    assert '<progress max="100" value="75" aria-label="Progress">' in page
    [row] = json.loads(await get(datasette, "/yt-builder/jobs/13.json"))["rows"]
    time = row["created_at"]
    assert f'<time datetime="{time[:-1]}+00:00" title="{time}">' in page
    assert "<summary>10 fields</summary>" in page


async def test_json_and_csv_have_the_stored_values(datasette: Datasette) -> None:
    [row] = json.loads(await get(datasette, "/yt-builder/jobs/13.json"))["rows"]
    assert row["status"] == "failed"
    assert formatting.parse_time(row["created_at"]) is not None
    assert "<" not in await get(datasette, "/yt-builder/jobs.csv")


@pytest.mark.parametrize(
    ("page", "target"),
    [
        ("/metrics/top_videos", "/-/videos/dly_vid_001"),
        ("/metrics/top_videos", "/trends/trending_topics?topic__exact=matcha+morning+routine"),
        ("/campaigns/recent_jobs", "/campaigns/jobs/spring-matcha-avatar"),
        ("/campaigns/job_history", "/campaigns/job_history?job_id__exact=spring-matcha-avatar"),
        ("/yt-builder/uploads", "/yt-builder/jobs/12"),
        ("/yt-builder/job_events", "/yt-builder/job_events?job_id__exact=13"),
        ("/presentation_jobs/recent_jobs", "/presentation_jobs/presentation_jobs/pitch-ring-light"),
        ("/image_library/pick_image", "/image_library/image_library/1"),
        ("/image_library/image_usage", "/-/videos/dly_vid_001"),
        ("/_memory/build_engagement", "/yt-builder/jobs/1"),
    ],
)
async def test_cells_link_to_other_records(datasette: Datasette, page: str, target: str) -> None:
    assert f'href="{target}"' in await get(datasette, page)
    async with asking(datasette, None) as client:
        response = await client.get(target, follow_redirects=True)
    assert response.status_code == 200


async def test_no_cell_links_to_a_closed_table(samples: Path) -> None:
    config = metadata()
    config["databases"]["trends"]["tables"]["trending_topics"]["allow"] = {"id": "root"}
    with serving(config=config, **READING) as datasette:
        page = await get(datasette, "/metrics/video_metadata")
    assert "matcha morning routine" in page
    assert "trending_topics" not in page


class Markup(HTMLParser):
    """Collects every part of a page that a browser could run: scripts, handlers and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.running: list[str] = []
        self.in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.in_script = tag == "script"
        self.running += [
            str(value)
            for name, value in attrs
            if name.startswith("on") or (name in ("href", "src", "action") and value)
        ]

    def handle_endtag(self, _: str) -> None:
        self.in_script = False

    def handle_data(self, data: str) -> None:
        if self.in_script:
            self.running.append(data)


def running(page: str) -> list[str]:
    """The parts of the page that would run the hostile values."""
    found = Markup()
    found.feed(page)
    return [
        text
        for text in found.running
        if text.strip().lower().startswith(("javascript:", "window.marked", "<script>window"))
    ]


@pytest.fixture
def hostile(samples: Path) -> dict[tuple[str, str], list[str]]:
    """Put hostile values into the text columns of each table; the columns."""
    tables: dict[tuple[str, str], list[str]] = {}
    for name, spec in DATABASES.items():
        with closing(open_database(name)) as db:
            for table in spec.tables:
                if table in db.table_names() and table not in ("job_history", "set_aside"):
                    tables[name, table] = spoil(db, table)
    return tables


def spoil(db: sqlite_utils.Database, table: str) -> list[str]:
    """Put hostile values into each column that accepts one, a different one in each row."""
    spoilt = []
    for column in db[table].columns:
        for place, value in enumerate(HOSTILE):
            sql = f"update {table} set {column.name} = ? where rowid % 4 = ?"
            with suppress(sqlite3.Error):  # most numbers, lists and statuses refuse it
                spoilt += [column.name] * db.conn.execute(sql, [value, place]).rowcount
    return spoilt


@pytest.mark.slow
async def test_no_stored_value_becomes_markup(
    hostile: dict[tuple[str, str], list[str]], samples: Path
) -> None:
    assert sum(map(len, hostile.values())) > 100
    with serving(**READING) as datasette:
        for database, table in hostile:
            page = await get(datasette, f"/{database}/{table}")
            assert running(page) == [], table
            for address in re.findall(rf'href="(/{database}/{table}/[^"?/]+)"', page):
                assert running(await get(datasette, html.unescape(address))) == [], address
        for path in ("/", "/-/search?q=window", "/-/search?q=%3Cscript%3E", "/metrics/top_videos"):
            assert running(await get(datasette, path)) == [], path
