"""What people do with pages that they only read, in a browser against a real server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from axe import CONTRAST, set_scheme, violations
from browser_site import STALE, Site, watch
from playwright.sync_api import Browser, Locator, Page, expect

TITLE = "Matcha Starter Kit – spring launch"


@pytest.fixture
def watched(page: Page, site: Site) -> Iterator[Page]:
    """A page without errors, failed responses and requests to other sites."""
    wrong = watch(page, site)
    yield page
    assert wrong == []


def campaigns_in(page: Page) -> Locator:
    """The campaigns that a search found."""
    return page.get_by_role("region", name="Campaigns")


def test_search_everything_finds_a_campaign(watched: Page, site: Site) -> None:
    watched.goto(site.url)
    watched.get_by_label("Search everything").fill("shaky")
    watched.get_by_label("Search everything").press("Enter")
    expect(campaigns_in(watched)).to_be_visible()
    expect(watched.locator("mark").first).to_have_text("shaky")
    campaigns_in(watched).get_by_role("link", name=TITLE).click()
    expect(watched.get_by_role("heading", level=1)).to_have_text(TITLE)
    expect(watched.get_by_text("Coffee made me shaky. This did not.").first).to_be_visible()


def test_a_table_search_finds_a_campaign(page: Page, site: Site) -> None:
    page.goto(site.url)
    page.get_by_role("link", name="Campaigns", exact=True).click()
    page.locator("input[name=_search]").fill("matcha")
    page.locator("input[name=_search]").press("Enter")
    expect(page.locator("main table tbody tr")).to_have_count(2)
    page.get_by_role("link", name=TITLE).first.click()
    expect(page.locator("body")).to_contain_text("Coffee made me shaky. This did not.")


@pytest.mark.parametrize("text", ["", "50% off", 'light 10"', "C++", "AND", "( OR", "e-commerce"])
def test_any_text_can_be_searched(page: Page, site: Site, text: str) -> None:
    page.goto(f"{site.url}/campaigns/jobs")
    page.locator("input[name=_search]").fill(text)
    with page.expect_navigation() as navigation:
        page.locator("input[name=_search]").press("Enter")
    assert navigation.value.status == 200


def test_a_canned_query_uses_its_form(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/campaigns/search_jobs")
    page.locator("main input[name=q]").fill("sleep")
    page.locator("main input[name=q]").press("Enter")
    expect(page.locator("table.rows-and-columns tbody tr")).to_have_count(2)


def test_the_home_page_leads_to_stale_builds(watched: Page, site: Site) -> None:
    watched.goto(site.url)
    attention = watched.get_by_role("region", name="Needs attention")
    stale = attention.get_by_role("listitem").filter(has_text="without a heartbeat")
    stale.get_by_role("link", name="1 build").click()
    expect(watched.locator("table.rows-and-columns tbody tr")).to_have_count(1)
    expect(watched.locator("table.rows-and-columns tbody")).to_contain_text(STALE)
    watched.get_by_role("link", name="17", exact=True).click()
    expect(watched.get_by_role("heading", level=1)).to_have_text(STALE)
    expect(watched.locator("main")).to_contain_text("40 %")


def test_the_home_page_leads_to_the_best_topics_of_a_platform(watched: Page, site: Site) -> None:
    watched.goto(site.url)
    best_topics = watched.get_by_role("region", name="Best topics by platform")
    best_topics.get_by_role("link", name="tiktok").click()
    chart = watched.locator("#chart")
    expect(chart.locator("svg")).to_be_visible()
    answer = site.request("GET", "/metrics/engagement_by_topic.json?platform=tiktok&_shape=array")
    best = max(answer.json(), key=lambda row: row["engagement_rate"])
    expect(chart.locator(".role-axis-label").last).to_contain_text(best["topic"])
    watched.get_by_text("Table", exact=True).click()
    expect(watched.locator("#chart-table tbody tr").first).to_contain_text(best["topic"])


def test_everything_works_with_the_keyboard(watched: Page, site: Site) -> None:
    watched.goto(site.url)
    watched.keyboard.press("Tab")
    expect(watched.locator(":focus")).to_have_text("Skip to the content")
    watched.keyboard.press("Enter")
    watched.keyboard.press("Shift+Tab")
    while watched.locator(":focus").get_attribute("name") != "q":
        watched.keyboard.press("Shift+Tab")
    watched.keyboard.type("shaky")
    watched.keyboard.press("Enter")
    expect(watched.get_by_role("heading", name="Campaigns")).to_be_visible()
    link = campaigns_in(watched).get_by_role("link", name=TITLE)
    link.focus()
    watched.keyboard.press("Enter")
    for control in (
        watched.get_by_role("link", name="Raw"),
        watched.locator("details.raw > summary"),
    ):
        control.focus()
        watched.keyboard.press("Enter")
    expect(watched.locator("details.raw table").first).to_be_visible()


def test_pages_work_without_scripts(browser: Browser, site: Site) -> None:
    with closing(browser.new_context(java_script_enabled=False)) as context:
        page = context.new_page()
        page.goto(site.url)
        page.get_by_label("Search everything").fill("matcha")
        page.get_by_label("Search everything").press("Enter")
        page.get_by_role("link", name="Matcha in ninety seconds").first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Matcha in ninety seconds")
        for text in ("google_trends", "run-1-12e6874e", "nutsy_happy_sitting.png", "tiktok"):
            expect(page.locator("main")).to_contain_text(text)


def test_dark_pages_are_dark(page: Page, site: Site) -> None:
    page.emulate_media(color_scheme="dark")
    page.goto(site.url)
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert colour == "rgb(16, 21, 28)"


def test_dialogs_and_menus_are_accessible(watched: Page, site: Site) -> None:
    site.sign_in(watched.context, "root")
    watched.goto(f"{site.url}/presentation_jobs/presentation_jobs/pitch-sleep-spray")
    watched.locator("details.nav-menu > summary").click()
    assert violations_in_both_schemes(watched) == []
    watched.keyboard.press("Escape")
    watched.locator("details.actions-menu-links > summary").click()
    watched.get_by_role("menuitem", name="Edit row").click()
    expect(watched.get_by_role("dialog")).to_be_visible()
    expect(watched.get_by_label("status", exact=True)).to_have_value("failed")
    assert violations_in_both_schemes(watched) == []
    watched.keyboard.press("Escape")
    watched.goto(f"{site.url}/campaigns/jobs")
    watched.keyboard.press("/")
    expect(watched.get_by_role("dialog")).to_be_visible()
    assert violations_in_both_schemes(watched) == []


def violations_in_both_schemes(page: Page) -> list[str]:
    set_scheme(page, "light")
    found = violations(page)
    set_scheme(page, "dark")
    return found + violations(page, CONTRAST)
