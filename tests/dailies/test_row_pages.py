"""The pages of records: their content, and nothing from closed tables."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from datasette.app import Datasette
from in_process import READER, READING, ROOT, asking, metadata, serving
from legacy import unpack

from loaders import campaigns, open_database, presentation_jobs, upgrade, yt_builder
from loaders.campaigns.diff import ABSENT, Difference, compare
from loaders.registry import database_path

CAMPAIGN = "/campaigns/jobs/spring-matcha-avatar"
BUILD = "/yt-builder/jobs/1"
FAILED_BUILD = "/yt-builder/jobs/13"
PRESENTATION = "/presentation_jobs/presentation_jobs/pitch-sleep-spray"
VIDEO = "/metrics/video_metadata/1"
IMAGE = "/image_library/image_library/1"
TOPIC = "/trends/trending_topics/1"
RECORDS = (CAMPAIGN, BUILD, PRESENTATION, VIDEO, IMAGE, TOPIC)


@pytest.fixture(scope="module")
def datasette(shared_datasette: Datasette) -> Datasette:
    """For tests that only read."""
    return shared_datasette


@pytest.fixture
def own_datasette(samples: Path) -> Iterator[Datasette]:
    with serving() as served:
        yield served


async def get(datasette: Datasette, path: str, actor: Any = None) -> str:
    """The page as text without its raw row, spaces joined."""
    async with asking(datasette, actor) as client:
        response = await client.get(path)
    assert response.status_code == 200, (path, response.text)
    page = response.text
    return " ".join(page[page.index("<main") : page.index('<details class="raw"')].split())


def text_of(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


async def test_a_campaign_shows_its_settings(datasette: Datasette) -> None:
    page = await get(datasette, CAMPAIGN)
    assert "<h1>Matcha Starter Kit – spring launch</h1>" in page
    assert "Hook Coffee made me shaky. This did not." in text_of(page)
    assert "trigger_keywords matcha green tea morning routine" in text_of(page)
    assert "use_overlay yes" in text_of(page)
    assert "Version 1: insert" in text_of(page)
    assert "by sample" in page


async def test_a_campaign_shows_what_each_version_changed(own_datasette: Datasette) -> None:
    with closing(open_database("campaigns")) as db:
        campaigns.update_job(db, "spring-matcha-avatar", {"emotion": "wild <b>", "enabled": False})
        campaigns.update_job(db, "spring-matcha-avatar", {"notes": ["a"], "emotion": "calm"})
    page = text_of(await get(own_datasette, CAMPAIGN))
    second, third = (page.partition(f"Version {number}:")[2] for number in (2, 3))
    assert 'emotion "calm" "wild <b>"' in second
    assert "enabled true false" in second
    assert 'emotion "wild <b>" "calm"' in third
    assert 'notes none ["a"]' in third
    assert page.index("Version 3:") < page.index("Version 2:") < page.index("Version 1:")
    assert "disabled" in page


async def test_a_long_history_is_cut(own_datasette: Datasette) -> None:
    with closing(open_database("campaigns")) as db:
        for number in range(25):
            campaigns.update_job(db, "spring-matcha-avatar", {"take": number})
    page = text_of(await get(own_datasette, CAMPAIGN))
    assert page.count("Version ") == 20
    assert "Version 7: " in page
    assert "take 4 5" in page.partition("Version 7:")[2]
    assert "All versions with their content" in page


async def test_a_job_too_deep_for_python_shows_its_row(own_datasette: Datasette) -> None:
    deep = '{"id": "deep", "job_name": "Deep", "x": ' + "[" * 900 + "]" * 900 + "}"
    with closing(open_database("campaigns")) as db:
        db.conn.execute("insert into jobs (id, data) values ('deep', ?)", [deep])
        db.conn.execute("update jobs set hook = 'Deeper' where id = 'deep'")
    async with asking(own_datasette, None) as client:
        response = await client.get("/campaigns/jobs/deep")
    assert response.status_code == 200
    assert "Deeper" in response.text


async def test_a_build_shows_files_settings_and_uploads(datasette: Datasette) -> None:
    page = await get(datasette, BUILD)
    assert "<h1>Matcha Starter Kit – spring launch</h1>" in page
    text = text_of(page)
    assert "completed 100 %" in text
    assert "kitchen_wide.mp4" in text
    assert "transition crossfade" in text
    assert (
        '<a href="https://www.youtube.com/watch?v=dly_vid_001" '
        'rel="noopener noreferrer nofollow">Watch</a>' in page
    )
    assert '<a href="/-/videos/dly_vid_001">' in page


async def test_a_failed_build_shows_its_error(datasette: Datasette) -> None:
    text = text_of(await get(datasette, FAILED_BUILD))
    assert "failed 75 %" in text
    assert "[Errno 28] No space left on device" in text


async def test_the_events_of_a_build_are_shown(own_datasette: Datasette) -> None:
    with closing(open_database("yt-builder")) as db:
        yt_builder.update_job_status(db, 15, "running")
        yt_builder.update_job_status(db, 15, "failed", error="lens cap on")
    text = text_of(await get(own_datasette, "/yt-builder/jobs/15"))
    assert "queued → running" in text
    assert "running → failed" in text
    assert "lens cap on" in text


async def test_other_addresses_are_not_linked(own_datasette: Datasette) -> None:
    with closing(open_database("yt-builder")) as db:
        db.conn.execute("update youtube_uploads set video_url = 'javascript:alert(1)'")
    page = await get(own_datasette, BUILD)
    assert "javascript:alert(1)" in text_of(page)
    assert 'href="javascript' not in page


async def test_a_presentation_shows_its_files(own_datasette: Datasette) -> None:
    with closing(open_database("presentation_jobs")) as db:
        presentation_jobs.update(db, "pitch-trail-mix", {"status": "processing"})
    text = text_of(await get(own_datasette, PRESENTATION))
    assert "failed 33.3 %" in text
    assert "presentations/pitch-sleep-spray/slide_01.png" in text
    assert re.search(r"Finished \d+ \w+ \d{4}, \d\d:\d\d , after 1 min 16 s", text)
    queued = text_of(
        await get(own_datasette, "/presentation_jobs/presentation_jobs/pitch-trail-mix")
    )
    assert "queued → processing" in queued


async def test_a_video_shows_its_sources_and_performance(datasette: Datasette) -> None:
    page = await get(datasette, VIDEO)
    assert "<h1>Matcha in ninety seconds</h1>" in page
    for href in (
        "/trends/trending_topics/1",
        "/trends/trending_topics/2",
        "/yt-builder/jobs/1",
        "/image_library/image_library/1",
        "/image_library/image_library/2",
        "/metrics/video_growth?video_id=dly_vid_001&amp;platform=tiktok",
        "/_memory/video_lineage?video_id=dly_vid_001",
    ):
        assert f'<a href="{href}">' in page, href
    assert "tiktok 38,388" in text_of(page)


async def test_an_image_shows_where_it_is_used(datasette: Datasette) -> None:
    page = await get(datasette, IMAGE)
    assert "<h1>nutsy, happy, sitting</h1>" in page
    assert '<a href="/-/videos/dly_vid_001">Matcha in ninety seconds</a>' in page
    assert '<a href="/image_library/collection_images?collection_id=1">Nutsy, cheerful</a>' in page
    assert re.search(r"<dd>\d+ × \d+ pixels", page)


async def test_a_topic_shows_the_videos_made_for_it(datasette: Datasette) -> None:
    page = await get(datasette, TOPIC)
    assert "<h1>matcha morning routine</h1>" in page
    assert '<a href="/metrics/video_metadata/1">Matcha in ninety seconds</a>' in page
    assert '<a href="/trends/trending_topics/2">tiktok</a>' in page


async def test_a_video_id_redirects_to_its_page(datasette: Datasette) -> None:
    async with asking(datasette, None) as client:
        known = await client.get("/-/videos/dly_vid_002")
        unknown = await client.get("/-/videos/no~2Fsuch~20video")
        impossible = await client.get("/-/videos/no~2Fsuch~0Avideo")
    assert (known.status_code, known.headers["location"]) == (302, "/metrics/video_metadata/2")
    assert (unknown.status_code, unknown.headers["location"]) == (
        302,
        "/metrics/latest_video_metrics?video_id__exact=no%2Fsuch+video",
    )
    assert (impossible.status_code, "There is no such video" in impossible.text) == (404, True)


async def test_the_stored_row_is_on_the_page(datasette: Datasette) -> None:
    async with asking(datasette, None) as client:
        page = (await client.get(BUILD)).text
        answer = (await client.get(f"{BUILD}.json")).json()
    raw = page[page.index('<details class="raw">') :]
    assert "runs/run-1-12e6874e" in raw
    assert "Links from other tables" in raw
    assert answer["rows"][0]["run_id"] == "run-1-12e6874e"


@pytest.mark.parametrize(
    ("page", "closed", "absent"),
    [
        (CAMPAIGN, ("campaigns", "job_history"), ["History", "Version"]),
        (BUILD, ("yt-builder", "job_files"), ["Files", "kitchen_wide.mp4"]),
        (BUILD, ("yt-builder", "youtube_uploads"), ["Uploads", "dly_vid_001", "Watch"]),
        (BUILD, ("yt-builder", "job_events"), ["Events"]),
        (PRESENTATION, ("presentation_jobs", "job_events"), ["Events"]),
        (VIDEO, ("trends", "trending_topics"), ["google_trends", "trending_topics", "lineage"]),
        (VIDEO, ("yt-builder", "jobs"), ["run-1-12e6874e", "/yt-builder/", "lineage"]),
        (VIDEO, ("yt-builder", "youtube_uploads"), ["run-1-12e6874e", "Watch", "lineage"]),
        (VIDEO, ("image_library", "image_library"), ["nutsy", "image_library", "lineage"]),
        (VIDEO, ("metrics", "latest_video_metrics"), ["38,388", "Performance"]),
        (IMAGE, ("image_library", "image_usage"), ["dly_vid_001", "Used"]),
        (IMAGE, ("metrics", "video_metadata"), ["ninety seconds", "/-/videos/"]),
        (IMAGE, ("image_library", "image_collections"), ["cheerful", "Collections"]),
        (TOPIC, ("metrics", "video_metadata"), ["ninety seconds", "Videos"]),
    ],
)
async def test_nothing_from_a_closed_table_is_shown(
    samples: Path, page: str, closed: tuple[str, str], absent: list[str]
) -> None:
    database, table = closed
    config = metadata()
    config["databases"][database]["tables"][table]["allow"] = {"id": "root"}
    with serving(config=config, **READING) as datasette:
        for actor in (None, READER):
            shown = await get(datasette, page, actor)
            assert [text for text in absent if text in shown] == []
        shown = await get(datasette, page, ROOT)
        assert [text for text in absent if text not in shown] == []


async def test_the_page_of_a_closed_table_shows_nothing(samples: Path) -> None:
    config = metadata()
    config["databases"]["metrics"]["tables"]["video_metadata"]["allow"] = {"id": "root"}
    with serving(config=config, **READING) as datasette:
        async with asking(datasette, None) as client:
            for path in (VIDEO, "/-/videos/dly_vid_001", "/-/videos/nothing"):
                response = await client.get(path)
                assert response.status_code == 403, path
                assert "Matcha" not in response.text


async def test_a_missing_record_is_not_found(datasette: Datasette) -> None:
    async with asking(datasette, None) as client:
        for path in RECORDS:
            response = await client.get(f"{path.rpartition('/')[0]}/987654")
            assert response.status_code == 404
            assert "Row not found" in response.text


OLD_FILES = {
    "campaigns": "campaigns_option3.db",
    "yt-builder": "yt-builder.db",
    "presentation_jobs": "presentation_jobs.db",
    "trends": "trends.db",
    "metrics": "metrics.db",
    "image_library": "image_library.db",
}


@pytest.mark.slow
async def test_every_record_of_earlier_systems_has_a_page(data_dir: Path) -> None:
    for name, file in OLD_FILES.items():
        unpack(file, data_dir).replace(database_path(name))
        upgrade.build(name, database_path(name))
    seen = 0
    with serving(**READING) as datasette:
        async with asking(datasette, None) as client:
            for table in (path.rpartition("/")[0] for path in RECORDS):
                list_page = (await client.get(f"{table}?_size=200")).text
                for path in sorted(set(re.findall(rf'<a href="({table}/[^"?]+)"', list_page))):
                    response = await client.get(html.unescape(path))
                    assert response.status_code == 200, path
                    assert '<details class="raw">' in response.text, path
                    seen += 1
            for path in ("/", "/-/search?q=a", "/metrics/engagement_by_topic"):
                assert (await client.get(path)).status_code == 200, path
    assert seen > 100


async def test_odd_old_rows_have_pages_too(own_datasette: Datasette) -> None:
    """Values that earlier systems stored: invalid JSON, texts in number columns, other times."""
    with closing(open_database("image_library")) as db:
        triggers = db.execute(
            "select name, sql from sqlite_master where type = 'trigger'"
        ).fetchall()
        for name, _ in triggers:
            db.conn.execute(f"drop trigger {name}")
        db.conn.execute(
            """
            update image_library
            set tags = 'no json', width = 'wide', file_size_bytes = 9e999, timestamp = 1772532000,
              last_used_at = 'soon', usage_count = 'often', pose = x'00ff'
            where id = 1
            """
        )
        for _, sql in triggers:
            db.conn.execute(sql)
    page = text_of(await get(own_datasette, IMAGE))
    for text in ("no json", "wide", "3 Mar 2026, 10:00", "Used often times", "last soon"):
        assert text in page


def test_differences_have_path_and_both_values() -> None:
    one = {"a": 1, "b": {"c": [1, 2], "d": None}, "gone": {"x": 1}}
    other = {"a": 1.0, "b": {"c": [1, 3, 4], "d": None}, "new": []}
    assert list(compare(one, other)) == [
        Difference("$.a", 1, 1.0),
        Difference("$.b.c[1]", 2, 3),
        Difference("$.b.c[2]", ABSENT, 4),
        Difference("$.gone", {"x": 1}, ABSENT),
        Difference("$.new", ABSENT, []),
    ]
    assert list(compare(json.loads("{}"), {})) == []


async def test_a_very_long_campaign_is_not_shown_in_full(own_datasette: Datasette) -> None:
    with closing(open_database("campaigns")) as db:
        job = {"id": "long", "job_name": "Long", "scenes": ["x" * 50] * 5000}
        campaigns.add_job(db, job)
        campaigns.update_job(db, "long", {"hook": "y"})
    async with asking(own_datasette, None) as client:
        page = await client.get("/campaigns/jobs/long")
    assert page.status_code == 200
    assert "This campaign is too long to show here" in page.text
    assert "Version 2" in page.text
