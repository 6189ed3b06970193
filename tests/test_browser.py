"""What a person does, in a real browser against a real server."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import RunDailies
from playwright.sync_api import Page, expect
from server_process import ServerProcess

SAMPLES = Path(__file__).parent.parent / "samples" / "campaigns.yaml"


@pytest.fixture
def server(data_dir: Path, run_dailies: RunDailies, server: ServerProcess) -> ServerProcess:
    """A real server with the sample campaigns."""
    imported = run_dailies("import", "campaigns", SAMPLES)
    assert imported.returncode == 0, imported.stderr
    return server


def test_finds_a_job_from_the_home_page(page: Page, server: ServerProcess) -> None:
    page.goto(server.url)
    page.get_by_role("link", name="campaigns", exact=True).first.click()
    page.get_by_role("link", name="jobs", exact=True).first.click()
    page.locator("input[name=_search]").fill("matcha")
    page.locator("input[name=_search]").press("Enter")
    expect(page.locator("table.rows-and-columns tbody tr")).to_have_count(2)
    page.get_by_role("link", name="spring-matcha-avatar").first.click()
    expect(page.locator("body")).to_contain_text("Coffee made me shaky. This did not.")


@pytest.mark.parametrize(
    "text", ["", "50% off", 'ring light 10"', "C++", "AND", "( OR", "e-commerce"]
)
def test_any_text_can_be_searched(page: Page, server: ServerProcess, text: str) -> None:
    page.goto(f"{server.url}/campaigns/jobs")
    page.locator("input[name=_search]").fill(text)
    with page.expect_navigation() as navigation:
        page.locator("input[name=_search]").press("Enter")
    assert navigation.value.status == 200


def test_canned_query_explains_itself_and_answers(page: Page, server: ServerProcess) -> None:
    page.goto(f"{server.url}/campaigns/search_jobs")
    page.locator("input[name=q]").fill("sleep")
    page.locator("input[name=q]").press("Enter")
    expect(page.locator("table.rows-and-columns tbody tr")).to_have_count(2)
