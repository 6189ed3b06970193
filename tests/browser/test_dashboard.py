"""Work from the dashboard, in a browser, with at most as many clicks as a person should need."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from axe import violations_in_all_modes
from browser_site import Site, watch
from playwright.sync_api import Page, expect

BUILDS = """
    insert into jobs (run_id, run_dir, status, config)
    values ('run-a', 'a', 'queued', '{"title": "The long take"}'), ('run-b', 'b', 'queued', null);
    update jobs set status = 'running' where run_id in ('run-a', 'run-b');
    update jobs set status = 'failed', error = 'no codec' where run_id = 'run-a';
    update jobs set progress = 20, current_step = 'Cutting' where run_id = 'run-b';
    """


def change(site: Site, sql: str, name: str = "yt-builder") -> None:
    path = site.data_dir / f"{name}.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(sql)


@pytest.fixture
def worker(page: Page, own_site: Site) -> Iterator[Page]:
    wrong = watch(page, own_site)
    own_site.sign_in(page.context, "worker")
    yield page
    assert wrong == []


def test_failed_builds_are_retried_and_progress_is_live(worker: Page, own_site: Site) -> None:
    change(own_site, BUILDS)
    worker.goto(own_site.url)
    running = worker.get_by_role("region", name="Running now")
    expect(running.get_by_role("listitem")).to_contain_text("20 % Cutting")
    with worker.expect_response("**/changes*"):
        worker.reload()
    change(
        own_site, "update jobs set progress = 60, current_step = 'Mixing' where run_id = 'run-b'"
    )
    expect(running.get_by_role("listitem")).to_contain_text("60 % Mixing")
    assert violations_in_all_modes(worker) == []
    attention = worker.get_by_role("region", name="Needs attention")
    last_day = attention.get_by_role("listitem").filter(has_text="in the last 24 hours")
    last_day.get_by_role("link", name="Retry all").click()
    expect(worker.get_by_role("heading", level=1)).to_have_text("Retry 1 build?")
    worker.get_by_role("button", name="Retry").click()
    expect(worker.get_by_role("status")).to_have_text("1 build queued again")
    expect(last_day).to_have_count(0)


def test_what_one_actor_changed_yesterday(worker: Page, own_site: Site) -> None:
    headers = {"Authorization": f"Bearer {own_site.token('root')}"}
    changes = {"campaigns/nutsy-trail-mix": {"emotion": "proud"}, "builds/13": {"status": "queued"}}
    for path, body in changes.items():
        assert own_site.request("PATCH", f"/api/{path}", json=body, headers=headers).is_success
    day = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    for name, log, column in (
        ("campaigns", "job_history", "changed_at"),
        ("yt-builder", "job_events", "at"),
    ):
        change(
            own_site,
            f"update {log} set {column} = '{day}T08:00:00.000Z' where actor = 'root'",
            name,
        )
    worker.goto(own_site.url)
    worker.get_by_role("link", name="Activity").click()
    worker.get_by_role("link", name="Yesterday").click()
    worker.get_by_role("list", name="Actors").get_by_role("link", name="root").click()
    expect(worker.get_by_role("heading", level=1)).to_have_text(f"Activity of root on {day}")
    shown = worker.locator("main .versions > li")
    expect(shown).to_have_count(2)
    expect(shown.filter(has_text="Trail Mix")).to_contain_text(
        'emotion "happy" "proud"', use_inner_text=True
    )
    expect(shown.filter(has_text="Build")).to_contain_text("failed → queued", use_inner_text=True)
