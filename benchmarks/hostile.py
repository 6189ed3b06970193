"""Sends thousands of hostile requests to a real server: `python benchmarks/hostile.py [NUMBER]`.

A third is made from the API's own document, a third from words that broke other systems, a third
at random. Fails where an answer is a 500 or an error of another shape, and unless `dailies check`
finds nothing wrong with the databases afterwards.
"""

from __future__ import annotations

import json
import random
import socket
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisWarning, Unsatisfiable
from requests import Session
from requests.exceptions import RequestException
from schemathesis import GenerationMode

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))
from server_process import ServerProcess, run_dailies

from dailies.api.openapi import describe
from dailies.api.resources import RESOURCES

NUMBER = 10_000
DOCUMENT = describe(RESOURCES)
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
    "?a" * 500, "?_next=WzEsMV0", "?_size=%C2%B2",
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
    b"GET ", b"POST ", b"/api/builds", b" HTTP/1.1\r\n", b"Host: x\r\n", b"\r\n",
    b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
)  # fmt: skip
OPERATIONS = [
    (method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods
]


class Attack:
    """One server, and what it answered."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.session = Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {server.token('root')}"
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []

    def judge(self, what: str, status: int, headers: Any, text: str) -> None:
        self.counts[str(status)] += 1
        if status >= 500 and not (status == 503 and "retry-after" in headers):
            self.faults.append(f"{status} {what}: {text[:300]}")
        if status >= 400 and text and not is_error(text, status):
            self.faults.append(f"{status} {what}: no error of ours: {text[:300]}")

    def send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> None:
        what = f"{method} {path[:200]} {headers!r:.100} {body[:200]!r}"
        encoded = {name: value.encode("latin-1") for name, value in headers.items()}
        try:
            with self.session.request(
                method, self.server.url + path, data=body, headers=encoded, timeout=60, stream=True
            ) as answer:
                going_on = answer.headers.get("Content-Type", "").startswith("text/event-stream")
                text = "" if going_on or method == "HEAD" else answer.text
                if method.upper() != "TRACE" or text:
                    self.judge(what, answer.status_code, lower(answer.headers), text)
        except (RequestException, UnicodeError, ValueError):
            self.counts["not sent"] += 1

    def send_raw(self, content: bytes) -> None:
        """Bytes that no client would send; the server may end the connection instead."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=60) as connection:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        found = answer.split(b" ", 2)[1:2]
        self.counts[found[0].decode() if found else "connection ended"] += 1
        if found and found[0] == b"500":
            self.faults.append(f"500 {content[:200]!r}")


def lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def is_error(text: str, status: int) -> bool:
    """Is it an error in the one shape? What is no HTTP is answered before it reaches us."""
    if status == 400 and text == "Invalid HTTP request received.":
        return True
    try:
        error = json.loads(text)
    except ValueError:
        return False
    return list(error) == ["ok", "error", "errors", "status"] and error["status"] == status


def from_the_document(attack: Attack, number: int) -> None:
    """Requests that the document allows or just forbids."""
    operations = [one.ok() for one in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()]
    each = number // (len(operations) * len(GenerationMode)) + 1
    for operation in operations:
        for mode in GenerationMode:

            @settings(
                max_examples=each,
                phases=[Phase.generate],
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            )
            @given(operation.as_strategy(generation_mode=mode))
            def send(case: schemathesis.Case) -> None:
                case.headers["Authorization"] = attack.session.headers["Authorization"]
                try:
                    answer = case.call(base_url=attack.server.url, session=attack.session)
                except (RequestException, UnicodeError, ValueError):
                    attack.counts["not sent"] += 1
                    return
                what = f"{case.method} {case.formatted_path} {case.body!r:.200}"
                attack.judge(what, answer.status_code, answer.headers, answer.text)

            try:
                send()
            except Unsatisfiable:
                continue


def by_hand(attack: Attack, number: int, chance: random.Random) -> None:
    """Every path with odd keys, methods, queries, headers and bodies."""
    paths = [*DOCUMENT["paths"], "/api", "/api/", "/api/openapi.json", "/api/docs", "/api/nothing"]
    for position in range(number):
        path = paths[position % len(paths)]
        for part in ("key", "file_type", "filename"):
            path = path.replace(f"{{{part}}}", chance.choice(("1", "2", *KEYS)))
        if chance.random() < 0.1:
            path += chance.choice(("%0A", "/", "%00", "//", "/..", "%2F"))
        headers = {**chance.choice(HEADERS), "Content-Type": chance.choice(TYPES[:1] * 20 + TYPES)}
        known = tuple(DOCUMENT["paths"].get(paths[position % len(paths)], ())) * 10
        method = chance.choice((*known, *METHODS)).upper()
        attack.send(
            method, path + chance.choice(QUERIES[:1] * 10 + QUERIES), bodies(chance), headers
        )


def bodies(chance: random.Random) -> bytes:
    """JSON with a good many fields of ours and odd values, or what is no JSON."""
    kind = chance.random()
    if kind < 0.1:
        return chance.choice((b"", b"{", b"\xff\xfe{", b"[" * 100_000, b'{"a":' * 3000, b"null"))
    if kind < 0.15:
        return chance.randbytes(chance.randrange(200))
    names = chance.sample(FIELDS, chance.randrange(1, 5))
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
        lambda: json.dumps({chance.choice(FIELDS): chance.choice(TEXTS[:5])}),
    )
    return chance.choice(kinds)()


