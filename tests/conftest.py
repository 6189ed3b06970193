from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import httpx2
import hypothesis
import pytest
import server_process
from browser_site import Site
from cli_runner import is_setting, run_in_process
from datasette.app import Datasette
from in_process import READING, asking, serving
from jobs_client import serving_jobs, token_of
from playwright.sync_api import Browser, Page, sync_playwright
from server_process import RunDailies, ServerProcess

from dailies.api.resources import RESOURCES, Resource

gc.set_threshold(100_000, 50, 100)  # collecting garbage less often saves a twentieth of the time

hypothesis.settings.register_profile("dailies", deadline=None, print_blob=True)
hypothesis.settings.register_profile("fast", parent=None, deadline=None, max_examples=20)
hypothesis.settings.load_profile("dailies")

REQUIRE_BROWSER = os.environ.get("DAILIES_REQUIRE_BROWSER") == "1"
PROCESS_FIXTURES = {
    "browser",
    "own_site",
    "run_process",
    "server",
    "servers",
    "shared_site",
    "site",
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in filter(is_setting, list(os.environ)):
            patch.delenv(name)
        yield


@pytest.fixture(autouse=True)
def _only_marked_tests_start_processes(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if request.node.get_closest_marker("process"):
        return
    start = subprocess.Popen.__init__

    def refuse(self: subprocess.Popen[bytes], args: Any, *others: Any, **options: Any) -> None:
        program = str(args[0] if isinstance(args, list | tuple) else args)
        if program in (sys.executable, str(server_process.COMMAND)):
            pytest.fail("a test that starts a process needs the mark `process`")
        start(self, args, *others, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, which DAILIES_DATA_DIR names while the test runs."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("DAILIES_DATA_DIR", str(folder))
    return folder


@pytest.fixture(scope="session")
def sample_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the sample rows of all six databases, to copy from."""
    folder = tmp_path_factory.mktemp("samples") / "data"
    built = run_in_process(folder, "build", "--sample")
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture
def samples(sample_data: Path, data_dir: Path) -> Path:
    """The data folder of the test, with the sample rows."""
    shutil.copytree(sample_data, data_dir, dirs_exist_ok=True)
    return data_dir


@pytest.fixture(scope="module")
def shared_samples(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder with the sample rows for the read-only tests of a module."""
    folder = tmp_path_factory.mktemp("shared") / "data"
    shutil.copytree(sample_data, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAILIES_DATA_DIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def shared_datasette(shared_samples: Path) -> Iterator[Datasette]:
    """An instance over the sample rows for the read-only tests of a module."""
    with serving(**READING) as served:
        yield served


@pytest.fixture(scope="session")
def site(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server over the sample rows and one stale build, for all tests that only read."""
    data_dir = tmp_path_factory.mktemp("site") / "data"
    shutil.copytree(sample_data, data_dir)
    with Site(data_dir) as running:
        running.add_stale_build()
        yield running


@pytest.fixture(scope="module")
def own_site(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server over the sample rows for the tests of one module that write."""
    data_dir = tmp_path_factory.mktemp("own") / "data"
    shutil.copytree(sample_data, data_dir)
    with Site(data_dir) as running:
        yield running


@pytest.fixture
def free_port() -> int:
    return server_process.free_port()


@pytest.fixture
def run_dailies(data_dir: Path) -> RunDailies:
    """Run a `dailies` command over `data_dir`; keywords become environment variables."""
    return partial(run_in_process, data_dir)


@pytest.fixture
def run_process(data_dir: Path) -> RunDailies:
    """Run the installed `dailies` in a process of its own, where that is what is tested."""
    return partial(server_process.run_dailies, data_dir)


@pytest.fixture
def server(data_dir: Path) -> Iterator[ServerProcess]:
    """A real server over `data_dir`, with an empty campaigns database."""
    with ServerProcess(data_dir) as running:
        yield running


@pytest.fixture(scope="module")
def jobs_site(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Datasette, Callable[[], None]]]:
    """One instance for the tests of a module, and what empties its databases."""
    with serving_jobs(tmp_path_factory.mktemp("jobs")) as site:
        yield site


@pytest.fixture
def empty_site(jobs_site: tuple[Datasette, Callable[[], None]]) -> Datasette:
    """The instance of the module, with empty databases of jobs."""
    datasette, clear = jobs_site
    clear()
    return datasette


@pytest.fixture
async def api(empty_site: Datasette) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of `empty_site` with root's token."""
    async with asking(empty_site, None) as client:
        client.headers |= token_of("root")
        yield client


@pytest.fixture(params=["builds", "presentations"])
def queue(request: pytest.FixtureRequest) -> Resource:
    return RESOURCES[request.param]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium of this machine.

    Playwright's event loop stays in this thread until the module ends, so a module that uses it
    holds no async tests.
    """
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if lacking := "Chromium" if path is None else lacking_for_playwright():
        (pytest.fail if REQUIRE_BROWSER else pytest.skip)(f"this machine lacks {lacking}")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=BROWSER_OPTIONS)
        yield chromium
        chromium.close()


@cache
def lacking_for_playwright() -> str:
    """Why Playwright's own program does not start here, such as a library that is not there."""
    tried = subprocess.run(
        [sys.executable, "-m", "playwright", "--version"], capture_output=True, text=True
    )
    return tried.stderr.strip() if tried.returncode else ""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page with cookies of its own; a script that throws on it is an error of the test."""
    context = browser.new_context()
    context.set_default_timeout(20_000)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if "browser" in fixtures:
            item.add_marker("browser")
        if fixtures & PROCESS_FIXTURES:
            item.add_marker("process")
