"""What people do with campaigns, from the home page, with as few clicks as promised."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from axe import violations
from browser_site import Site, watch
from playwright.sync_api import Locator, Page, expect

FILE = """
jobs:
- {id: imported, job_name: From a file, product: Tea}
- {id: spring-matcha-avatar, job_name: Another name}
- {product: nameless}
"""


class Person:
    """Someone who signed in as worker, starts at the home page, and counts clicks."""

    def __init__(self, page: Page, site: Site) -> None:
        self.page = page
        self.clicks = 0
        page.goto(site.url)

    def click(self, target: Locator) -> None:
        self.clicks += 1
        target.click()

    def button(self, name: str) -> None:
        self.click(self.page.get_by_role("button", name=name, exact=True))

    def link(self, name: str) -> None:
        self.click(self.page.get_by_role("link", name=name, exact=True).first)


@pytest.fixture
def person(page: Page, own_site: Site) -> Iterator[Person]:
    wrong = watch(page, own_site)
    own_site.sign_in(page.context, "worker")
    yield Person(page, own_site)
    assert wrong == []


def campaigns(site: Site, **filters: str) -> list[dict[str, Any]]:
    answer = site.request("GET", "/api/campaigns", params=filters)
    rows: list[dict[str, Any]] = answer.json()["rows"]
    return rows


def test_a_yaml_file_is_imported_after_a_preview(person: Person, own_site: Site) -> None:
    page = person.page
    person.link("Campaigns")
    person.link("Import")
    with page.expect_file_chooser() as chooser:
        person.click(page.get_by_label("File"))
    chooser.value.set_files({"name": "jobs.yaml", "mimeType": "text/yaml", "buffer": FILE.encode()})
    person.button("Preview")
    expect(page.get_by_role("heading", level=1)).to_have_text("Import jobs.yaml?")
    expect(page.locator(".counts")).to_have_text("1 new 1 changed 0 the same 1 broken")
    expect(page.locator(".broken")).to_contain_text("a job needs a name")
    expect(page.locator("ins").first).to_have_text('"Another name"')
    assert violations(page) == []
    assert campaigns(own_site, id="imported") == []
    person.button("Import")
    expect(page.get_by_role("status")).to_have_text(
        "1 campaign added, 1 updated, 0 left as they are, 1 broken."
    )
    assert [job["product"] for job in campaigns(own_site, id="imported")] == ["Tea"]
    assert [job["job_name"] for job in campaigns(own_site, id="spring-matcha-avatar")] == [
        "Another name"
    ]
    assert person.clicks <= 5


def test_campaigns_of_a_product_in_a_language_are_disabled_and_enabled_again(
    person: Person, own_site: Site
) -> None:
    page, mine = person.page, {"product": "Trail Mix", "language": "English"}
    before = {job["id"]: job.get("enabled") for job in campaigns(own_site)}
    chosen = {job["id"] for job in campaigns(own_site, **mine)}
    person.link("Campaigns")
    person.link("Trail Mix")
    person.link("English")
    person.button("Disable")
    message = page.locator(".bulk-message")
    expect(message).to_contain_text("Disable 1 campaign?")
    assert violations(page) == []
    person.button("Disable 1")
    expect(message).to_contain_text("Disabled 1 campaign.")
    expect(page.get_by_role("switch")).to_have_attribute("aria-checked", "false")
    assert {job["id"] for job in campaigns(own_site, **mine) if not job["enabled"]} == chosen
    person.button("Undo")
    expect(message).to_have_text("Undone: 1 campaign.")
    expect(page.get_by_role("switch")).to_have_attribute("aria-checked", "true")
    assert {job["id"]: job.get("enabled") for job in campaigns(own_site)} == before
    assert person.clicks <= 6


def test_chosen_campaigns_are_duplicated_and_switched(person: Person, own_site: Site) -> None:
    page = person.page
    person.link("Campaigns")
    expect(page.get_by_role("button", name="Delete")).to_be_disabled()
    for box in page.get_by_role("checkbox", name="Select C++").all():
        box.check()
    expect(page.locator("[data-target]")).to_have_text("2 selected")
    person.button("Duplicate")
    person.button("Duplicate 2")
    expect(page.get_by_role("link", name="(Copy)")).to_have_count(2)
    page.get_by_role("switch").first.click()
    expect(page.locator(".bulk-message")).to_contain_text("Disabled 1 campaign.")
    expect(page.get_by_role("switch").first).to_have_attribute("aria-checked", "false")
    page.get_by_label("All on this page").check()
    expect(page.locator("[data-target]")).to_contain_text(str(len(campaigns(own_site))))


def test_readers_see_no_actions(page: Page, own_site: Site) -> None:
    page.goto(f"{own_site.url}/campaigns/jobs?product=Trail+Mix")
    expect(page.locator(".listing tbody tr")).to_have_count(1)
    expect(page.locator(".bulk, [data-rows] :is(button, input)")).to_have_count(0)
    expect(page.get_by_role("link", name="Import")).to_have_count(0)


def test_exports_hold_all_matching_rows(page: Page, own_site: Site) -> None:
    page.goto(f"{own_site.url}/campaigns/jobs?product__contains=C%2B%2B")
    with page.expect_download() as download:
        page.get_by_role("link", name="JSON", exact=True).first.click()
    found = json.loads(download.value.path().read_text())
    assert {job["id"] for job in found} == {
        job["id"] for job in campaigns(own_site, product__contains="C++")
    }


def test_a_campaign_has_tabs_and_one_editor(person: Person, own_site: Site) -> None:
    page = person.page
    page.goto(f"{own_site.url}/campaigns/jobs/spring-matcha-avatar")
    parts = page.locator("[data-tab]:visible")
    expect(parts).to_have_count(1)
    person.link("Raw")
    expect(parts.locator("h2")).to_have_text("Raw")
    person.link("Edit campaign")
    field = page.get_by_label("Language")
    suggested = page.locator("#language-values option").evaluate_all("all => all.map(o => o.value)")
    assert {"English", "German"} <= set(suggested)
    field.fill("German")
    person.button("Save")
    expect(page.locator("#overview ins")).to_have_text('"German"')
    expect(page.locator("#overview tbody tr")).to_have_count(1)