FIELDS = sorted(
    {
        name
        for schema in DOCUMENT["components"]["schemas"].values()
        for name in schema.get("properties", {})
    }
)


def random_bytes(attack: Attack, number: int) -> None:
    """Requests of which hypothesis makes up every part."""
    parts = st.binary(max_size=30)
    pieces = st.sampled_from(PIECES)
    lines = st.lists(pieces | parts, min_size=1, max_size=8).map(b"".join)

    @settings(max_examples=number // 4, phases=[Phase.generate], database=None, deadline=None)
    @given(lines)
    def send_raw(content: bytes) -> None:
        attack.send_raw(content)

    @settings(
        max_examples=number - number // 4,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.sampled_from(OPERATIONS),
        st.just(b"1") | parts,
        st.just("") | st.text(max_size=30),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), inner, max_size=4)
            ),
            max_leaves=10,
        ),
    )
    def send(operation: tuple[str, str], key: bytes, query: str, document: Any) -> None:
        method, path = operation
        encoded = "".join(f"%{byte:02X}" for byte in key) or "1"
        for part in ("{key}", "{file_type}", "{filename}"):
            path = path.replace(part, encoded)
        body = json.dumps(document).encode()
        attack.send(method, f"{path}?{query}" if query else path, body, {"Content-Type": TYPES[0]})

    send_raw()
    send()


def seed(attack: Attack) -> None:
    jobs = [{"status": "queued"}] * 20
    for name in ("builds", "presentations"):
        attack.session.post(f"{attack.server.url}/api/{name}", json=jobs)


def faults_of_databases(data_dir: Path) -> Iterator[str]:
    checked = run_dailies(data_dir, "check", "--json")
    if checked.returncode:
        yield f"dailies check: {checked.stdout}{checked.stderr}"


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else NUMBER
    warnings.simplefilter("ignore", HypothesisWarning)
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder) / "data"
        with ServerProcess(data_dir) as server:
            attack = Attack(server)
            seed(attack)
            began = time.monotonic()
            from_the_document(attack, number // 3)
            random_bytes(attack, number // 3)
            by_hand(attack, number - sum(attack.counts.values()), random.Random(number))
            seconds = time.monotonic() - began
            alive = server.request("GET", "/api/builds?_size=1").status_code
        faults = [*attack.faults, *faults_of_databases(data_dir)]
    for status, count in sorted(attack.counts.items()):
        print(f"{status:>20} {count:>7,}")
    print(f"{sum(attack.counts.values()):,} requests in {seconds:.0f} s, {len(faults)} faults")
    print("\n".join(faults[:20]))
    sys.exit(bool(faults) or alive != 200)


if __name__ == "__main__":
    main()
