"""The dashboard: each number is the count of its rows, and is shown to those who may see them."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from datasette.app import Datasette
from in_process import READER, READING, WORKER, asking, serving

from loaders import open_database

NUMBER = re.compile(r'<a href="([^"]+)"><strong>([\d,]+)(\+?)</strong> ([^<]+)</a>')
RETRY = re.compile(r'<a class="button" href="([^"]+)">Retry all')
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
DISK = "[Errno 28] No space left on device"
CODEC = "ffmpeg: Invalid data <found>\nmoov atom not found"
BUILDS = """
    insert into jobs (run_id, run_dir, status, config)
    values
      ('run-a', 'a', 'queued', '{"title": "The <long> take"}'),
      ('run-b', 'b', 'queued', null),
      ('run-c', 'c', 'queued', null),
      ('run-d', 'd', 'queued', null),
      ('run-e', 'e', 'queued', null);
    update jobs set status = 'running', worker = 'w-9' where run_id in ('run-a', 'run-b');
    update jobs set progress = 40, current_step = 'Cutting' where run_id = 'run-a';
    update jobs set last_heartbeat = '2026-01-01T00:00:00.000Z' where run_id = 'run-b';
    update jobs set status = 'running' where run_id in ('run-c', 'run-d', 'run-e');
    update jobs set status = 'completed' where run_id = 'run-e';
    """
FAIL = "update jobs set status = 'failed', error = ? where run_id in ('run-c', 'run-d')"


@pytest.fixture(scope="module")
def datasette(shared_samples: Path) -> Iterator[Datasette]:
    with closing(open_database("yt-builder")) as db:
        db.conn.executescript(BUILDS)
        db.conn.execute(FAIL, [CODEC])
        db.conn.commit()
    with serving(**READING) as served:
        yield served


async def get(datasette: Datasette, actor: Any = None) -> str:
    async with asking(datasette, actor) as client:
        response = await client.get("/")
    assert response.status_code == 200, response.text
    return str(response.text)


def region(page: str, heading: str) -> str:
    """The section with this heading, without its tags but for links and buttons."""
    section = next(one for one in page.split("<section")[1:] if f">{heading}<" in one)
    return " ".join(section.partition("</section>")[0].split())


async def test_each_number_is_the_count_of_its_rows(datasette: Datasette) -> None:
    page = (await get(datasette)).partition('<details class="databases">')[0]
    found = NUMBER.findall(page)
    assert len(found) > 12
    async with asking(datasette, None) as client:
        for escaped, count, more, label in found:
            href = html.unescape(escaped)
            path, _, arguments = href.partition("?")
            answer = await client.get(f"{path}.json?{arguments}&_size=max")
            assert answer.status_code == 200, answer.text
            rows = answer.json()["rows"]
            total = sum(row["views_gained"] for row in rows) if label == "views" else len(rows)
            assert (int(count.replace(",", "")), more) == (total, ""), (href, label)


async def test_tiles(datasette: Datasette) -> None:
    page = await get(datasette)
    assert "<strong>2</strong> builds" in region(page, "Running")
    assert "the oldest <time" in region(page, "Waiting")
    assert "<strong>2</strong> builds" in region(page, "Failed in 24 hours")
    assert "<strong>0</strong> presentations" in region(page, "Failed in 24 hours")
    assert "uploads" in region(page, "Published in 7 days")
    assert "views" in region(page, "Views gained in 7 days")


async def test_running_jobs_are_called_by_their_titles(datasette: Datasette) -> None:
    running = region(await get(datasette), "Running now")
    assert "The &lt;long&gt; take</a>" in running
    assert ">run-b</a>" in running
    for text in ("40 %", "Cutting", "by w-9", 'data-live="builds"'):
        assert text in running


async def test_what_needs_attention(datasette: Datasette) -> None:
    attention = region(await get(datasette), "Needs attention")
    assert "<strong>2</strong> builds</a> failed in the last 24 hours" in attention
    assert "ffmpeg: Invalid data &lt;found&gt;</span>" in attention
    assert f"{DISK}</span>" in attention
    assert "<strong>1</strong> build</a> running without a heartbeat" in attention
    assert "waiting for more than a day" in attention


async def test_only_those_who_may_retry_are_offered_it(datasette: Datasette) -> None:
    for actor in (None, READER):
        assert RETRY.findall(await get(datasette, actor)) == []
    questions = []
    async with asking(datasette, WORKER) as client:
        for href in RETRY.findall(await get(datasette, WORKER)):
            page = await client.get(html.unescape(href))
            questions += re.findall("<h1>(.*?)</h1>", page.text)
    assert questions == [
        "Retry 2 builds?", "Retry 2 builds?", "Retry 1 build?", "Retry 1 presentation?",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("actor", "address", "status", "message"),
    [
        (None, "resource=builds&like=13", 403, "You need permission to change jobs here."),
        (READER, "resource=builds&like=13", 403, "You need permission to change jobs here."),
        (WORKER, "resource=campaigns&like=1", 404, "The address names no queue"),
        (WORKER, "resource=builds&since=2026", 404, "The address names no failed jobs"),
    ],
)
async def test_retrying_is_refused(
    datasette: Datasette, actor: Any, address: str, status: int, message: str
) -> None:
    async with asking(datasette, actor) as client:
        for method in ("GET", "POST"):
            response = await client.request(method, f"/-/retry-failed?{address}")
            assert (response.status_code, message in response.text) == (status, True)


async def test_jobs_are_retried_by_reason_and_since_a_time(samples: Path) -> None:
    with closing(open_database("yt-builder")) as db, serving() as datasette:
        db.conn.executescript(BUILDS)
        db.conn.execute(FAIL, [CODEC])
        db.conn.commit()
        reasons = RETRY.findall(await get(datasette, WORKER))
        async with asking(datasette, WORKER) as client:
            answers = [
                await client.post(html.unescape(href), headers=FORM, content="")
                for href in (reasons[1], reasons[1], reasons[0])
            ]
            page = (await client.get("/")).text
        assert [answer.status_code for answer in answers] == [303, 303, 303]
        assert "2 builds queued again" in page
        events = "select status_to, actor, count(*) from job_events where status_to = 'queued'"
        found = [tuple(row) for row in db.conn.execute(f"{events} and status_from = 'failed'")]
        assert found == [("queued", "worker", 2)]
        assert len(RETRY.findall(await get(datasette, WORKER))) == len(reasons) - 2


async def test_builds_of_the_last_days(datasette: Datasette) -> None:
    page = await get(datasette)
    today = datetime.now(UTC).date()
    assert f"<title>{today}: 1 completed, 2 failed</title>" in page
    assert page.count("<rect class=") == 60
