"""Requests that each try to keep the server from answering anybody else."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx2

from drill.case import Run, case
from drill.site import Site

LARGE = 7_000_000
MAX_MEMORY_MB = 600
ENDLESS = "with recursive c(x) as (select 1 union all select x+1 from c) select count(*) from c"
JOBS = "/campaigns/jobs.json"
SQL = "/campaigns/-/query.json?sql="
INSERT = "/campaigns/jobs/-/insert"
TYPE = {"Content-Type": "application/json"}


class Attack(NamedTuple):
    """A request, and the statuses that it may be answered with."""

    path: str
    statuses: tuple[int, ...] = (200,)
    method: str = "GET"
    headers: dict[str, str] = {}  # noqa: RUF012
    body: bytes | None = None
    as_root: bool = False


def too_much() -> Iterator[Attack]:
    """Too much of something."""
    yield Attack(f"{JOBS}?_facet=sqlite_{'%20' * 800}x", (400,))
    yield Attack("/", (431,), headers={"Cookie": 'a="' + '\\"' * 20_000})
    yield Attack("/", headers={"Cookie": 'a="' + '\\"' * 10_000})
    yield Attack("/", (431,), headers={"Cookie": "; ".join(f"c{n}=1" for n in range(200))})
    yield Attack("/", (431,), headers={f"X-{n}": "1" for n in range(150)})
    yield Attack("/", (431,), headers={"X-Large": "x" * 50_000})
    for path in (JOBS, "/api/campaigns", "/", "/campaigns/jobs", "/-/search"):
        yield Attack(f"{path}?{'&'.join(f'a{n}=1' for n in range(2000))}", (400,))
        yield Attack(f"{path}?{'&' * 10_000}", (400,))
        yield Attack(f"{path}?q={'x' * 50_000}", (414,))
        yield Attack(f"{path}?{'&'.join(['_facet=product'] * 60)}", (400,))
        yield Attack(f"{path}?{'&'.join(['%5Ffacet=product'] * 60)}", (400,))
    yield Attack("/" + "a/" * 4000, (302, 404))
    yield Attack("/" + "%2e" * 2700, (302, 404))
    yield Attack("/" + "a/" * 9000, (414,))
    yield Attack(f"{JOBS}?{'&'.join(['product__contains=x'] * 190)}")
    yield Attack(f"{JOBS}?{'&'.join(['_col=id'] * 190)}")
    yield Attack(f"{JOBS}?{'&'.join(['_search=x'] * 190)}", (400,))
    yield Attack(f"{JOBS}?_size={'9' * 10_000}", (400,))
    yield Attack(f"{JOBS}?_next={'9' * 10_000}", (200, 400))
    yield Attack(f"{JOBS}?id__in={','.join(map(str, range(3000)))}")
    yield Attack(f"/api/campaigns?_next={'A' * 10_000}", (400,))


def expensive_searches() -> Iterator[Attack]:
    """Patterns and queries that take long where something is not linear."""
    for pattern in ("%25x" * 60, "%25" + "y" * 200 + "z", "y%25" * 100):
        yield Attack(f"{JOBS}?data__like={pattern}")
        yield Attack(f"{JOBS}?data__contains={pattern}")
    yield Attack(f"{JOBS}?data__like={'y' * 600}", (400,))
    yield Attack(f"{JOBS}?data__glob={'*y' * 100}")
    words = "+".join(f"a{n}" for n in range(1500))
    for path in (f"{JOBS}?_search=", "/-/search?q=", "/campaigns/search_jobs.json?q="):
        yield Attack(path + words, (200, 400))
        yield Attack(path + "+".join("abcdefghijklmnopqrstuvwxyz" * 8), (200, 400))
    yield Attack(f"/api/campaigns?q={words}", (400,))
    near = quote(" OR ".join(["NEAR(word word word, 100)"] * 60))
    yield Attack(f"{JOBS}?_searchmode=raw&_search={near}", (200, 400))
    yield Attack(f"{JOBS}?_sort=data", (200, 400))
    yield Attack(f"{JOBS}?_facet_array=data&_facet_date=data&_facet=data", (200, 400))


def odd_bodies() -> Iterator[Attack]:
    """Bodies that are hard to parse, or claim what they are not."""
    for path in ("/api/campaigns", INSERT):
        for body in (b"[" * 500_000, b'{"a":' * 100_000, b'{"row": ' + b"[" * 200_000):
            yield Attack(path, (400,), "POST", TYPE, body, as_root=True)
        number = b'{"row": {"id": "n", "job_name": "n", "x": ' + b"9" * 1_500_000 + b"}}"
        yield Attack(path, (400,), "POST", TYPE, number, as_root=True)
        keys = json.dumps({str(n): n for n in range(100_000)}).encode()
        yield Attack(path, (201, 400, 413), "POST", TYPE, keys, as_root=True)
    yield Attack("/-/sign-in", (413,), "POST", FORM, b"a=1&" * 400_000)
    gzip = {**TYPE, "Content-Encoding": "gzip"}
    yield Attack("/api/campaigns", (400, 415), "POST", gzip, b"\x1f\x8b" + b"0" * 100, as_root=True)
    ranges = {"Range": "bytes=" + ",".join(f"{n}-" for n in range(1000))}
    yield Attack("/static/dailies.css", (200, 206), headers=ranges)


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@case("requests with too much of something")
def one_at_a_time(run: Run) -> None:
    for folder in run.repeat(1):
        with run.serving(folder) as site:
            add_large_jobs(site, 2, LARGE // 10 if run.quick else LARGE)
            with site.watched(), site.client() as client:
                for attack in chain(too_much(), expensive_searches(), odd_bodies()):
                    send(site, client, attack)
            run.notes = [f"{memory(site)} MB of memory"]


def send(site: Site, client: httpx2.Client, attack: Attack) -> int:
    """Send it and check the status; the size of the response."""
    root = {"Authorization": f"Bearer {site.root}"} if attack.as_root else {}
    headers = {**attack.headers, **root}
    size = 0
    with client.stream(
        attack.method, attack.path, headers=headers, content=attack.body
    ) as response:
        for part in response.iter_raw():
            size += len(part)
        what = f"{attack.method} {attack.path[:80]}: {response.status_code}"
        assert response.status_code in attack.statuses, what
    return size


def add_large_jobs(site: Site, number: int, length: int = LARGE) -> None:
    """Jobs that no route of HTTP would accept."""
    text = "y" * length
    with closing(sqlite3.connect(site.data_dir / "campaigns.db", timeout=30)) as connection:
        connection.execute("pragma synchronous = off")
        for n in range(number):
            job = json.dumps({"job_name": f"Large {n}", "text": text})
            connection.execute("insert into jobs (id, data) values (?, ?)", (f"large-{n}", job))
            connection.execute("update jobs set product = ? where id = ?", (f"p{n}", f"large-{n}"))
        connection.commit()


def memory(site: Site) -> int:
    """The largest resident memory of the server until now, in MB."""
    status = Path(f"/proc/{site.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


LISTS = (
    "/", "/-/search?q=large", "/campaigns", "/campaigns/jobs?_size=1000", "/campaigns/jobs/large-1",
    "/campaigns/jobs/large-1.json", f"{JOBS}?_size=1000", f"{JOBS}?_size=1000&_shape=object",
    f"{JOBS}?_size=1000&_shape=arrays", f"{JOBS}?_size=1000&_shape=array&_nl=on",
    "/campaigns/jobs.csv?_size=1000", "/campaigns/job_history.json?_size=1000",
    "/campaigns/job_versions.json?_size=1000", "/campaigns/job_versions?_size=1000",
    "/campaigns/job_changes.json?id=large-1", "/campaigns/recent_jobs.json?limit=1000",
    "/campaigns/search_jobs?q=large", "/api/campaigns?_size=1000",
    "/api/campaigns/large-1/history?_size=1000", "/api/campaigns/changes?_size=1000",
    SQL + quote("select data from jobs"), SQL + quote("select group_concat(data) from jobs"),
)  # fmt: skip


@case("lists of jobs of 7 MB, several at once")
def large_lists(run: Run) -> None:
    for folder in run.repeat(1):
        with run.serving(folder) as site:
            add_large_jobs(site, *((3, LARGE // 3) if run.quick else (30, LARGE)))

            def ask(path: str) -> int:
                attack = Attack(path, (200, 400), as_root="sql=" in path)
                with site.client() as client:
                    return send(site, client, attack)

            with site.watched(), ThreadPoolExecutor(2 if run.quick else 4) as threads:
                sizes = list(threads.map(ask, LISTS if run.quick else LISTS * 3))
            largest = max(sizes)
            assert largest < 4 * LARGE, f"a response has {largest:,} bytes"
            run.notes = [f"{memory(site)} MB of memory", f"{largest:,} bytes"]
            assert memory(site) < MAX_MEMORY_MB, run.notes[0]


@case("slow queries of root, twelve at once")
def slow_queries(run: Run) -> None:
    limit = "500" if run.quick else "5000"
    for folder in run.repeat(3):
        with run.serving(folder, "--setting", "sql_time_limit_ms", limit) as site:
            attack = Attack(SQL + quote(ENDLESS), (400, 503), as_root=True)

            def ask(_: int, site: Site = site, attack: Attack = attack) -> int:
                with site.client() as client:
                    return send(site, client, attack)

            assert site.root
            with site.watched(), site.watched(f"{JOBS}?_size=1"), ThreadPoolExecutor(12) as threads:
                list(threads.map(ask, range(12 if run.quick else 36)))


@case("pages and lists, many at once")
def many_pages(run: Run) -> None:
    paths = (
        "/",
        "/campaigns/jobs?_size=200",
        JOBS,
        "/campaigns/jobs.csv?_stream=1",
        "/-/search?q=a",
    )
    for folder in run.repeat(3):
        with run.serving(folder) as site:
            add_jobs(site, 300)

            def ask(path: str, site: Site = site) -> Any:
                with site.client() as client:
                    return send(site, client, Attack(path, (200, 503)))

            with site.watched(), ThreadPoolExecutor(10) as threads:
                list(threads.map(ask, paths * (4 if run.quick else 40)))
            run.notes = [f"{memory(site)} MB of memory"]


def add_jobs(site: Site, number: int) -> None:
    jobs = [{"id": f"job-{n}", "job_name": f"Job {n}", "text": "x" * 500} for n in range(number)]
    answer = site.request("POST", "/api/campaigns", token=site.root, json=jobs)
    assert answer.status_code == 201, answer.text
