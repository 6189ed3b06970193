"""Thousands of requests at random: odd paths, parameters, headers and bodies, and plain bytes."""

from __future__ import annotations

import json
import random
from collections import Counter
from functools import cache
from typing import Any

import httpx2

from dailies.api.openapi import describe
from dailies.api.resources import RESOURCES
from drill.case import Run, case
from drill.connections import answer_to
from drill.site import Site

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW")
KEYS = (
    "1", "p1", "0", "-1", "9" * 40, "%00", "1%0A", "%FF", "%ED%A0%80", "..", ".", "%2e%2e%2f",
    "a%2Fb", "claim", "%63laim", "'", "%22]--", "%F0%9F%8D%B5", "1;drop table jobs", "x" * 3000,
    "%", "%zz", "",
)  # fmt: skip
TYPES = (
    "application/json", "application/merge-patch+json", "text/plain", "application/json; charset=x",
    "multipart/form-data; boundary=x", "application/xml", "", "application/json;" * 50,
)  # fmt: skip
QUERIES = (
    "", "?", "?_size=1e9", "?_next=%00", "?_sort=-", "?_sort=job_id)--", "?q=%22%22*",
    "?q=" + "a+" * 300, "?status=x&status=y", "?since=latest", "?since=%0A", "?%00=1",
    "?progress=NaN", "?created_at=%FF", "?_sort=rowid", "?config=%7B", "?job_id=" + "9" * 30,
    "?" + "a" * 1500, "?_next=WzEsMV0", "?_size=%C2%B2",
)  # fmt: skip
HEADERS = (
    {},
    {"If-Match": "*"},
    {"If-Match": '"'},
    {"If-None-Match": 'W/"x", *'},
    {"Idempotency-Key": "same"},
    {"Idempotency-Key": ""},
    {"Idempotency-Key": "x" * 5000},
    {"Accept": "text/html"},
    {"Authorization": "Bearer x"},
    {"Authorization": "Basic \u00ff"},
    {"Last-Event-ID": "x"},
    {"Cookie": "ds_actor=x; a=\u00ff"},
    {"X-Large": "x" * 60_000},
    {"Origin": "https://evil.example"},
    {"Content-Encoding": "gzip"},
)
TEXTS = ("", "\0", "\U0001f375", "\u202e", "'; drop table jobs", "x" * 100_000, "9" * 5000, "NaN")
NUMBERS = (
    "0",
    "-1",
    "1e999",
    "-0.0",
    "9" * 400,
    "2147483648",
    str(2**63),
    "NaN",
    "Infinity",
    "1e-400",
)

PIECES = (
    b"GET ", b"POST ", b"/api/builds", b" HTTP/1.1\r\n", b"Host: 127.0.0.1\r\n", b"\r\n",
    b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n",
)  # fmt: skip


@cache
def document() -> dict[str, Any]:
    return describe(RESOURCES)


@cache
def fields() -> list[str]:
    """The names of all columns and other fields."""
    schemas = document()["components"]["schemas"].values()
    return sorted({name for schema in schemas for name in schema.get("properties", {})})


@case("random requests, and bytes that are no requests")
def random_requests(run: Run) -> None:
    for folder in run.repeat(1):
        with run.serving(folder) as site:
            chance = random.Random(run.tries)
            add_queued(site)
            with site.watched(), site.client() as client:
                client.headers["Authorization"] = f"Bearer {site.root}"
                counts = Counter(
                    status_of(client, *request(chance)) for _ in range(150 if run.quick else 20_000)
                )
                for _ in range(20 if run.quick else 2_000):
                    send_bytes(site, chance)
            run.notes = [f"{count:,} x {status}" for status, count in sorted(counts.items())]
            checked = site.dailies("check", "--json")
            assert checked.returncode == 0, checked.stdout + checked.stderr


def add_queued(site: Site) -> None:
    for name in ("builds", "presentations"):
        jobs = [{"status": "queued"}] * 20
        assert site.request("POST", f"/api/{name}", token=site.root, json=jobs).status_code == 201


def status_of(client: httpx2.Client, method: str, path: str, headers: Any, body: bytes) -> str:
    """Send a request; the status of the response, which is in the shape of all errors."""
    what = f"{method} {path[:200]} {headers!r:.100} {body[:200]!r}"
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    try:
        with client.stream(method, path, content=body, headers=encoded) as response:
            status, kind = response.status_code, response.headers.get("content-type", "")
            text = "" if kind.startswith("text/event-stream") else response.read().decode()
    except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError):
        return "not sent"
    assert status < 500 or (status == 503 and "retry-after" in response.headers), f"{status} {what}"
    if status >= 400 and text and method != "HEAD":
        assert is_error(text, status), f"{status} {what}: {text[:300]}"
    return str(status)


def is_error(text: str, status: int) -> bool:
    try:
        error = json.loads(text)
    except ValueError:
        return False
    return list(error) == ["ok", "error", "errors", "status"] and error["status"] == status


def request(chance: random.Random) -> tuple[str, str, dict[str, str], bytes]:
    """A path of the API with odd keys, methods, queries, headers and bodies."""
    template = chance.choice([*document()["paths"], "/api", "/api/", "/api/docs", "/api/nothing"])
    path = template
    for part in ("key", "file_type", "filename"):
        path = path.replace(f"{{{part}}}", chance.choice(("1", "2", *KEYS)))
    if chance.random() < 0.1:
        path += chance.choice(("%0A", "/", "%00", "//", "/..", "%2F"))
    headers = {**chance.choice(HEADERS), "Content-Type": chance.choice(TYPES[:1] * 20 + TYPES)}
    known = tuple(document()["paths"].get(template, ())) * 10
    method = chance.choice((*known, *METHODS)).upper()
    return method, path + chance.choice(QUERIES[:1] * 10 + QUERIES), headers, bodies(chance)


def send_bytes(site: Site, chance: random.Random) -> None:
    parts = (chance.choice((*PIECES, chance.randbytes(20))) for _ in range(chance.randrange(1, 9)))
    answer = answer_to(site, b"".join(parts), seconds=0.05)
    assert b" 500 " not in answer[:20], answer


def bodies(chance: random.Random) -> bytes:
    """JSON with a good many fields of ours and odd values, or what is no JSON."""
    kind = chance.random()
    if kind < 0.1:
        return chance.choice((b"", b"{", b"\xff\xfe{", b"[" * 100_000, b'{"a":' * 3000, b"null"))
    if kind < 0.15:
        return chance.randbytes(chance.randrange(200))
    names = chance.sample(fields(), chance.randrange(1, 5))
    text = ", ".join(f"{json.dumps(name)}: {value(chance)}" for name in names)
    return (f"[{{{text}}}]" if chance.random() < 0.2 else f"{{{text}}}").encode(errors="replace")


def value(chance: random.Random) -> str:
    """JSON text, or nearly."""
    simple = (*NUMBERS, "null", "true", "[]", "{}", '"\\ud800"', "[" * 300 + "]" * 300)
    kinds = (
        lambda: chance.choice(simple),
        lambda: json.dumps(chance.choice(TEXTS)),
        lambda: json.dumps(
            chance.choice(("queued", "running", "processing", "completed", "delete"))
        ),
        lambda: f'{{"!!binary": {json.dumps(chance.choice(TEXTS[:4]))}}}',
        lambda: json.dumps({chance.choice(fields()): chance.choice(TEXTS[:5])}),
    )
    return chance.choice(kinds)()
