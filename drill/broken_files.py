"""Databases whose files are damaged, foreign or gone when the server starts."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from drill.case import Run, case
from drill.site import Site

PAGES = {
    "trends": "/trends/trending_topics.json",
    "metrics": "/metrics/latest_video_metrics.json",
    "image_library": "/image_library.json",
    "yt-builder": "/api/builds",
    "presentation_jobs": "/api/presentations/claim",
}


def break_files(folder: Path) -> None:
    """Damage in the middle, half a file, another database, a newer one, a folder."""
    with (folder / "trends.db").open("r+b") as file:
        file.seek(10 * 4096)
        file.write(b"\xff" * 4096)
    content = (folder / "metrics.db").read_bytes()
    (folder / "metrics.db").write_bytes(content[: len(content) // 2])
    shutil.copy(folder / "campaigns.db", folder / "image_library.db")
    with closing(sqlite3.connect(folder / "yt-builder.db")) as connection:
        connection.execute(
            "insert into _sqlite_migrations (migration_set, name, applied_at) "
            "values ('yt-builder', 'm999_newer', '2030-01-01')"
        )
        connection.commit()
    (folder / "presentation_jobs.db").unlink()
    (folder / "presentation_jobs.db").mkdir()


@case("five of six database files damaged, foreign, newer or no file")
def broken(run: Run) -> None:
    for folder in run.repeat(3):
        data = folder / "data"
        data.mkdir()
        assert Site(data).dailies("build").returncode == 0
        break_files(data)
        before = {path: path.read_bytes() for path in data.glob("*.db") if path.is_file()}
        with run.serving(folder) as site:
            with site.writing() as acknowledged, site.watched():
                while len(acknowledged) < 20:
                    pass
                check_answers(site)
            run.lost += site.missing(acknowledged)
            log = site.log.read_text()
        for name in PAGES:
            assert f"The database {name} is not available" in log, log
        changed = [path.name for path in before if path.read_bytes() != before[path]]
        assert set(changed) <= {"campaigns.db"}, f"{changed} were changed"


def check_answers(site: Site) -> None:
    for name, path in PAGES.items():
        method = "POST" if path.endswith("claim") else "GET"
        answer = site.request(method, path, token=site.root, json={"worker": "w"})
        assert answer.status_code == 503, f"{path}: {answer.status_code} {answer.text}"
        assert name in answer.json()["error"]
    home = site.request("GET", "/")
    assert home.status_code == 200
    assert home.text.count("Not available: its file") == len(PAGES)
    health = site.request("GET", "/-/health")
    assert (health.status_code, health.json()["health"]) == (503, "degraded")
