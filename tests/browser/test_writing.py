"""What people who are signed in change, in a browser against a server of their own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from axe import violations
from browser_site import Site, watch
from datasette.utils import tilde_encode
from playwright.sync_api import Page, expect
from server_process import run_dailies

CAMPAIGN = "/campaigns/jobs/spring-matcha-avatar"
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
MAX_PAGES = 40


@pytest.fixture
def worker(page: Page, own_site: Site) -> Iterator[Page]:
    """A page of the worker; it has no errors but those of forms filled in wrongly."""
    wrong = watch(page, own_site)
    own_site.sign_in(page.context, "worker")
    yield page
    assert [text for text in wrong if "status of 400" not in text and text[:4] != "400 "] == []


def campaigns(site: Site, **filters: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = site.request("GET", "/api/campaigns", params=filters).json()[
        "rows"
    ]
    return rows


def choose(page: Page, action: str) -> None:
    """Choose from the menu of the page's actions."""
    page.locator("details.actions-menu-links summary").click()
    page.get_by_role("menuitem", name=action).click()


def confirm(page: Page, button: str) -> None:
    page.get_by_role("button", name=button, exact=True).click()


def test_signing_in(page: Page, own_site: Site) -> None:
    page.goto(f"{own_site.url}/-/sign-in")
    page.get_by_label("Token").fill(own_site.token("worker"))
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".actor")).to_have_text("worker")


def test_a_job_is_created_edited_and_deleted(worker: Page, own_site: Site) -> None:
    worker.goto(f"{own_site.url}/campaigns/jobs")
    choose(worker, "New campaign")
    worker.get_by_label("Hook").fill("One\nTwo")
    worker.get_by_role("button", name="Create").click()
    expect(worker.get_by_text("a job needs a name")).to_be_visible()
    assert violations(worker) == []
    expect(worker.get_by_label("Hook")).to_have_value("One\nTwo")
    worker.get_by_label("Job name").fill("Räucherspeck 🔥")
    worker.get_by_role("button", name="Create").click()
    expect(worker.locator("body")).to_contain_text("Created")

    choose(worker, "Edit campaign")
    worker.get_by_label("Other settings").fill('{"colours": ["red"]}')
    worker.get_by_label("Enabled").uncheck()
    worker.get_by_role("button", name="Save").click()
    expect(worker.locator("body")).to_contain_text("Saved")
    [job] = campaigns(own_site, job_name="Räucherspeck 🔥")
    assert {name: job[name] for name in ("hook", "colours", "enabled")} == {
        "hook": "One\nTwo",
        "colours": ["red"],
        "enabled": False,
    }

    choose(worker, "Delete campaign")
    confirm(worker, "Delete campaign")
    expect(worker.locator("body")).to_contain_text("Deleted")
    assert campaigns(own_site, job_name="Räucherspeck 🔥") == []


def test_forms_work_without_scripts(page: Page, own_site: Site) -> None:
    own_site.sign_in(page.context, "worker")
    page.context.route("**/*.js*", lambda route: route.abort())
    page.goto(f"{own_site.url}/campaigns/-/new-job")
    page.get_by_label("Job name").fill("Plain")
    page.get_by_role("button", name="Create").click()
    expect(page.locator("body")).to_contain_text("Created")


def test_a_campaign_is_duplicated_deleted_and_restored(worker: Page, own_site: Site) -> None:
    worker.goto(own_site.url + CAMPAIGN)
    title = worker.get_by_role("heading", level=1).inner_text()
    choose(worker, "Duplicate campaign")
    confirm(worker, "Duplicate campaign")
    expect(worker.get_by_role("heading", level=1)).to_have_text(f"{title} (Copy)")
    expect(worker.get_by_role("status")).to_contain_text("This is the copy of spring-matcha-avatar")

    choose(worker, "Delete campaign")
    confirm(worker, "Delete campaign")
    expect(worker.get_by_role("status")).to_contain_text("Deleted")
    confirm(worker, "Restore campaign")
    expect(worker.get_by_role("heading", level=1)).to_have_text(f"{title} (Copy)")


def test_an_earlier_version_of_a_campaign_is_restored(worker: Page, own_site: Site) -> None:
    worker.goto(own_site.url + CAMPAIGN)
    choose(worker, "Edit campaign")
    before = worker.get_by_label("Hook").input_value()
    worker.get_by_label("Hook").fill("Something else")
    worker.get_by_role("button", name="Save").click()
    expect(worker.locator("ins").first).to_contain_text("Something else")
    worker.get_by_role("link", name="Restore version 1", exact=True).click()
    expect(worker.get_by_role("heading", level=1)).to_have_text(
        "Restore version 1 of spring-matcha-avatar?"
    )
    confirm(worker, "Restore campaign")
    expect(worker.get_by_role("status")).to_contain_text("Restored version 1")
    [job] = campaigns(own_site, id="spring-matcha-avatar")
    assert job["hook"] == before


def test_a_build_is_retried_and_cancelled(worker: Page, own_site: Site) -> None:
    worker.goto(f"{own_site.url}/yt-builder/jobs?status=failed")
    worker.locator("td.type-pk a").first.click()
    expect(worker.locator("main .pill").first).to_have_text("failed")
    choose(worker, "Retry")
    confirm(worker, "Retry")
    expect(worker.locator("main .pill").first).to_have_text("queued")
    choose(worker, "Cancel")
    confirm(worker, "Cancel")
    expect(worker.locator("main .pill").first).to_have_text("cancelled")
    expect(worker.locator("main")).to_contain_text("by worker")


