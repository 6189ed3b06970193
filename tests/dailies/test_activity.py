"""The list of all changes: by actor and day, with differences, for those who may see them."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from datasette.app import Datasette
from in_process import READER, READING, ROOT, WORKER, asking, metadata, serving

from dailies.web.pages import activity
from loaders import campaigns, open_database
from loaders.connections import acting_as

YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
ITEM = re.compile(r"<li>\s*<p>(.*?)</li>", re.DOTALL)
KEY = "spring-matcha-avatar"


@pytest.fixture(scope="module")
def datasette(shared_samples: Path) -> Iterator[Datasette]:
    """The sample rows, and changes of yesterday: of a campaign, of another, and of a build."""
    with closing(open_database("campaigns")) as db:
        campaigns.update_job(db, KEY, {"emotion": "<calm>", "product": "Tea"}, actor="mia")
        campaigns.delete_job(db, "bytesize-hi", actor="mia")
        db.conn.execute(
            "update job_history set changed_at = ? where actor = 'mia'",
            [f"{YESTERDAY}T10:00:00.000Z"],
        )
        db.conn.commit()
    with closing(open_database("yt-builder")) as db:
        with acting_as(db, "mia") as connection:
            connection.execute("update jobs set status = 'queued' where job_id = 13")
        at = f"{YESTERDAY}T09:00:00.000Z"
        db.conn.execute("update job_events set at = ? where actor = 'mia'", [at])
        db.conn.commit()
    with serving(**READING) as served:
        yield served


async def get(datasette: Datasette, path: str, actor: Any = None) -> str:
    async with asking(datasette, actor) as client:
        response = await client.get(path)
    assert response.status_code == 200, response.text
    return str(response.text)


def text(part: str) -> str:
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", part)).split())


def items(page: str) -> list[str]:
    """The changes on the page, each as one text; without its times."""
    return [
        re.sub(r"(just now|[0-9]+ (hour|minute|day)s? ago) ?", "", text(part))
        for part in ITEM.findall(page)
    ]


async def test_the_changes_of_one_actor_on_one_day(datasette: Datasette) -> None:
    page = await get(datasette, f"/-/activity?actor=mia&day={YESTERDAY}")
    campaign = "update Campaign Matcha Starter Kit – spring launch spring-matcha-avatar by mia"
    changed = 'Field Before After product "Matcha Starter Kit" "Tea" emotion "calm" "<calm>"'
    assert items(page) == [
        "delete Campaign C++ Bootcamp – हिन्दी में bytesize-hi by mia",
        f"{campaign} {changed}",
        "update Build AI trends 2026 13 failed → queued by mia",
    ]


async def test_links_filter_and_restore(datasette: Datasette) -> None:
    page = html.unescape(await get(datasette, f"/-/activity?day={YESTERDAY}", ROOT))
    assert f'href="/-/activity?actor=mia&day={YESTERDAY}"' in page
    assert 'href="/-/activity"' in page
    assert 'href="/campaigns/-/restore-job?key=bytesize-hi">Restore<' in page
    assert f'href="/campaigns/-/restore-job?key={KEY}&version=1">Restore version 1<' in page
    for actor in (None, READER):
        assert "restore-job" not in await get(datasette, f"/-/activity?day={YESTERDAY}", actor)


async def test_pages_hold_every_change_once(datasette: Datasette) -> None:
    logs = [f"{one.database}/{one.log}" for one in activity.SOURCES]
    async with asking(datasette, None) as client:
        answers = [await client.get(f"/{log}.json?_extra=count&_size=0") for log in logs]
    found: list[str] = []
    path: str | None = "/-/activity"
    while path:
        page = html.unescape(await get(datasette, path))
        found += re.findall(r'datetime="([^"]+)"', page)
        older = re.search(r'<a href="([^"]+)">Older<', page)
        path = older[1] if older else None
    assert len(found) == sum(answer.json()["count"] for answer in answers)
    assert found == sorted(found, reverse=True)


async def test_what_has_no_history_is_listed_as_added(datasette: Datasette) -> None:
    shown = items(await get(datasette, "/-/activity?database=trends"))
    assert len(shown) == 14
    assert sum(one.startswith("insert Topic AI trends 2026 10") for one in shown) == 1
    assert items(await get(datasette, "/-/activity?database=trends&actor=mia")) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("day=yesterday", 'day: must be a date such as 2026-11-20, not "yesterday"'),
        ("page=0", "page: must be a number from 1 to 20"),
        ("page=99", "page: must be a number from 1 to 20"),
        ("database=secret", 'database: there are no changes of "secret"'),
    ],
)
async def test_wrong_filters_are_refused(
    datasette: Datasette, arguments: str, message: str
) -> None:
    async with asking(datasette, None) as client:
        response = await client.get(f"/-/activity?{arguments}")
    assert (response.status_code, message in html.unescape(response.text)) == (400, True)


@pytest.mark.parametrize(
    ("database", "table", "absent"),
    [
        ("campaigns", "jobs", ["/campaigns/jobs/", "Campaigns</option>"]),
        ("campaigns", "job_history", ["/campaigns/jobs/", "Campaigns</option>"]),
        ("yt-builder", "job_events", ["</span> Build"]),
        ("presentation_jobs", "presentation_jobs", ["Presentation", "pitch"]),
    ],
)
async def test_nothing_of_a_closed_table_is_shown(
    datasette: Datasette, database: str, table: str, absent: list[str]
) -> None:
    config = metadata()
    config["databases"][database]["tables"][table]["allow"] = {"id": "root"}
    with serving(config=config, **READING) as closed:
        for actor in (None, WORKER):
            page = await get(closed, "/-/activity", actor)
            assert [text for text in absent if text in page] == []
        page = await get(closed, "/-/activity", ROOT)
        assert [text for text in absent if text not in page] == []
