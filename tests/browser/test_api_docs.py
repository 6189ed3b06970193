"""The page that describes the jobs API, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe import violations
from playwright.sync_api import Page, expect
from server_process import ServerProcess


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("site") / "data") as server:
        yield server


@pytest.fixture
def docs(page: Page, site: ServerProcess) -> Iterator[Page]:
    """The page; it asks nobody but its own server, and nothing goes wrong on it."""
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"{site.url}/api/docs")
    yield page
    assert {address for address in asked if not address.startswith(f"{site.url}/")} == set()
    assert [text for text in said if "the server responded with a status of" not in text] == []


def send(docs: Page, method: str, address: str, body: str = "", token: str = "") -> None:
    docs.get_by_label("Method").select_option(method)
    docs.get_by_label("Address").fill(address)
    docs.get_by_label("Token").fill(token)
    docs.get_by_label("Body").fill(body)
    docs.get_by_role("button", name="Send").click()


def test_requests_are_tried_on_the_page(docs: Page, site: ServerProcess) -> None:
    answer = docs.get_by_role("status", name="Response")
    token = site.token("worker", "create-job")
    send(docs, "GET", "/api/campaigns?_size=3")
    expect(answer).to_contain_text('200 OK\n\n{\n  "ok": true,\n  "rows": []', use_inner_text=True)
    job = '{"id": "ü <b>", "job_name": "Tea"}'
    send(docs, "POST", "/api/campaigns", job, token)
    expect(answer).to_contain_text("201 Created")
    expect(answer).to_contain_text('ETag: "')
    expect(answer).to_contain_text('"id": "ü <b>"')
    send(docs, "POST", "/api/campaigns", job)
    expect(answer).to_contain_text("401 Unauthorized")
    send(docs, "DELETE", "/api/campaigns/1", "", token)
    expect(answer).to_contain_text("you may not delete-job here")
    send(docs, "GET", "https://elsewhere.example/api")
    expect(answer).to_have_text("Requests can be sent to this server only.")


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_accessible(docs: Page, scheme: str) -> None:
    docs.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    assert violations(docs) == []
    docs.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
    assert violations(docs) == []


def test_the_page_fits_a_telephone(docs: Page) -> None:
    docs.set_viewport_size({"width": 360, "height": 740})
    docs.locator("details").evaluate_all("all => all.slice(0, 5).forEach(one => one.open = true)")
    width = docs.evaluate("document.documentElement.scrollWidth")
    assert width <= 360


def test_the_page_is_found_from_the_menu(docs: Page, site: ServerProcess) -> None:
    docs.goto(site.url)
    docs.locator("details.nav-menu > summary").click()
    docs.get_by_role("link", name="Jobs API").click()
    expect(docs.get_by_role("heading", level=1)).to_have_text("Dailies: jobs")