def test_a_topic_is_marked_as_used(worker: Page, own_site: Site) -> None:
    worker.goto(own_site.url)
    unused = worker.get_by_role("region", name="Unused topics")
    topic = unused.locator("ol a").first.inner_text()
    unused.locator("ol a").first.click()
    choose(worker, "Mark as used")
    confirm(worker, "Mark as used")
    expect(worker.get_by_role("status")).to_contain_text("Marked the topic as used")
    worker.goto(own_site.url)
    expect(unused.locator("ol")).not_to_contain_text(topic)


def test_an_image_is_picked_and_its_use_recorded(worker: Page, own_site: Site) -> None:
    worker.goto(f"{own_site.url}/image_library/pick_image?character=nutsy&emotion=happy")
    worker.locator("table.rows-and-columns td a").first.click()
    picture = worker.locator("img.picture")
    expect(picture).to_be_visible()
    assert picture.get_attribute("alt")
    uses = int(re.findall(r"Used (\d+) times", worker.locator("main").inner_text())[0])
    choose(worker, "Use image")
    worker.get_by_label("Video").fill("dly_vid_001")
    worker.get_by_label("Scene").fill("0.5")
    confirm(worker, "Use image")
    expect(worker.get_by_role("alert")).to_contain_text("must be a whole number")
    assert violations(worker) == []
    expect(worker.get_by_label("Video")).to_have_value("dly_vid_001")
    worker.get_by_label("Scene").fill("4")
    confirm(worker, "Use image")
    expect(worker.locator("main")).to_contain_text(f"Used {uses + 1} times")


def test_others_see_no_actions(page: Page, own_site: Site) -> None:
    for path in (CAMPAIGN, "/yt-builder/jobs/13", "/trends/trending_topics/1"):
        page.goto(own_site.url + path)
        expect(page.locator("details.actions-menu-links")).to_have_count(0)
        assert page.get_by_role("link", name="Restore version").count() == 0


def test_requests_are_sent_from_the_api_page(page: Page, own_site: Site) -> None:
    page.goto(f"{own_site.url}/api/docs")
    answer = page.get_by_role("status", name="Response")
    token = own_site.token("worker", "create-job")
    send(page, "GET", "/api/campaigns?id=nobody")
    expect(answer).to_contain_text('200 OK\n\n{\n  "ok": true,\n  "rows": []', use_inner_text=True)
    job = '{"id": "ü <b>", "job_name": "Tea"}'
    send(page, "POST", "/api/campaigns", job, token)
    expect(answer).to_contain_text("201 Created")
    expect(answer).to_contain_text('ETag: "')
    expect(answer).to_contain_text('"id": "ü <b>"')
    send(page, "POST", "/api/campaigns", job)
    expect(answer).to_contain_text("401 Unauthorized")
    send(page, "DELETE", "/api/campaigns/1", "", token)
    expect(answer).to_contain_text("you may not delete-job here")
    send(page, "GET", "https://elsewhere.example/api")
    expect(answer).to_have_text("Requests can be sent to this server only.")


def send(page: Page, method: str, address: str, body: str = "", token: str = "") -> None:
    page.get_by_label("Method").select_option(method)
    page.get_by_label("Address").fill(address)
    page.get_by_label("Token").fill(token)
    page.get_by_label("Body").fill(body)
    page.get_by_role("button", name="Send").click()


def test_no_value_of_a_row_runs_as_a_script(page: Page, own_site: Site, tmp_path: Path) -> None:
    """Each payload is in every text field, in a key and inside a list."""
    jobs = [
        {"id": payload, "notes": [payload]} | dict.fromkeys(TEXT_FIELDS, payload)
        for payload in PAYLOADS
    ]
    path = tmp_path / "jobs.json"
    path.write_text(json.dumps({"jobs": jobs}))
    imported = run_dailies(own_site.data_dir, "import", "campaigns", path)
    assert imported.returncode == 0, imported.stderr
    own_site.sign_in(page.context, "root")
    starts = [
        "/campaigns/jobs?_sort=id&_facet=job_name",
        "/campaigns/job_history?_sort_desc=id",
        "/campaigns/search_jobs?q=window",
        "/-/search?q=window",
        *(f"/campaigns/jobs/{tilde_encode(payload)}" for payload in PAYLOADS),
        *(f"/campaigns/-/edit-job?{urlencode({'key': payload})}" for payload in PAYLOADS),
    ]
    visited = {
        address: page.evaluate("'marked' in window") for address in crawl(page, own_site, starts)
    }
    assert len(visited) == MAX_PAGES
    assert {address for address, marked in visited.items() if marked} == set()


def crawl(page: Page, site: Site, starts: list[str]) -> Iterator[str]:
    """Open these pages and those they link to, breadth first; yield each address once open."""
    waiting = [site.url + start for start in starts]
    seen = set(waiting)
    for _ in range(MAX_PAGES):
        address = waiting.pop(0)
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == 200, address
        yield address
        links = page.locator("a[href]").evaluate_all("all => all.map(one => one.href)")
        new = {link.partition("#")[0]: None for link in links if is_page(link, site)}
        waiting += [link for link in new if link not in seen]
        seen |= new.keys()


def is_page(address: str, site: Site) -> bool:
    parts = urlsplit(address)
    downloads = parts.path.endswith((".csv", ".json", ".db")) or "_format" in parts.query
    return address.startswith(site.url) and not downloads and parts.path != "/-/logout"
