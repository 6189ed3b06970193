"""The form as a person uses it, in a real browser against a real server."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect
from server_process import ServerProcess


@pytest.fixture
def signed_in(page: Page, server: ServerProcess) -> Page:
    page.goto(f"{server.url}/-/sign-in")
    page.get_by_label("Token").fill(server.token("worker"))
    page.get_by_role("button", name="Sign in").click()
    return page


def test_a_job_is_created_edited_and_deleted(signed_in: Page, server: ServerProcess) -> None:
    page = signed_in
    page.goto(f"{server.url}/campaigns/jobs")
    page.locator("details.actions-menu-links summary").click()
    page.get_by_role("menuitem", name="New job").click()
    page.get_by_label("Hook").fill("One\nTwo")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_text("a job needs a name")).to_be_visible()
    expect(page.get_by_label("Hook")).to_have_value("One\nTwo")
    page.get_by_label("Job name").fill("Räucherspeck 🔥")
    page.get_by_role("button", name="Create").click()
    expect(page.locator("body")).to_contain_text("Created")

    page.locator("details.actions-menu-links summary").click()
    page.get_by_role("menuitem", name="Edit job").click()
    page.get_by_label("Everything else").fill('{"colours": ["red"]}')
    page.get_by_label("Enabled").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("body")).to_contain_text("Saved")
    [job] = server.request("GET", "/api/campaigns").json()["rows"]
    shown = {name: job[name] for name in ("job_name", "hook", "colours", "enabled")}
    assert shown == {
        "job_name": "Räucherspeck 🔥",
        "hook": "One\nTwo",
        "colours": ["red"],
        "enabled": False,
    }

    page.locator("details.actions-menu-links summary").click()
    page.get_by_role("menuitem", name="Delete job").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.locator("body")).to_contain_text("Deleted")
    assert server.request("GET", "/api/campaigns").json()["rows"] == []


def test_it_works_without_scripts(page: Page, signed_in: Page, server: ServerProcess) -> None:
    page.context.route("**/*.js", lambda route: route.abort())
    page.goto(f"{server.url}/campaigns/-/new-job")
    page.get_by_label("Job name").fill("Plain")
    page.get_by_role("button", name="Create").click()
    expect(page.locator("body")).to_contain_text("Created")
