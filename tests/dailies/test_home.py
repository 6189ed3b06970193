"""The home page: correct numbers, links to their rows, and nothing from closed tables."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from datasette.app import Datasette
from in_process import READER, READING, ROOT, asking, metadata, serving

from dailies.web.pages import home
from loaders import campaigns, open_database
from loaders.registry import DATABASES

NUMBER = re.compile(r'<a href="([^"]+)"><strong>([\d,]+)(\+?)</strong> ([^<]+)</a>')


@pytest.fixture(scope="module")
def datasette(shared_datasette: Datasette) -> Datasette:
    """For tests that only read."""
    return shared_datasette


@pytest.fixture
def own_datasette(samples: Path) -> Iterator[Datasette]:
    with serving() as served:
        yield served


async def get(datasette: Datasette, path: str = "/", actor: Any = None) -> str:
    async with asking(datasette, actor) as client:
        response = await client.get(path)
    assert response.status_code == 200, (path, response.text)
    return str(response.text)


async def numbers(datasette: Datasette) -> dict[str, tuple[int, str]]:
    """The numbers of the databases with their links, by database and label."""
    page = (await get(datasette)).partition('<details class="databases">')[2]
    return {
        f"{html.unescape(href).split('/')[1]} {label}": (
            int(count.replace(",", "")),
            html.unescape(href),
        )
        for href, count, _, label in NUMBER.findall(page)
    }


async def test_each_database_has_title_and_description(datasette: Datasette) -> None:
    page = html.unescape(await get(datasette))
    for name in home.DETAILS:
        about = metadata()["databases"][name]
        assert f'<a href="/{name}">{about["title"]}</a>' in page
        assert about["description"] in page


def test_no_database_is_missing() -> None:
    assert list(home.DETAILS) == list(home.COUNTS) == list(DATABASES)


async def test_each_number_is_the_count_of_the_linked_rows(datasette: Datasette) -> None:
    found = await numbers(datasette)
    assert len(found) > 15
    async with asking(datasette, None) as client:
        for label, (count, href) in found.items():
            path, _, arguments = href.partition("?")
            answer = (await client.get(f"{path}.json?{arguments}&_extra=count&_size=max")).json()
            assert answer["count"] == count, label


async def test_numbers_are_live(own_datasette: Datasette) -> None:
    before = await numbers(own_datasette)
    with closing(open_database("campaigns")) as db:
        campaigns.add_job(db, {"id": "new", "job_name": "New", "enabled": False})
    with closing(open_database("yt-builder")) as db:
        db.conn.execute("update jobs set status = 'queued' where status = 'failed'")
    after = await numbers(own_datasette)
    assert after["campaigns jobs"][0] == before["campaigns jobs"][0] + 1
    assert after["campaigns enabled"][0] == before["campaigns enabled"][0]
    assert after["yt-builder queued"][0] == before["yt-builder queued"][0] + 1
    assert "yt-builder failed" not in after


async def test_counting_stops_at_a_limit(own_datasette: Datasette) -> None:
    sql = """
        insert into search_history (query, source)
        with recursive numbers (number) as (
          select 1 union all select number + 1 from numbers where number < 10500
        )
        select 'matcha', 'test' from numbers
        """
    with closing(open_database("trends")) as db:
        db.conn.execute(sql)
    assert "<strong>10,000+</strong> searches" in await get(own_datasette)


async def test_top_videos_unused_topics_and_best_topics(datasette: Datasette) -> None:
    page = html.unescape(await get(datasette))
    assert '<a href="/-/videos/dly_vid_007">Asleep at noon 💤</a>' in page
    assert "52,244 views on tiktok" in page
    assert '<a href="/trends/trending_topics/10">AI trends 2026</a>' in page
    for platform in ("instagram", "tiktok", "youtube"):
        chart = f"/-/charts/engagement_by_topic?platform={platform}"
        assert f'<a href="{chart}">{platform}</a>' in page
    assert '<a href="/_memory/video_lineage"' in page


@pytest.mark.parametrize(
    ("database", "table", "absent"),
    [
        ("campaigns", "jobs", ["Campaigns", "/campaigns/"]),
        ("yt-builder", "jobs", ["builds", "/yt-builder/jobs", "No space left", "Builds of"]),
        ("presentation_jobs", "presentation_jobs", ["presentations", "HTTP 429"]),
        ("yt-builder", "youtube_uploads", ["Published in 7 days"]),
        ("trends", "trending_topics", ["Unused topics", "AI trends 2026", "<strong>14<"]),
        ("metrics", "video_metrics", ["snapshots", "104", "Views gained"]),
        (
            "metrics",
            "video_metadata",
            ["Asleep", "Top videos", "platform=tiktok", "video_metadata"],
        ),
        ("image_library", "image_usage", ["</strong> uses", "Engagement by image"]),
    ],
)
async def test_nothing_from_a_closed_table_is_shown(
    samples: Path, database: str, table: str, absent: list[str]
) -> None:
    config = metadata()
    config["databases"][database]["tables"][table]["allow"] = {"id": "root"}
    with serving(config=config, **READING) as datasette:
        for actor in (None, READER):
            page = await get(datasette, actor=actor)
            main = page[page.index("<main") : page.index("</main>")]
            assert [text for text in absent if text in main] == []
        page = await get(datasette, actor=ROOT)
        assert [text for text in absent if text not in page] == []


async def test_requests_without_permission_checks_are_not_cached(samples: Path) -> None:
    config = metadata()
    config["databases"]["trends"]["tables"]["trending_topics"]["allow"] = {"id": "root"}
    with serving(config=config, **READING) as datasette:
        await datasette.invoke_startup()
        own = await datasette.client.get("/", skip_permission_checks=True)
        assert "AI trends 2026" in own.text
        assert own.headers["cache-control"] == "private, no-cache"
        assert "AI trends 2026" not in (await datasette.client.get("/")).text


async def test_a_private_instance_shows_nothing(samples: Path) -> None:
    with serving(config=metadata() | {"allow": {"id": "root"}}, **READING) as datasette:
        async with asking(datasette, None) as client:
            response = await client.get("/")
            assert response.status_code == 403
            assert "Campaigns" not in response.text
            assert "matcha" not in response.text


async def test_without_databases_there_is_a_page(data_dir: Path) -> None:
    with serving() as datasette:
        page = await get(datasette)
    assert "Search everything" in page
    assert "Campaigns" not in page


async def test_other_methods_are_refused(datasette: Datasette) -> None:
    async with asking(datasette, ROOT) as client:
        for path in ("/", "/-/search"):
            response = await client.request("DELETE", path, headers={"Sec-Fetch-Site": "none"})
            assert response.status_code == 405
            assert response.json()["error"] == "DELETE is not allowed here"
            assert response.headers["allow"] == "GET, HEAD"


async def test_datasettes_own_home_page_and_json_stay(datasette: Datasette) -> None:
    assert "tables" in await get(datasette, "/-/")
    assert '"databases"' in await get(datasette, "/.json")


async def test_addresses_follow_base_url(samples: Path) -> None:
    with serving(settings={"base_url": "/dailies/"}) as datasette:
        page = await get(datasette, "/dailies/")
    hrefs = re.findall(r'(?:href|action|src)="(/[^"]*)"', page)
    assert [href for href in hrefs if not href.startswith("/dailies/")] == []
