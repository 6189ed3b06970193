"""How fast the jobs API is beside Datasette's own rows, on one server, one table and one disk.

Each pair of requests does the same to the same kind of job; the two take turns, so that what else
the machine does hits both. Run by `just bench`, or alone: `python benchmarks/http_api.py --json`.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from server_process import ServerProcess

ROUND = 20  # requests of one kind before the other has its turn
TABLE = "/campaigns/jobs"
API = "/api/campaigns"
PREPARED_JOBS = 100
BUILDS_TABLE = "/yt-builder/jobs"
BUILDS = "/api/builds"
RUNNING = 100  # builds that workers hold
QUEUED = 20_000  # builds that wait, more than are claimed while it is measured

OPERATIONS = ("create", "read one", "update", "create build", "heartbeat", "claim", "read build")

Request = tuple[str, str, Any]  # method, path, JSON body or None


@dataclass(frozen=True)
class Pair:
    """The same piece of work asked of Datasette and of the jobs API; each call gives a request."""

    name: str
    datasette: Callable[[], Request]
    api: Callable[[], Request]


class Client:
    """One kept-alive connection: sends a request, reads the answer, and little else."""

    def __init__(self, port: int, token: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._headers = (
            f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        )

    def send(self, request: Request) -> int:
        """Send the request and return the status once the whole answer is here."""
        method, path, document = request
        body = b"" if document is None else json.dumps(document).encode()
        head = f"{method} {path} HTTP/1.1\r\n{self._headers}{len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)
        return self._read_answer()

    def close(self) -> None:
        self._socket.close()

    def _read_answer(self) -> int:
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._receive()
        head, _, body = received.partition(b"\r\n\r\n")
        length = next(
            (
                int(line.partition(b":")[2])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            ),
            None,
        )
        while len(body) < length if length is not None else not body.endswith(b"0\r\n\r\n"):
            body += self._receive()
        return int(head[9:12])

    def _receive(self) -> bytes:
        received = self._socket.recv(1 << 16)
        if not received:
            raise ConnectionError("the server closed the connection")
        return received


def job(number: int, size: int) -> dict[str, Any]:
    """A campaign job of about `size` bytes of JSON."""
    document: dict[str, Any] = {
        "id": f"bench-{number}",
        "job_name": f"Matcha Starter Kit, spring {number}",
        "product": "Matcha Starter Kit",
        "persona": "Yoga teacher",
        "setting": "Kitchen",
        "emotion": "calm",
        "hook": "Coffee made me shaky. This did not.",
        "language": "English",
        "brand_name": "Uji & Co",
        "enabled": True,
        "campaign_type": "avatar",
        "overlays": [],
    }
    overlay = {"enabled": True, "text": "No jitters ✨", "font": "Inter-Medium", "size": 23.625}
    missing = size - len(json.dumps(document))
    document["overlays"] = [overlay] * max(0, missing // (len(json.dumps(overlay)) + 2))
    return document


def stored(document: dict[str, Any]) -> dict[str, Any]:
    """The job as a row of the table, as the API would store it."""
    return {"id": document["id"], "data": json.dumps(document, ensure_ascii=False)}


def pairs(size: int) -> Iterator[Pair]:
    """Create, read and update, each answered with the row by both."""
    new = count(PREPARED_JOBS)
    turn = count()

    def job_to_change() -> str:
        return f"bench-{next(turn) % PREPARED_JOBS}"

    yield Pair(
        "create",
        lambda: ("POST", f"{TABLE}/-/insert", {"row": stored(job(next(new), size))}),
        lambda: ("POST", API, job(next(new), size)),
    )
    yield Pair(
        "read one",
        lambda: ("GET", f"{TABLE}/bench-50.json", None),
        lambda: ("GET", f"{API}/bench-50", None),
    )
    yield Pair(
        "update",
        lambda: (
            "POST",
            f"{TABLE}/{job_to_change()}/-/update",
            {"update": {"hook": f"Hook {next(new)}"}, "return": True},
        ),
        lambda: ("PUT", f"{API}/{job_to_change()}", {"hook": f"Hook {next(new)}"}),
    )


def queue_pairs() -> Iterator[Pair]:
    """What workers do with builds, each beside Datasette's own insert, and reading one."""
    new = count(1)
    turn = count()

    def insert() -> Request:
        row = {"run_id": f"bench-{next(new)}", "run_dir": "runs/bench"}
        return "POST", f"{BUILDS_TABLE}/-/insert", {"row": row}

    yield Pair(
        "create build",
        insert,
        lambda: ("POST", BUILDS, {"run_id": f"bench-{next(new)}", "run_dir": "runs/bench"}),
    )
    yield Pair(
        "heartbeat",
        insert,
        lambda: ("POST", f"{BUILDS}/{next(turn) % RUNNING + 1}/heartbeat", {"progress": 50}),
    )
    yield Pair("claim", insert, lambda: ("POST", f"{BUILDS}/claim", {"worker": "bench"}))
    yield Pair(
        "read build",
        lambda: ("GET", f"{BUILDS_TABLE}/1.json", None),
        lambda: ("GET", f"{BUILDS}/1", None),
    )


