"""Takes the pictures of the README from the sample data: `just screenshots`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

FOLDER = Path(__file__).parent / "images"
TESTS = FOLDER.parent.parent / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "support")]

from conftest import BROWSER_OPTIONS, BROWSERS  # noqa: E402
from server_process import ServerProcess, run_dailies  # noqa: E402

# Name, address, width and height in pixels, light or dark.
PICTURES = (
    ("home", "/", 1100, 900, "light"),
    ("activity", "/-/activity", 1100, 900, "dark"),
    ("build", "/yt-builder/jobs/12", 390, 760, "light"),
)


def take(browser: Browser, address: str, name: str, width: int, height: int, scheme: str) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    page.goto(address)
    page.wait_for_load_state("networkidle")
    page.screenshot(path=FOLDER / f"{name}.png")
    context.close()


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    chromium = next(filter(None, map(shutil.which, BROWSERS)))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        data_dir = Path(folder) / "data"
        run_dailies(data_dir, "build", "--sample")
        with ServerProcess(data_dir) as server:
            browser = playwright.chromium.launch(executable_path=chromium, args=BROWSER_OPTIONS)
            for name, path, width, height, scheme in PICTURES:
                take(browser, server.url + path, name, width, height, scheme)
            browser.close()


if __name__ == "__main__":
    main()
