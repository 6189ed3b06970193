"""The queue page and the page of a build, in a browser against a server of their own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from axe import PHONE, violations_in_all_modes
from browser_site import Site, watch
from playwright.sync_api import Browser, Page, expect

FAILED = ("Harbour at dawn", "Lighthouse", "Tide pools")


def write(site: Site, sql: str, **values: Any) -> None:
    """As another program, which writes to the file."""
    with closing(sqlite3.connect(site.data_dir / "yt-builder.db", isolation_level=None)) as db:
        db.execute(sql, values)


def add(site: Site, title: str, **columns: Any) -> None:
    """A build whose run is named like its title."""
    values = {"run_id": f"run-{title.lower().replace(' ', '-')}", "run_dir": "runs", **columns}
    values["config"] = f'{{"title": "{title}"}}'
    names = ", ".join(values)
    write(site, f"insert into jobs ({names}) values (:{', :'.join(values)})", **values)


@pytest.fixture(scope="module")
def busy(own_site: Site) -> Site:
    """The site with three builds that failed just now."""
    for number, title in enumerate(FAILED, 1):
        left = {"error": f"No space\n  on disk {number}", "progress": 40, "current_step": "Mixing"}
        add(own_site, title, status="failed", **left)
    return own_site


@pytest.fixture
def worker(page: Page, busy: Site) -> Iterator[Page]:
    """A page of the worker, without errors."""
    wrong = watch(page, busy)
    busy.sign_in(page.context, "worker")
    yield page
    assert wrong == []


def row(page: Page, title: str) -> Any:
    return page.locator("table.queue tbody tr").filter(has_text=title)


def test_failed_builds_of_the_last_day_are_retried_and_that_is_undone(
    worker: Page, busy: Site
) -> None:
    """In three clicks from the list of failed jobs."""
    worker.goto(f"{busy.url}/-/queue?state=failed&kind=builds&hours=24")
    expect(worker.locator("table.queue tbody tr")).to_have_count(3)
    assert violations_in_all_modes(worker) == []
    expect(row(worker, "Lighthouse")).to_contain_text("No space")
    worker.get_by_role("button", name="Retry all 3").click()
    expect(worker.get_by_role("heading", level=1)).to_have_text("Retry 3 jobs?")
    assert violations_in_all_modes(worker) == []
    worker.get_by_role("button", name="Retry 3 jobs").click()
    expect(worker.get_by_role("heading", level=1)).to_have_text("3 jobs queued again")
    for title in FAILED:
        expect(row(worker, title).locator(".pill")).to_have_text(["failed", "queued"])
    assert violations_in_all_modes(worker) == []
    worker.get_by_role("button", name="Undo").click()
    expect(worker.get_by_role("status").first).to_have_text("Undone: 3 of 3 jobs are as before")
    expect(row(worker, "Lighthouse")).to_contain_text("40 % No space")
    expect(worker.locator("table.queue tbody tr")).to_have_count(3)


def test_jobs_are_reached_and_selected_by_keys(worker: Page, busy: Site) -> None:
    worker.goto(f"{busy.url}/-/queue?state=failed&kind=builds&hours=24")
    expect(worker.get_by_role("button", name="Retry", exact=True)).to_be_disabled()
    for key in "jjxkx":
        worker.keyboard.press(key)
    expect(worker.get_by_text("2 selected:")).to_be_visible()
    worker.keyboard.press("r")
    expect(worker.get_by_role("heading", level=1)).to_have_text("Retry 2 jobs?")
    worker.get_by_role("link", name="Keep them").click()
    expect(worker.get_by_role("button", name="Retry", exact=True)).to_be_disabled()
    first = worker.locator("table.queue .what a").first.inner_text()
    worker.keyboard.press("j")
    worker.keyboard.press("Enter")
    expect(worker.get_by_role("heading", level=1)).to_have_text(first)


def test_a_build_is_watched_from_queued_to_completed(
    worker: Page, busy: Site, browser: Browser
) -> None:
    """On its own page and in the list, without touching them; the second attempt starts clean."""
    add(busy, "Night market", status="queued")
    where = "where run_id = 'run-night-market'"
    worker.goto(f"{busy.url}/-/queue?state=queued")
    row(worker, "Night market").get_by_role("link").click()
    expect(worker.get_by_role("heading", level=1)).to_have_text("Night market")
    expect(worker.get_by_role("button", name="Retry")).to_be_hidden()
    with closing(browser.new_context(viewport=PHONE)) as context:
        phone = context.new_page()
        wrong = watch(phone, busy)
        phone.goto(f"{busy.url}/-/queue")
        expect(row(phone, "Night market").locator(".pill")).to_have_text("queued")
        now, attempts = worker.locator("#job-now"), worker.locator("#job-attempts li")
        write(busy, f"update jobs set status = 'running', worker = 'studio-9' {where}")
        expect(now).to_contain_text("studio-9")
        write(busy, f"update jobs set progress = 30, current_step = 'Cutting' {where}")
        expect(now).to_contain_text("30 % Cutting")
        expect(row(phone, "Night market")).to_contain_text("30 % Cutting")
        write(busy, f"update jobs set status = 'failed', error = 'No voice\n  found' {where}")
        expect(attempts.first.locator("pre")).to_have_text("No voice\n  found")
        assert violations_in_all_modes(worker) == []
        worker.get_by_role("button", name="Retry").click()
        expect(worker.get_by_text("The build is queued again")).to_be_visible()
        expect(now).to_contain_text("queued")
        expect(now).not_to_contain_text("30 %")
        write(busy, f"update jobs set status = 'running', worker = 'studio-8' {where}")
        expect(attempts).to_have_count(2)
        write(busy, f"update jobs set status = 'completed' {where}")
        expect(attempts.first).to_contain_text("completed")
        expect(now.locator(".pill")).to_have_text("completed")
        expect(attempts.last).to_contain_text("30 % Cutting")
        expect(row(phone, "Night market").locator(".pill")).to_have_text("completed")
        add(busy, "Brand new", status="preparing")
        expect(row(phone, "Brand new")).to_be_visible()
        count = busy.request("GET", "/yt-builder/jobs.json?status=completed&_extra=count").json()
        total = count["count"] + 5  # presentations
        expect(phone.locator("[data-count=completed]")).to_have_text(str(total))
        write(busy, "delete from jobs where run_id = 'run-brand-new'")
        expect(row(phone, "Brand new")).to_have_count(0)
        assert violations_in_all_modes(phone) == []
        assert wrong == []


def test_others_see_the_queue_but_no_actions(page: Page, busy: Site) -> None:
    for path in ("/-/queue", "/-/queue?state=failed", "/yt-builder/jobs/13"):
        page.goto(busy.url + path)
        expect(page.locator("main")).to_contain_text("AI trends 2026")
        expect(page.locator("main input[type=checkbox], main form button")).to_have_count(0)