def requests_per_second(
    clients: list[Client], request: Callable[[], Request], requests: int
) -> float:
    """Send `requests` over all clients at once; RuntimeError when one is not answered by 2xx."""
    asked = [[request() for _ in range(requests // len(clients))] for _ in clients]
    statuses: list[int] = []

    def run(client: Client, mine: list[Request]) -> None:
        statuses.extend(client.send(one) for one in mine)

    threads = [threading.Thread(target=run, args=args) for args in zip(clients, asked, strict=True)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - started
    wanted = sum(map(len, asked))
    good = sum(200 <= status < 300 for status in statuses)
    if good != wanted:
        raise RuntimeError(f"{good} of {wanted} requests succeeded: {sorted(set(statuses))}")
    return wanted / elapsed


def compare(clients: list[Client], pair: Pair, requests: int) -> dict[str, Any]:
    """Requests per second of both, and the ratio: medians over rounds that take turns."""
    rounds = [
        (
            requests_per_second(clients, pair.datasette, max(ROUND, 5 * len(clients))),
            requests_per_second(clients, pair.api, max(ROUND, 5 * len(clients))),
        )
        for _ in range(max(3, requests // ROUND))
    ]
    return {
        "operation": pair.name,
        "connections": len(clients),
        "datasette_per_second": round(statistics.median(theirs for theirs, _ in rounds), 1),
        "api_per_second": round(statistics.median(ours for _, ours in rounds), 1),
        "ratio": round(statistics.median(ours / theirs for theirs, ours in rounds), 2),
    }


def measure(
    server: ServerProcess, requests: int, connections: list[int], size: int
) -> list[dict[str, Any]]:
    """One result for each operation and number of connections; the server's database grows."""
    token = server.token("root")
    results = []
    with closing(Client(server.port, token)) as client:
        for number in range(PREPARED_JOBS):
            client.send(("POST", f"{TABLE}/-/insert", {"row": stored(job(number, size))}))
        for _ in range(QUEUED // 1000):
            client.send(("POST", BUILDS, [{"status": "queued"}] * 1000))
        for _ in range(RUNNING):
            client.send(("POST", f"{BUILDS}/claim", {"worker": "bench"}))
    for pair in (*pairs(size), *queue_pairs()):
        for number_of_clients in connections:
            clients = [Client(server.port, token) for _ in range(number_of_clients)]
            requests_per_second(clients, pair.api, 2 * number_of_clients)
            requests_per_second(clients, pair.datasette, 2 * number_of_clients)
            results.append(compare(clients, pair, requests))
            for client in clients:
                client.close()
    return results


def table(results: list[dict[str, Any]]) -> str:
    lines = [f"{'':14}{'connections':>12}{'Datasette/s':>14}{'API/s':>10}{'ratio':>8}"]
    lines += [
        f"{one['operation']:14}{one['connections']:>12}{one['datasette_per_second']:>14}"
        f"{one['api_per_second']:>10}{one['ratio']:>8}"
        for one in results
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=300, help="of each kind")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--size", type=int, default=1000, help="bytes of one job")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder) / "data"
        data_dir.mkdir()
        with ServerProcess(data_dir) as server:
            results = measure(server, options.requests, options.connections, options.size)
    print(table(results), file=sys.stderr)
    if options.json:
        print(json.dumps({"job_bytes": options.size, "results": results}, indent=2))


if __name__ == "__main__":
    main()
