"""What a person does, in a real browser against a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from datasette.utils import tilde_encode
from playwright.sync_api import Page, expect
from server_process import ServerProcess, run_dailies

SAMPLES = Path(__file__).parent.parent.parent / "samples" / "campaigns.yaml"
PAYLOADS = [
    "<script>window.marked = 1</script>",
    "<img src=x onerror='window.marked = 1'>",
    "\"><svg onload='window.marked = 1'>",
    "javascript:window.marked=1",
    "{{ 7 * 7 }}${window.marked = 1}",
]
TEXT_FIELDS = [
    "job_name", "product", "persona", "setting", "emotion", "hook", "elevenlabs_voice_id",
    "language", "brand_name", "campaign_type", "avatar_id", "script_id", "avatar_video_path",
    "script_file",
]  # fmt: skip
MOST_PAGES = 40


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Jobs with a payload in every text field, one that is a key, and one inside a list."""
    jobs = [
        {"id": payload, "notes": [payload]} | dict.fromkeys(TEXT_FIELDS, payload)
        for payload in PAYLOADS
    ]
    path = tmp_path_factory.mktemp("hostile") / "jobs.json"
    path.write_text(json.dumps({"jobs": jobs}))
    return path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, hostile: Path) -> Iterator[ServerProcess]:
    """A server with the sample campaigns and the hostile ones, which tests here only read."""
    data_dir = tmp_path_factory.mktemp("site") / "data"
    imported = run_dailies(data_dir, "import", "campaigns", SAMPLES, hostile)
    assert imported.returncode == 0, imported.stderr
    with ServerProcess(data_dir) as server:
        yield server


def test_finds_a_job_from_the_home_page(page: Page, site: ServerProcess) -> None:
    page.goto(site.url)
    page.get_by_role("link", name="Campaigns", exact=True).click()
    page.get_by_role("link", name="jobs", exact=True).click()
    page.locator("input[name=_search]").fill("matcha")
    page.locator("input[name=_search]").press("Enter")
    expect(page.locator("table.rows-and-columns tbody tr")).to_have_count(2)
    page.get_by_role("link", name="spring-matcha-avatar").first.click()
    expect(page.locator("body")).to_contain_text("Coffee made me shaky. This did not.")


@pytest.mark.parametrize("text", ["", "50% off", 'light 10"', "C++", "AND", "( OR", "e-commerce"])
def test_any_text_can_be_searched(page: Page, site: ServerProcess, text: str) -> None:
    page.goto(f"{site.url}/campaigns/jobs")
    page.locator("input[name=_search]").fill(text)
    with page.expect_navigation() as navigation:
        page.locator("input[name=_search]").press("Enter")
    assert navigation.value.status == 200


def test_canned_query_answers_what_its_form_asks(page: Page, site: ServerProcess) -> None:
    page.goto(f"{site.url}/campaigns/search_jobs")
    page.locator("main input[name=q]").fill("sleep")
    page.locator("main input[name=q]").press("Enter")
    expect(page.locator("table.rows-and-columns tbody tr")).to_have_count(2)


def test_no_value_of_a_row_runs_as_a_script(page: Page, site: ServerProcess) -> None:
    page.goto(f"{site.url}/-/sign-in")
    page.get_by_label("Token").fill(site.token("root"))
    page.get_by_role("button", name="Sign in").click()
    starts = [
        "/campaigns/jobs?_sort=id&_facet=job_name",
        "/campaigns/job_history?_sort_desc=id",
        "/campaigns/search_jobs?q=window",
        "/-/search?q=window",
        *(f"/campaigns/jobs/{tilde_encode(payload)}" for payload in PAYLOADS),
        *(f"/campaigns/-/edit-job?{urlencode({'id': payload})}" for payload in PAYLOADS),
    ]
    visited = {
        address: page.evaluate("'marked' in window") for address in crawl(page, site, starts)
    }
    assert len(visited) == MOST_PAGES
    assert {address for address, marked in visited.items() if marked} == set()


def crawl(page: Page, site: ServerProcess, starts: list[str]) -> Iterator[str]:
    """Open these pages and those they link to, breadth first; the addresses, each once open."""
    waiting = [site.url + start for start in starts]
    seen = set(waiting)
    for _ in range(MOST_PAGES):
        address = waiting.pop(0)
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == 200, address
        yield address
        links = page.locator("a[href]").evaluate_all("all => all.map(one => one.href)")
        new = {link.partition("#")[0]: None for link in links if is_page(link, site)}
        waiting += [link for link in new if link not in seen]
        seen |= new.keys()


def is_page(address: str, site: ServerProcess) -> bool:
    parts = urlsplit(address)
    downloads = parts.path.endswith((".csv", ".json", ".db")) or "_format" in parts.query
    return address.startswith(site.url) and not downloads and parts.path != "/-/logout"
