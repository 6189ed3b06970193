"""A real server for the tests in a browser, and the pages of people who are signed in."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import cache
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Page
from server_process import ServerProcess

STALE = "run-17-stale"
ADD_STALE_BUILD = """
    insert into jobs (run_id, run_dir, status, progress, current_step, worker, started_at,
      last_heartbeat)
    values (:run_id, 'runs/17', 'running', 40, 'Cutting', 'studio-2', :started, :heartbeat)
    """
SET_HEARTBEAT = "update jobs set last_heartbeat = :heartbeat where run_id = :run_id"


class Site(ServerProcess):
    def add_stale_build(self) -> None:
        """Add a build without a recent heartbeat; when a server starts, it requeues such builds."""
        values = {
            "run_id": STALE,
            "started": "2026-07-09T10:00:00.000Z",
            "heartbeat": "2026-07-09T10:05:00.000Z",
        }
        path = self.data_dir / "yt-builder.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute(ADD_STALE_BUILD, values)
            db.execute(SET_HEARTBEAT, values)

    @cache  # noqa: B019 - a few servers for each run
    def cookies(self, actor: str) -> dict[str, str]:
        """The cookies of a browser that is signed in as this actor."""
        answer = self.request("POST", "/-/sign-in", data={"token": self.token(actor)})
        return dict(answer.cookies)

    def sign_in(self, context: BrowserContext, actor: str) -> None:
        context.add_cookies(
            [
                {"name": name, "value": value, "url": self.url}
                for name, value in self.cookies(actor).items()
            ]
        )


def watch(page: Page, site: ServerProcess) -> list[str]:
    """A list that gets every error on the console, failed response and request to another site."""
    wrong: list[str] = []
    page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    page.on(
        "response",
        lambda answer: (
            wrong.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None
        ),
    )

    def check(address: str) -> None:
        is_remote = urlsplit(address).scheme in ("http", "https")
        if is_remote and not address.startswith(f"{site.url}/"):
            wrong.append(address)

    page.on("request", lambda request: check(request.url))
    return wrong
