"""What a person does with jobs, topics and images, by clicking and typing in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from axe import violations
from playwright.sync_api import Page, expect
from server_process import RunDailies, ServerProcess

CAMPAIGN = "/campaigns/jobs/spring-matcha-avatar"


@pytest.fixture
def site(samples: None, server: ServerProcess) -> ServerProcess:
    """A server over the sample rows, a copy for each test."""
    return server


@pytest.fixture
def worker(page: Page, site: ServerProcess) -> Iterator[Page]:
    """The page of somebody who is signed in as worker; nothing on it may fail."""
    wrong: list[str] = []
    page.on(
        "console",
        lambda told: (
            wrong.append(told.text)
            if told.type == "error" and "status of 400" not in told.text  # of a form filled wrongly
            else None
        ),
    )
    page.goto(f"{site.url}/-/sign-in")
    page.get_by_label("Token").fill(site.token("worker"))
    page.get_by_role("button", name="Sign in").click()
    yield page
    assert wrong == []


def choose(page: Page, action: str) -> None:
    """Choose from the menu of the page's actions."""
    page.locator("details.actions-menu-links summary").click()
    page.get_by_role("menuitem", name=action).click()


def confirm(page: Page, button: str) -> None:
    assert violations(page) == []
    page.get_by_role("button", name=button, exact=True).click()


def test_a_campaign_is_duplicated_deleted_and_brought_back(
    worker: Page, site: ServerProcess
) -> None:
    worker.goto(site.url + CAMPAIGN)
    title = worker.get_by_role("heading", level=1).inner_text()
    choose(worker, "Duplicate job")
    confirm(worker, "Duplicate job")
    expect(worker.get_by_role("heading", level=1)).to_have_text(f"{title} (Copy)")
    expect(worker.get_by_role("status")).to_contain_text("This is the copy of spring-matcha-avatar")

    choose(worker, "Delete job")
    confirm(worker, "Delete")
    expect(worker.get_by_role("status")).to_contain_text("Deleted")
    confirm(worker, "Restore job")
    expect(worker.get_by_role("heading", level=1)).to_have_text(f"{title} (Copy)")


def test_a_campaign_goes_back_to_an_earlier_version(worker: Page, site: ServerProcess) -> None:
    worker.goto(site.url + CAMPAIGN)
    choose(worker, "Edit job")
    before = worker.get_by_label("Hook").input_value()
    worker.get_by_label("Hook").fill("Something else")
    worker.get_by_role("button", name="Save").click()
    expect(worker.locator("ins").first).to_contain_text("Something else")
    worker.get_by_role("link", name="Go back to version 1").click()
    expect(worker.locator("body")).to_contain_text("It becomes what it was in version 1.")
    confirm(worker, "Restore job")
    expect(worker.get_by_role("status")).to_contain_text("as it was in version 1")
    [job] = site.request("GET", "/api/campaigns/spring-matcha-avatar").json()["rows"]
    assert job["hook"] == before


def test_a_build_is_retried_and_cancelled(worker: Page, site: ServerProcess) -> None:
    worker.goto(f"{site.url}/yt-builder/jobs?status=failed")
    worker.locator("td.type-pk a").first.click()
    expect(worker.locator("main .pill").first).to_have_text("failed")
    choose(worker, "Retry")
    confirm(worker, "Retry")
    expect(worker.locator("main .pill").first).to_have_text("queued")
    choose(worker, "Cancel")
    confirm(worker, "Cancel")
    expect(worker.locator("main .pill").first).to_have_text("cancelled")
    expect(worker.locator("main")).to_contain_text("by worker")


def test_a_topic_is_marked_as_used(worker: Page, site: ServerProcess) -> None:
    worker.goto(site.url)
    unused = worker.get_by_role("region", name="Unused topics")
    topic = unused.locator("ol a").first.inner_text()
    unused.locator("ol a").first.click()
    choose(worker, "Mark as used")
    confirm(worker, "Mark as used")
    expect(worker.get_by_role("status")).to_contain_text("The topic is marked as used")
    worker.goto(site.url)
    expect(unused.locator("ol")).not_to_contain_text(topic)


def test_an_image_is_picked_and_its_use_recorded(worker: Page, site: ServerProcess) -> None:
    worker.goto(f"{site.url}/image_library/pick_image?character=nutsy&emotion=happy")
    worker.locator("table.rows-and-columns td a").first.click()
    picture = worker.locator("img.picture")
    expect(picture).to_be_visible()
    assert picture.get_attribute("alt")
    uses = int(re.findall(r"Used (\d+) times", worker.locator("main").inner_text())[0])
    choose(worker, "Use image")
    worker.get_by_label("Video").fill("dly_vid_001")
    worker.get_by_label("Scene").fill("0.5")
    worker.get_by_role("button", name="Use image").click()
    expect(worker.get_by_role("alert")).to_contain_text("must be a whole number")
    expect(worker.get_by_label("Video")).to_have_value("dly_vid_001")
    worker.get_by_label("Scene").fill("4")
    confirm(worker, "Use image")
    expect(worker.locator("main")).to_contain_text(f"Used {uses + 1} times")


def test_others_see_no_button(page: Page, site: ServerProcess, run_dailies: RunDailies) -> None:
    for path in (CAMPAIGN, "/yt-builder/jobs/13", "/trends/trending_topics/1"):
        page.goto(site.url + path)
        expect(page.locator("details.actions-menu-links")).to_have_count(0)
        assert page.get_by_role("link", name="Go back to version").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_that_ask_fit_a_phone(worker: Page, site: ServerProcess, scheme: str) -> None:
    worker.set_viewport_size({"width": 390, "height": 800})
    worker.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    for path in (
        "/campaigns/-/restore-job?key=spring-matcha-avatar&version=1",
        "/image_library/-/use-image?key=1",
        "/yt-builder/-/retry-job?key=13",
        "/api/docs",
    ):
        worker.goto(site.url + path)
        assert violations(worker) == []
        assert worker.evaluate("document.documentElement.scrollWidth") <= 390
