"""The charts in a browser against a real server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from axe import PHONE, violations_in_all_modes
from browser_site import Site, watch
from playwright.sync_api import Browser, Page, expect

from dailies.home import HOME
from dailies.web.charts import read_charts

CHARTS = read_charts(HOME / "canned_queries")
MARKS = "#chart .mark-rect path, #chart .mark-symbol path, #chart .mark-line path"
LABELS = "#chart .role-axis-label text"
COLOURS = """
    label => [getComputedStyle(document.body).backgroundColor, getComputedStyle(label).fill]
    """


@pytest.fixture
def watched(page: Page, site: Site) -> Iterator[Page]:
    """A page without errors, failed responses and requests to other sites."""
    wrong = watch(page, site)
    yield page
    assert wrong == []


def open_chart(page: Page, site: Site, name: str) -> None:
    page.goto(f"{site.url}/-/charts/{name}")
    expect(page.locator(MARKS).first).to_be_attached()
    expect(page.locator("#chart-table")).not_to_have_attribute("open", "")


def colours(page: Page) -> list[str]:
    """Whether the background and the text of the page are light or dark."""
    found = []
    for colour in page.locator(LABELS).first.evaluate(COLOURS):
        parts = [int(part) for part in re.findall(r"\d+", colour)]
        found.append("light" if sum(parts) > 382 else "dark")
    return found


@pytest.mark.parametrize("name", CHARTS)
def test_each_is_drawn_in_all_modes(watched: Page, site: Site, name: str) -> None:
    page = watched
    open_chart(page, site, name)
    assert colours(page) == ["light", "dark"]
    page.emulate_media(color_scheme="dark")
    assert colours(page) == ["dark", "light"]
    page.get_by_text("Table", exact=True).click()
    expect(page.locator("#chart-table table")).to_be_visible()
    assert violations_in_all_modes(page) == []
    page.reload()
    expect(page.locator(MARKS).first).to_be_attached()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    box = page.locator("#chart svg").bounding_box()
    assert box is not None
    assert box["width"] <= PHONE["width"]


def test_the_list_leads_to_each(watched: Page, site: Site) -> None:
    page = watched
    page.goto(site.url)
    page.get_by_role("navigation", name="Site").get_by_role("link", name="Charts").click()
    for chart in CHARTS.values():
        page.get_by_role("link", name=chart.title, exact=True).click()
        expect(page.get_by_role("heading", name=chart.title)).to_be_visible()
        page.go_back()


def test_as_many_bars_as_the_query_has_rows(watched: Page, site: Site) -> None:
    open_chart(watched, site, "most_used_images")
    answer = site.request("GET", "/image_library/most_used_images.json?_shape=array")
    expect(watched.locator("#chart .mark-rect path")).to_have_count(len(answer.json()))


@pytest.mark.parametrize(
    ("name", "series"),
    [
        ("builds_by_day", ["completed", "failed", "created"]),
        ("topics_by_source", ["used", "unused"]),
        ("images_by_character", ["images", "uses"]),
    ],
)
def test_series_are_named(watched: Page, site: Site, name: str, series: list[str]) -> None:
    open_chart(watched, site, name)
    expect(watched.locator("#chart .role-legend-label text")).to_have_text(series)


def test_failed_builds_are_hollow(watched: Page, site: Site) -> None:
    """So that a reader who sees no colours tells them from completed ones."""
    open_chart(watched, site, "builds_by_day")
    rows = site.request("GET", "/yt-builder/builds_by_day.json").json()["rows"]
    bars = watched.locator("#chart .mark-rect path")
    hollow = watched.locator("#chart .mark-rect path[fill-opacity='0.2']")
    expect(hollow).to_have_count(sum(row["failed"] > 0 for row in rows))
    expect(bars).to_have_count(sum((row["failed"] > 0) + (row["completed"] > 0) for row in rows))


def test_the_form_finds_what_engages_best_on_tiktok(watched: Page, site: Site) -> None:
    page = watched
    page.goto(f"{site.url}/-/charts")
    page.get_by_role("link", name="Engagement by topic").click()
    page.get_by_label("Platform").select_option("tiktok")
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(f"{site.url}/-/charts/engagement_by_topic?platform=tiktok")
    answer = site.request("GET", "/metrics/engagement_by_topic.json?platform=tiktok")
    rows = answer.json()["rows"]
    best = max(rows, key=lambda row: row["engagement_rate"])
    expect(page.locator("#chart .mark-rect path")).to_have_count(len(rows))
    expect(page.locator("#chart .role-axis-label text").last).to_be_attached()
    assert best["topic"] in page.locator("#chart .role-axis-label").last.text_content()
    page.get_by_role("link", name="JSON").click()
    assert json.loads(page.locator("pre").inner_text()) == rows


def test_another_value_draws_another_chart(watched: Page, site: Site) -> None:
    page = watched
    open_chart(page, site, "engagement_by_day")
    points = page.locator("#chart .mark-symbol path")
    before = points.count()
    page.get_by_label("Platform").select_option("instagram")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_label("Platform")).to_have_value("instagram")
    expect(points.first).to_be_attached()
    assert 0 < points.count() < before


def test_works_with_the_keyboard_alone(watched: Page, site: Site) -> None:
    page = watched
    open_chart(page, site, "engagement_by_platform")
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent.trim()"))
        if reached[-1] == "Table":
            break
    assert reached[-4:] == ["table", "JSON", "CSV", "Table"]
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    expect(page.locator("#chart-table table")).to_be_visible()
    page.goto(f"{site.url}/-/charts/video_growth")
    page.get_by_label("Video", exact=True).focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("dly_vid_001")
    page.keyboard.press("Enter")
    expect(page).to_have_url(
        f"{site.url}/-/charts/video_growth?platform=tiktok&video_id=dly_vid_001"
    )
    expect(page.locator(MARKS).first).to_be_attached()


def test_a_bar_has_a_tooltip(watched: Page, site: Site) -> None:
    open_chart(watched, site, "engagement_by_platform")
    watched.locator("#chart .mark-rect path").first.hover()
    answer = site.request("GET", "/metrics/engagement_by_platform.json")
    row = answer.json()["rows"][0]
    title = f"Platform: {row['platform']}\nEngagement rate: {row['engagement_rate']:.2%}\n"
    expect(watched.locator("#chart")).to_have_attribute("title", re.compile(f"^{title}Views: "))


@pytest.mark.parametrize("blocked", ["scripts", "files"])
def test_reads_without_scripts(browser: Browser, site: Site, blocked: str) -> None:
    context = browser.new_context(java_script_enabled=blocked != "scripts", viewport=PHONE)
    page = context.new_page()
    page.route("**/*.js", lambda route: route.abort())
    page.goto(f"{site.url}/-/charts/engagement_by_platform")
    expect(page.locator("#chart-table table")).to_contain_text("tiktok")
    expect(page.get_by_text("The chart needs JavaScript.")).to_be_visible()
    context.close()


def test_nothing_to_draw_says_so(watched: Page, site: Site) -> None:
    watched.goto(f"{site.url}/-/charts/video_growth?video_id=nowhere")
    expect(watched.get_by_role("status")).to_contain_text("No data")
    assert violations_in_all_modes(watched) == []


def test_a_window_that_changes_draws_anew(watched: Page, site: Site) -> None:
    open_chart(watched, site, "engagement_by_day")
    watched.set_viewport_size(PHONE)
    expect(watched.locator("#chart svg")).to_have_attribute("width", "358")
