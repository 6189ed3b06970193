"""Every page is accessible in light, in dark and on a phone, and loads without errors.

The pages of charts are in test_charts.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from axe import DESKTOP, violations, violations_in_all_modes
from browser_site import Site, watch
from playwright.sync_api import Browser, Page

GOOD = """
    <!doctype html>
    <html lang="en">
    <title>Good</title>
    <main><h1>Good</h1><label>Name <input></label><p>Text</p></main>
    </html>
    """
PAGES = {
    "home": "/",
    "search": "/-/search?q=mat",
    "database": "/campaigns",
    "queries across": "/_memory",
    "table": "/campaigns/jobs",
    "filtered table": "/yt-builder/jobs?status=failed",
    "view": "/metrics/latest_video_metrics",
    "history": "/campaigns/job_history",
    "query": "/metrics/top_videos",
    "campaign": "/campaigns/jobs/spring-matcha-avatar",
    "build": "/yt-builder/jobs/13",
    "queue": "/-/queue",
    "presentation": "/presentation_jobs/presentation_jobs/pitch-sleep-spray",
    "video": "/metrics/video_metadata/1",
    "image": "/image_library/image_library/1",
    "topic": "/trends/trending_topics/1",
    "row": "/yt-builder/job_files/1",
    "sign-in": "/-/sign-in",
    "schema": "/campaigns/-/schema",
    "charts": "/-/charts",
    "activity": "/-/activity",
    "API": "/api/docs",
    "missing": "/campaigns/nothing",
}
FOR_ROOT = {
    "job form": "/campaigns/-/new-job",
    "edit form": "/campaigns/-/edit-job?key=spring-matcha-avatar",
    "delete": "/campaigns/-/delete-job?key=spring-matcha-avatar",
    "duplicate": "/campaigns/-/duplicate-job?key=spring-matcha-avatar",
    "restore": "/campaigns/-/restore-job?key=spring-matcha-avatar&version=1",
    "retry": "/yt-builder/-/retry-job?key=13",
    "use image": "/image_library/-/use-image?key=1",
    "database of root": "/campaigns",
    "table of root": "/yt-builder/jobs",
    "SQL of root": "/campaigns/-/query?sql=select+1",
    "campaign of root": "/campaigns/jobs/spring-matcha-avatar",
    "home of root": "/",
    "retry failed": "/-/retry-failed?resource=builds&like=13",
}
UNFOLD = "document.querySelectorAll('main details').forEach(one => { one.open = true })"


@pytest.fixture(scope="module")
def anonymous(browser: Browser) -> Iterator[Page]:
    with closing(browser.new_context()) as context:
        yield context.new_page()


@pytest.fixture(scope="module")
def root(browser: Browser, site: Site) -> Iterator[Page]:
    with closing(browser.new_context()) as context:
        site.sign_in(context, "root")
        yield context.new_page()


def problems(page: Page, site: Site, path: str) -> list[str]:
    """Errors while the page loads, and violations in every mode with everything unfolded."""
    wrong = watch(page, site)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.set_viewport_size(DESKTOP)
    page.emulate_media(color_scheme="light")
    answer = page.goto(site.url + path)
    assert answer is not None
    if path == PAGES["missing"]:
        assert answer.status == 404
        wrong.clear()
    page.evaluate(UNFOLD)
    return violations_in_all_modes(page) + wrong


@pytest.mark.parametrize("name", PAGES)
def test_page_is_accessible_and_loads(anonymous: Page, site: Site, name: str) -> None:
    assert problems(anonymous, site, PAGES[name]) == []


@pytest.mark.parametrize("name", FOR_ROOT)
def test_page_of_root_is_accessible_and_loads(root: Page, site: Site, name: str) -> None:
    assert problems(root, site, FOR_ROOT[name]) == []


@pytest.mark.parametrize(
    ("part", "instead", "rule"),
    [
        ('lang="en"', "", "html-has-lang"),
        ("<label>Name <input></label>", "Name <input>", "label"),
        ("<p>", '<p style="color: #bbb; background: #fff">', "color-contrast"),
        ("<p>", '<p><img src="data:,">', "image-alt"),
    ],
)
def test_axe_reports_a_broken_page(page: Page, part: str, instead: str, rule: str) -> None:
    page.set_content(GOOD.replace(part, instead))
    assert [line.partition(":")[0] for line in violations(page)] == [rule]


def test_axe_accepts_a_good_page(page: Page) -> None:
    page.set_content(GOOD)
    assert violations_in_all_modes(page) == []


def test_wide_and_dark_pages_are_checked(page: Page) -> None:
    style = "@media (prefers-color-scheme: dark) { p { color: #222; background: #000 } }"
    page.set_content(GOOD.replace("<main>", f"<style>{style}</style><main style='width: 1000px'>"))
    found = [line.partition(": ")[2].partition(":")[0] for line in violations_in_all_modes(page)]
    assert found == ["is wider than the window", "color-contrast"]
