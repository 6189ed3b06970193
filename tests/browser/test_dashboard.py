"""Work from the dashboard, in a browser, with at most as many clicks as a person should need."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

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


def change(site: Site, sql: str) -> None:
    path = site.data_dir / "yt-builder.db"
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
