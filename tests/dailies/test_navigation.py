"""The bar on every page, error pages with it, and titles that say what a page shows."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest
from datasette.app import Datasette
from in_process import READER, READING, ROOT, asking, metadata, serving

LABELS = ["Dashboard", "Campaigns", "Queue", "Videos", "Trends", "Images", "Charts", "Activity"]
BAR = re.compile(r'<nav class="site-nav".*?</nav>', re.DOTALL)
LINK = re.compile(r'<a href="([^"]+)"( aria-current="page")?>([^<]+)</a>')
HEADING = re.compile(r"<h1[^>]*>(.*?)</h1>", re.DOTALL)
TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL)
PAGES = {
    "/": "Dashboard",
    "/campaigns/jobs": "Campaigns",
    "/campaigns/jobs/spring-matcha-avatar": "Campaigns",
    "/campaigns/recent_jobs": "Campaigns",
    "/yt-builder/jobs/13": "Queue",
    "/yt-builder/job_files/1": "Queue",
    "/metrics": "Videos",
    "/trends/unused_topics?limit=3": "Trends",
    "/image_library/image_library": "Images",
    "/-/charts": "Charts",
    "/-/charts/video_growth": "Charts",
    "/-/activity?actor=sample": "Activity",
    "/-/sign-in": None,
    "/api/docs": None,
}


@pytest.fixture(scope="module")
def datasette(shared_datasette: Datasette) -> Datasette:
    return shared_datasette


async def get(datasette: Datasette, path: str, actor: Any = None, **options: Any) -> Any:
    async with asking(datasette, actor) as client:
        return await client.get(path, **options)


def bar(page: str) -> list[tuple[str, str]]:
    """Label and address of each link of the bar."""
    found = BAR.search(page)
    assert found, page[:2000]
    return [(label, href) for href, _, label in LINK.findall(found[0])]


def current(page: str) -> str | None:
    found = BAR.search(page)
    assert found
    return next((label for _, mark, label in LINK.findall(found[0]) if mark), None)


def text(pattern: re.Pattern[str], page: str) -> str:
    found = pattern.search(page)
    assert found
    return " ".join(html.unescape(re.sub("<[^>]*>", "", found[1])).split())


@pytest.mark.parametrize("path", PAGES)
async def test_each_page_has_the_bar_and_its_own_title(datasette: Datasette, path: str) -> None:
    page = (await get(datasette, path)).text
    assert [label for label, _ in bar(page)] == LABELS
    assert current(page) == PAGES[path]
    assert text(TITLE, page).startswith(text(HEADING, page).rstrip("🔒 "))
    assert 'href="/-/sign-in?next=' in page


async def test_each_link_of_the_bar_has_a_page(datasette: Datasette) -> None:
    for label, href in bar((await get(datasette, "/")).text):
        response = await get(datasette, href)
        assert response.status_code == 200, label
        assert current(response.text) == label


@pytest.mark.parametrize(
    ("path", "status", "heading", "message"),
    [
        ("/nothing", 404, "Not found", "Database not found"),
        ("/campaigns/nothing", 404, "Not found", "Table not found"),
        ("/campaigns/jobs/nothing", 404, "Not found", "Row not found"),
        ("/campaigns/jobs?_sort=nothing", 400, "Bad request", "Cannot sort table by nothing"),
        ("/campaigns/-/query?sql=select+1", 403, "Not allowed", "permission to run SQL queries"),
        ("/campaigns/-/new-job", 403, "Not allowed", "You need permission to create jobs here."),
    ],
)
async def test_error_pages_have_the_bar(
    datasette: Datasette, path: str, status: int, heading: str, message: str
) -> None:
    response = await get(datasette, path, READER)
    assert response.status_code == status
    page = html.unescape(response.text)
    assert page.count("<h1") == page.count("<main") == 1
    assert [label for label, _ in bar(page)] == LABELS
    assert (text(HEADING, page), message in page) == (heading, True), page
    assert "/static/dailies.css" in page
    assert response.headers["content-type"].startswith("text/html")


async def test_403_offers_to_sign_in_and_returns(datasette: Datasette) -> None:
    page = html.unescape((await get(datasette, "/campaigns/-/new-job?a=1")).text)
    assert (
        'You are not signed in. <a href="/-/sign-in?next=%2Fcampaigns%2F-%2Fnew-job%3Fa%3D1">'
        in (page)
    )
    page = (await get(datasette, "/campaigns/-/new-job", READER)).text
    assert "You are signed in as <strong>reader</strong>." in page


async def test_the_page_to_sign_in_does_not_lead_back_to_itself(datasette: Datasette) -> None:
    page = html.unescape((await get(datasette, "/-/sign-in?next=/campaigns")).text)
    assert '<a class="sign-in" href="/-/sign-in?next=%2Fcampaigns">' in page


async def test_errors_for_programs_are_still_json(datasette: Datasette) -> None:
    accepting = {"Accept": "application/json"}
    for path, status in (("/campaigns/nothing.json", 404), ("/campaigns/-/new-job", 403)):
        response = await get(datasette, path, headers=accepting)
        assert response.status_code == response.json()["status"] == status


async def test_a_form_from_another_site_is_refused_on_a_page(datasette: Datasette) -> None:
    async with asking(datasette, ROOT) as client:
        response = await client.post("/-/sign-in", headers={"Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 403
    assert "Nothing was changed." in response.text


async def test_the_bar_leads_nowhere_forbidden(samples: Path) -> None:
    config = metadata()
    config["databases"]["trends"]["tables"]["trending_topics"]["allow"] = {"id": "root"}
    with serving(config=config, **READING) as datasette:
        assert "Trends" not in dict(bar((await get(datasette, "/", READER)).text))
        assert "Trends" in dict(bar((await get(datasette, "/", ROOT)).text))
    with serving(config=metadata() | {"allow": {"id": "root"}}, **READING) as datasette:
        refused = await get(datasette, "/campaigns/jobs")
        assert (refused.status_code, bar(refused.text)) == (403, [])
        assert "Sign in" in refused.text
        missing = await get(datasette, "/nothing")
        assert (missing.status_code, bar(missing.text)) == (404, [])


async def test_a_build_is_called_by_its_title(datasette: Datasette) -> None:
    page = (await get(datasette, "/yt-builder/jobs/1")).text
    assert text(HEADING, page) == "Matcha Starter Kit – spring launch"
    assert "run-1-12e6874e" in page
