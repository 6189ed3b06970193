"""Our pages as people use them: a real server with the sample rows, a real browser."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe import violations
from playwright.sync_api import Browser, Page, expect
from server_process import ServerProcess, run_dailies

PAGES = {
    "home": "/",
    "search": "/-/search?q=mat",
    "database": "/campaigns",
    "queries across": "/_memory",
    "table": "/campaigns/jobs",
    "filtered table": "/yt-builder/jobs?status=failed",
    "view": "/metrics/latest_video_metrics",
    "history": "/campaigns/job_history",
    "query": "/metrics/top_videos",
    "campaign": "/campaigns/jobs/spring-matcha-avatar",
    "build": "/yt-builder/jobs/13",
    "presentation": "/presentation_jobs/presentation_jobs/pitch-sleep-spray",
    "video": "/metrics/video_metadata/1",
    "image": "/image_library/image_library/1",
    "topic": "/trends/trending_topics/1",
    "row": "/yt-builder/job_files/1",
    "sign-in": "/-/sign-in",
    "schema": "/campaigns/-/schema",
    "charts": "/-/charts",
    "API": "/api/docs",
    "missing": "/campaigns/nothing",
}
FOR_ROOT = {
    "job form": "/campaigns/-/new-job",
    "edit form": "/campaigns/-/edit-job?id=spring-matcha-avatar",
    "delete form": "/campaigns/-/delete-job?id=spring-matcha-avatar",
    "database of root": "/campaigns",
    "table of root": "/yt-builder/jobs",
    "SQL of root": "/campaigns/-/query?sql=select+1",
    "campaign of root": "/campaigns/jobs/spring-matcha-avatar",
    "home of root": "/",
}
UNFOLD = "document.querySelectorAll('main details').forEach(one => { one.open = true })"
STUCK = "run-17-stuck"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The sample rows, served; and a build that began while they were, and then fell silent."""
    data_dir = tmp_path_factory.mktemp("site") / "data"
    built = run_dailies(data_dir, "build", "--sample")
    assert built.returncode == 0, built.stderr
    with ServerProcess(data_dir) as server:
        begin_a_build(data_dir)
        yield server


def begin_a_build(data_dir: Path) -> None:
    with closing(sqlite3.connect(data_dir / "yt-builder.db", isolation_level=None)) as db:
        db.execute(
            """
            insert into jobs (run_id, run_dir, status, progress, current_step, worker, started_at,
              last_heartbeat)
            values (?, 'runs/17', 'running', 40, 'Cutting', 'studio-2', '2026-07-09T10:00:00.000Z',
              '2026-07-09T10:05:00.000Z')
            """,
            [STUCK],
        )
        db.execute("update jobs set last_heartbeat = '2026-07-09T10:05:00.000Z' where job_id = 17")


@pytest.fixture
def watched(page: Page, site: ServerProcess) -> Iterator[Page]:
    """A page on which nothing may fail, nothing may be complained of, and nobody else be asked."""
    wrong: list[str] = []
    page.on("console", lambda told: wrong.append(told.text) if told.type == "error" else None)
    page.on(
        "response",
        lambda answer: (
            wrong.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None
        ),
    )
    page.on(
        "request",
        lambda asked: (
            wrong.append(asked.url)
            if urlsplit(asked.url).scheme in ("http", "https")
            and not asked.url.startswith(site.url)
            else None
        ),
    )
    yield page
    assert wrong == []


def sign_in(page: Page, site: ServerProcess) -> None:
    page.goto(f"{site.url}/-/sign-in")
    page.get_by_label("Token").fill(site.token("root"))
    page.get_by_role("button", name="Sign in").click()


# In under a minute, without SQL: each of these only clicks and types.


def test_somebody_new_finds_a_campaign_by_a_word_of_its_hook(
    watched: Page, site: ServerProcess
) -> None:
    watched.goto(site.url)
    watched.get_by_label("Search everything").fill("shaky")
    watched.get_by_role("button", name="Search").click()
    expect(watched.get_by_text("Campaigns: Jobs")).to_be_visible()
    expect(watched.locator("mark").first).to_have_text("shaky")
    watched.get_by_role("link", name="Matcha Starter Kit – spring launch").click()
    expect(watched.get_by_role("heading", level=1)).to_have_text(
        "Matcha Starter Kit – spring launch"
    )
    expect(watched.get_by_text("Coffee made me shaky. This did not.").first).to_be_visible()


