"""The page that documents the jobs API; test_writing.py sends requests from it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser_site import Site, watch
from playwright.sync_api import Page, expect


@pytest.fixture
def docs(page: Page, site: Site) -> Iterator[Page]:
    wrong = watch(page, site)
    page.goto(f"{site.url}/api/docs")
    yield page
    assert wrong == []


def test_operations_unfold_by_keyboard(docs: Page) -> None:
    operation = docs.locator("#claim_build")
    schema = docs.locator("#schema-Claim")
    parameters = operation.get_by_role("table")
    expect(parameters).to_have_count(0)
    operation.locator("summary").focus()
    docs.keyboard.press("Enter")
    expect(parameters).to_contain_text("Idempotency-Key")
    expect(schema.locator("pre")).to_be_hidden()
    operation.get_by_role("link", name="Claim", exact=True).press("Enter")
    expect(schema.locator("pre")).to_be_visible()
    operation.locator("summary").press("Space")
    expect(parameters).to_have_count(0)


def test_the_page_fits_a_small_phone(docs: Page) -> None:
    docs.set_viewport_size({"width": 360, "height": 740})
    docs.locator("details").evaluate_all("all => all.slice(0, 5).forEach(one => one.open = true)")
    width = docs.evaluate("document.documentElement.scrollWidth")
    assert width <= 360


def test_the_page_is_found_from_the_menu(docs: Page, site: Site) -> None:
    docs.goto(site.url)
    docs.locator("details.nav-menu > summary").click()
    docs.get_by_role("link", name="Jobs API").click()
    expect(docs.get_by_role("heading", level=1)).to_have_text("Dailies: jobs")
