"""Searches: the index after a kill, and terms that are expensive to look up."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from drill.case import Run, case
from drill.site import Site

TERMS = (
    "e", "抹", "🔥", "zz", "tch", "%", "a" * 5_000, "ab" * 2_000, '"' * 1_000, "é" * 2_000,
    " ".join(f"w{number}" for number in range(100)), " ".join("e" for _ in range(100)),
    "(" * 500, "NEAR(" * 200, "*" * 500, "\u0301" * 1_000, "ﷺ" * 500,
)  # fmt: skip
PATHS = (
    "/api/campaigns?q={}", "/api/builds?q={}", "/api/presentations?q={}", "/-/search?q={}",
    "/campaigns/jobs.json?_search={}", "/campaigns/jobs.json?_search_hook={}",
    "/campaigns/search_jobs.json?q={}", "/trends/search_topics.json?q={}",
)  # fmt: skip


@case("search index of a server killed with -9", quick=False)
def killed(run: Run) -> None:
    for folder in run.repeat(20):
        with run.serving(folder) as site:
            add_jobs(site, 1_100)
            with site.writing() as acknowledged:
                while len(acknowledged) < 20:
                    pass
                site.kill9()
            site.start()
            run.lost += site.missing(acknowledged)
            assert found(site, "/api/campaigns?q=rill-matc&_size=1000") == 1_000
            assert site.dailies("check").returncode == 0


@case("expensive search terms")
def expensive(run: Run) -> None:
    for folder in run.repeat(3):
        with run.serving(folder) as site:
            add_jobs(site, 200 if run.quick else 20_000)
            with site.client() as client, site.watched():
                for term in TERMS[:5:2] if run.quick else TERMS:
                    for path in PATHS:
                        status = client.get(path.format(quote(term))).status_code
                        assert status in (200, 400, 414, 431), (path, term[:20], status)


def add_jobs(site: Site, count: int) -> None:
    headers = {"Authorization": f"Bearer {site.root}"}
    with site.client() as client:
        for start in range(0, count, 1_000):
            numbers = range(start, min(start + 1_000, count))
            jobs = [
                {"job_name": f"Job {one}", "hook": "A drill-matcha kit 抹茶"} for one in numbers
            ]
            answer = client.post("/api/campaigns", json=jobs, headers=headers)
            assert answer.status_code == 201, answer.text


def found(site: Site, path: str) -> int:
    with site.client() as client:
        answer: dict[str, Any] = client.get(path).json()
        return len(answer["rows"])