def test_somebody_new_sees_which_builds_are_stuck(watched: Page, site: ServerProcess) -> None:
    watched.goto(site.url)
    watched.get_by_role("link", name="Stuck builds: 1").click()
    expect(watched.locator("table.rows-and-columns tbody tr")).to_have_count(1)
    expect(watched.locator("table.rows-and-columns tbody")).to_contain_text(STUCK)
    watched.get_by_role("link", name="17", exact=True).click()
    expect(watched.get_by_role("heading", level=1)).to_have_text(STUCK)
    expect(watched.locator("main")).to_contain_text("40 %")


def test_somebody_new_reads_which_topic_engages_best_on_tiktok(
    watched: Page, site: ServerProcess
) -> None:
    watched.goto(site.url)
    watched.get_by_role("link", name="on tiktok").click()
    chart = watched.locator("#chart")
    expect(chart.locator("svg")).to_be_visible()
    answer = site.request("GET", "/metrics/engagement_by_topic.json?platform=tiktok&_shape=array")
    best = max(answer.json(), key=lambda row: row["engagement_rate"])
    expect(chart.locator(".role-axis-label").last).to_contain_text(best["topic"])
    watched.get_by_text("The numbers").click()
    expect(watched.locator("#chart-table tbody tr").first).to_contain_text(best["topic"])


def test_everything_works_with_the_keyboard(watched: Page, site: ServerProcess) -> None:
    watched.goto(site.url)
    watched.keyboard.press("Tab")
    expect(watched.locator(":focus")).to_have_text("Skip to the content")
    watched.keyboard.press("Enter")
    for _ in range(3):
        watched.keyboard.press("Tab")
        if watched.locator(":focus").get_attribute("name") == "q":
            break
    watched.keyboard.type("shaky")
    watched.keyboard.press("Enter")
    expect(watched.get_by_role("heading", name="Campaigns: Jobs")).to_be_visible()
    link = watched.get_by_role("link", name="Matcha Starter Kit – spring launch")
    link.focus()
    watched.keyboard.press("Enter")
    summary = watched.locator("details.raw > summary")
    summary.focus()
    watched.keyboard.press("Enter")
    expect(watched.locator("details.raw table").first).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_are_for_everybody(page: Page, site: ServerProcess, scheme: str, width: int) -> None:
    """Contrast, names, landmarks and what else axe knows of; nothing wider than the window."""
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 800})
    found = look_at(page, site, PAGES)
    sign_in(page, site)
    found += look_at(page, site, FOR_ROOT)
    assert found == []


def look_at(page: Page, site: ServerProcess, pages: dict[str, str]) -> list[str]:
    found = []
    for name, path in pages.items():
        page.goto(site.url + path)
        page.evaluate(UNFOLD)
        found += [f"{name}: {violation}" for violation in violations(page)]
        too_wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        found += [f"{name} is wider than the window"] if too_wide else []
    return found


@pytest.mark.parametrize("path", [path for name, path in PAGES.items() if name != "missing"])
def test_a_page_asks_for_nothing_that_fails_or_is_elsewhere(
    watched: Page, site: ServerProcess, path: str
) -> None:
    answer = watched.goto(site.url + path)
    watched.wait_for_load_state("networkidle")
    assert answer is not None
    assert answer.status == 200


def test_it_reads_without_scripts(browser: Browser, site: ServerProcess) -> None:
    with closing(browser.new_context(java_script_enabled=False)) as context:
        page = context.new_page()
        page.goto(site.url)
        page.get_by_label("Search everything").fill("matcha")
        page.get_by_role("button", name="Search").click()
        page.get_by_role("link", name="Matcha in ninety seconds").first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Matcha in ninety seconds")
        for said in ("google_trends", "run-1-12e6874e", "nutsy_happy_sitting.png", "tiktok"):
            expect(page.locator("main")).to_contain_text(said)


def test_dark_pages_are_dark(page: Page, site: ServerProcess) -> None:
    page.emulate_media(color_scheme="dark")
    page.goto(site.url)
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert colour == "rgb(16, 21, 28)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_dialogs_and_menus_are_for_everybody(
    watched: Page, site: ServerProcess, scheme: str
) -> None:
    # Contrast is what it is once a dialog has faded in.
    watched.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    sign_in(watched, site)
    watched.goto(site.url + PAGES["presentation"])
    watched.locator("details.nav-menu > summary").click()
    assert violations(watched) == []
    watched.keyboard.press("Escape")
    watched.locator("details.actions-menu-links > summary").click()
    watched.get_by_role("menuitem", name="Edit row").click()
    expect(watched.get_by_role("dialog")).to_be_visible()
    expect(watched.get_by_label("status", exact=True)).to_have_value("failed")
    assert violations(watched) == []
    watched.keyboard.press("Escape")
    watched.goto(site.url + PAGES["table"])
    watched.keyboard.press("/")
    expect(watched.get_by_role("dialog")).to_be_visible()
    assert violations(watched) == []
