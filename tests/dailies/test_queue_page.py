"""The queue page: what it lists and counts, for whom, and what can be done with selected jobs."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from datasette.app import Datasette
from in_process import READER, READING, ROOT, WORKER, asking, metadata, serving

COUNT = re.compile(r'<span data-count="(\w*)">([\d,+]+)</span>')
JOB = re.compile(r'<tr data-job="([^"]+)" data-state="(\w+)">')
STATES = ("running", "queued", "preparing", "failed", "cancelled", "completed")
FAILED = "builds:13"
QUEUED = "builds:15"


@pytest.fixture(scope="module")
def datasette(shared_datasette: Datasette) -> Datasette:
    """For tests that only read."""
    return shared_datasette


@pytest.fixture
def own_datasette(samples: Path) -> Iterator[Datasette]:
    with serving() as served:
        yield served


async def get(datasette: Datasette, path: str, actor: Any = None) -> httpx2.Response:
    async with asking(datasette, actor) as client:
        return await client.get(path)


async def post(datasette: Datasette, path: str, actor: Any, **fields: Any) -> httpx2.Response:
    async with asking(datasette, actor) as client:
        return await client.post(path, data=fields, headers={"Sec-Fetch-Site": "same-origin"})


def text_of(answer: httpx2.Response) -> str:
    main = re.sub(r"<[^>]+>", " ", answer.text.partition("<main")[2].partition("</main>")[0])
    return html.unescape(" ".join(main.split()))


async def test_each_tab_lists_what_its_number_says(datasette: Datasette) -> None:
    page = (await get(datasette, "/-/queue")).text
    counts = {state: int(number) for state, number in COUNT.findall(page)}
    assert counts[""] == len(JOB.findall(page)) == sum(counts[state] for state in STATES) == 23
    for state in STATES:
        for kind in ("", "builds", "presentations"):
            page = (await get(datasette, f"/-/queue?state={state}&kind={kind}")).text
            listed = JOB.findall(page)
            assert dict(COUNT.findall(page))[state] == str(len(listed))
            assert all(job.startswith(kind) and own == state for job, own in listed)
    recent = (await get(datasette, "/-/queue?state=failed&hours=24")).text
    assert JOB.findall(recent) == []
    assert "No failed jobs that ended lately." in recent


async def test_a_value_that_is_wrong_is_named(datasette: Datasette) -> None:
    for query, message in (
        ("state=gone", "state: must be one of running, queued, preparing, failed, cancelled,"),
        ("kind=campaigns", "kind: must be one of builds, presentations"),
        ("hours=9999999", "hours: must be a number up to 8760"),
        ("size=501", "size: must be a number up to 500"),
    ):
        async with asking(datasette, None) as client:
            answer = await client.get(f"/-/queue?{query}")
            assert (answer.status_code, answer.headers["location"]) == (302, "/-/queue")
            assert message in text_of(await client.get("/-/queue"))
    for since in ("", "x", "builds:x"):
        stream = await get(datasette, f"/-/queue/live?since={since}")
        assert (stream.status_code, stream.json()["error"][:7]) == (400, "since: ")


@pytest.mark.parametrize("actor", [None, READER, WORKER, ROOT])
async def test_only_who_may_act_sees_boxes_and_buttons(datasette: Datasette, actor: Any) -> None:
    may = actor in (WORKER, ROOT)
    page = (await get(datasette, "/-/queue?state=failed", actor)).text
    assert ('type="checkbox" name="job"' in page) == ("Retry all 2" in page) == may
    page = (await get(datasette, "/yt-builder/jobs/13", actor)).text
    visible = re.findall(r'<button name="\w+" value="(\w+)" data-for="[^"]*"(?! hidden)', page)
    assert visible == (["retry", "delete"] if may else [])
    for path, fields in (
        ("/-/queue/act", {"action": "retry", "job": FAILED, "confirmed": "yes"}),
        ("/-/queue/undo", {"undo": "x"}),
    ):
        if not may:
            refused = await post(datasette, path, actor, **fields)
            assert refused.status_code == 403
            assert "permission" in text_of(refused).lower()


async def test_a_closed_queue_is_not_shown(samples: Path) -> None:
    config = metadata()
    config["databases"]["yt-builder"]["tables"]["jobs"]["allow"] = {"id": "root"}
    with serving(config=config, **READING) as datasette:
        for actor in (None, READER, WORKER):
            page = (await get(datasette, "/-/queue", actor)).text
            assert {job.partition(":")[0] for job, _ in JOB.findall(page)} == {"presentations"}
            assert "builds" not in page.partition("<main")[2]
            since = re.findall(r'since=([^"]+)"', page)[0]
            stream = await get(datasette, f"/-/queue/live?since={since}&job=builds:13", actor)
            assert stream.status_code == 403
        denied = {"action": "retry", "job": FAILED, "confirmed": "yes"}
        assert (await post(datasette, "/-/queue/act", WORKER, **denied)).status_code == 403
        assert "AI trends 2026" in (await get(datasette, "/-/queue", ROOT)).text
    config["databases"]["presentation_jobs"]["allow"] = {"id": "root"}
    with serving(config=config, **READING) as datasette:
        assert (await get(datasette, "/-/queue")).status_code == 403


async def test_only_what_the_state_allows_is_done(own_datasette: Datasette) -> None:
    jobs = {"job": [FAILED, QUEUED, "presentations:pitch-sleep-spray"]}
    preview = await post(own_datasette, "/-/queue/act", WORKER, action="cancel", **jobs)
    assert "Cancel 1 job?" in text_of(preview)
    assert "2 of 3 selected jobs stay as they are." in text_of(preview)
    path = "/-/queue?state=cancelled"
    assert len(JOB.findall((await get(own_datasette, path)).text)) == 1
    done = await post(
        own_datasette, "/-/queue/act", WORKER, action="cancel", confirmed="yes", **jobs
    )
    assert "1 job cancelled" in text_of(done)
    assert "failed failed as it was" in text_of(done)
    assert len(JOB.findall((await get(own_datasette, path)).text)) == 2
    [token] = re.findall(r'name="undo" value="([^"]+)"', done.text)
    undone = await post(own_datasette, "/-/queue/undo", WORKER, undo=token, state="queued")
    assert (undone.status_code, undone.headers["location"]) == (303, "/-/queue?state=queued")
    assert len(JOB.findall((await get(own_datasette, path)).text)) == 1
    gone = await post(
        own_datasette, "/-/queue/act", WORKER, action="delete", confirmed="yes", **jobs
    )
    assert "3 jobs deleted" in text_of(gone)
    assert (await get(own_datasette, "/yt-builder/jobs/13")).status_code == 404


async def test_what_is_no_job_is_refused(datasette: Datasette) -> None:
    for job, message in (
        ("campaigns:1", 'job: "campaigns:1" is no job'),
        ("builds:x", 'job: "builds:x" is no job'),
        ([f"builds:{number}" for number in range(1001)], "job: at most 1,000 jobs at once"),
        ([], "Select at least one job"),
    ):
        async with asking(datasette, WORKER) as client:
            answer = await client.post("/-/queue/act", data={"action": "retry", "job": job})
            assert (answer.status_code, answer.headers["location"]) == (303, "/-/queue")
            assert message in text_of(await client.get("/-/queue"))
