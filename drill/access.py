"""What is not served, what is closed, and requests that take memory or odd forms."""

from __future__ import annotations

import json
import re
import socket
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from drill.case import Run, case
from drill.security import attacked
from drill.target import NAME, SENTINEL, Target, started

HIDDEN, UNKNOWN = "oauth_refresh", "nothing"
QUESTIONS = (
    *("{}__notnull=1", "{}=x", "{}__gt=1", "_sort={}", "_sort_desc={}", "_facet={}", "_col={}"),
    *("_facet_array={}", "_facet_date={}", "_nocol={}", "_search_{}=x"),
    '_through={{"table":"job_history","column":"{}","value":"1"}}',
)
BOMBS = (
    "select zeroblob(900000000)",
    "select length(randomblob(900000000))",
    "select length(hex(zeroblob(60000000)))",
    "select length(replace(hex(zeroblob(50000)), '0', hex(zeroblob(50000))))",
    """with recursive r(n) as (select 1 union all select n + 1 from r where n < 9000)
    select length(json_group_array(hex(zeroblob(100000)))) from r""",
    """with recursive r(n, x) as (
      select 1, zeroblob(1000000) union all select n + 1, zeroblob(1000000) from r where n < 9000
    ) select count(*) from (select * from r order by x limit 9000)""",
)
MAX_MEMORY = 1_500_000_000
MAX_PICTURE_MEMORY = 700_000_000


def memory(site: Target, kind: str = "VmHWM") -> int:
    """Bytes of memory that the server has used at most, or (VmRSS) uses now."""
    status = Path(f"/proc/{site.pid}/status").read_text()
    found = re.search(rf"{kind}:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


@case("hidden columns: asked for, written, guessed")
def hidden_columns(run: Run) -> None:
    with attacked(run) as site, site.asking_as("worker") as client:
        for question in QUESTIONS:
            for path in ("/campaigns/jobs.json", "/campaigns/jobs.csv", "/api/campaigns"):
                answers = [
                    client.get(f"{path}?{question.format(name)}") for name in (HIDDEN, UNKNOWN)
                ]
                run.tries += 1
                assert [answer.status_code for answer in answers] == [400, 400], (path, question)
                hidden, unknown = (answer.text for answer in answers)
                assert hidden.replace(HIDDEN, UNKNOWN) == unknown, (path, question)
        before = site.content()
        for name in (HIDDEN, HIDDEN.upper(), UNKNOWN):
            row = {"id": "new", "job_name": "x", name: "x"}
            for path, body in (
                ("/campaigns/jobs/-/insert", {"row": row}),
                ("/campaigns/jobs/-/insert", {"row": row, "replace": True}),
                ("/campaigns/jobs/-/upsert", {"rows": [row]}),
                ("/campaigns/jobs/spring/-/update", {"update": {name: "x"}}),
            ):
                run.tries += 1
                assert client.post(path, json=body).status_code in {400, 403}, path
        assert site.content() == before


@case("odd headers and parameters: Bearer, Host, Content-Type, _through")
def odd_requests(run: Run) -> None:
    through = ("x", "{}", '{"table":1}', '{"table":"jobs","column":"id","value":1}', "[" * 5000)
    with attacked(run) as site, site.client() as client:
        for path in (f"/campaigns/jobs.json?_through={quote(text)}" for text in through):
            run.tries += 1
            assert client.get(path).status_code == 400, path[:80]
        token = site.new_token("root")[1]
        for separator, status in ((" ", 200), ("\t", 200), ("  ", 200), (":", 401), ("", 401)):
            sent = {"Authorization": f"Bearer{separator}{token}"}
            run.tries += 1
            assert client.get("/-/actor.json", headers=sent).status_code == status, separator
        for kind in ("application/json" + " " * 20_000 + "x", "a" + ";charset" * 2_000):
            sent = {"Content-Type": kind, "Authorization": f"Bearer {token}"}
            answer = client.post("/api/campaigns", headers=sent, content="{}")
            run.tries += 1
            assert answer.status_code in {415, 431}, answer.status_code


@case("SQL of root that takes gigabytes")
def bombs(run: Run) -> None:
    with attacked(run) as site, site.asking_as("root") as client:
        for sql in BOMBS if not run.quick else BOMBS[:4]:
            for database in ("campaigns", "_memory"):
                answer = client.get(f"/{database}/-/query.json?sql={quote(sql)}")
                run.tries += 1
                assert answer.status_code in {400, 503}, (answer.status_code, sql)
        run.notes.append(f"{memory(site) / 1e6:,.0f} MB")
        assert memory(site) < MAX_MEMORY


@case("pictures of 100 million pixels")
def pictures(run: Run) -> None:
    with attacked(run) as site, site.asking_as("root") as client:
        kinds = (("L", "large.png"), ("L", "large.jpg")) if run.quick else PICTURES
        for mode, name in kinds:
            Image.new(mode, (10_000, 9_900)).save(site.images / name)
        rows = [{"character": "nutsy", "source": "photo", "file_path": name} for _, name in kinds]
        insert = "/image_library/image_library/-/insert"
        added = client.post(insert, json={"rows": rows, "return": True}).json()["rows"]
        before = memory(site, "VmRSS")
        with ThreadPoolExecutor(8) as threads:
            paths = [f"/image_library/-/thumbnail/{row['id']}" for row in added] * 4
            for answer in threads.map(client.get, paths):
                run.tries += 1
                assert answer.status_code == 200
        assert memory(site) < max(before + MAX_PICTURE_MEMORY, MAX_MEMORY)


PICTURES = (
    *(("RGBA", "rgba.png"), ("RGB", "rgb.webp"), ("P", "p.gif"), ("L", "l.bmp")),
    *(("RGB", "rgb.jpg"), ("CMYK", "cmyk.jpg"), ("F", "float.tiff")),
)


@case("clients that leave while they write")
def leaving_clients(run: Run) -> None:
    """Others that write meanwhile get their answers, and nothing that was confirmed is lost."""
    with attacked(run) as site:
        token = site.new_token("root")[1]
        with site.writing() as acknowledged:
            while len(acknowledged) < (5 if run.quick else 20):
                leave(site, token)
                run.tries += 1
        run.lost += site.missing(acknowledged)
        with site.asking_as("root") as client:
            for _ in range(100):  # while requests of clients that left are still in line: 503
                answer = client.post("/api/campaigns", json={"id": "last", "job_name": "x"})
                if answer.status_code != 503:
                    break
            assert answer.status_code == 201, answer.text


def leave(site: Target, token: str) -> None:
    """Send a request that writes, and close the connection without reading the answer."""
    body = json.dumps({"job_name": "left"}).encode()
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as connection:
        connection.sendall(
            b"POST /api/campaigns HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            + f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )


@case("a database closed by metadata.yml")
def closed(run: Run) -> None:
    folder = Path(tempfile.mkdtemp(prefix="dailies-drill-"))
    config = folder / "closed.yml"
    config.write_text(
        "databases: {campaigns: {tables: {jobs: {allow: {id: worker}}}}, "
        "yt-builder: {allow: {id: worker}}}\n"
    )
    site = started(folder, "-c", str(config))
    about = ("jobs", "job_history", "job_versions", "deleted_jobs", "set_aside", "recent_jobs")
    paths = [f"/campaigns/{name}.json" for name in about]
    paths += [f"/yt-builder/{name}.json" for name in ("jobs", "job_events", "youtube_uploads")]
    paths += ["/campaigns/-/query.json?sql=select+1", "/_memory/-/query.json?sql=select+1"]
    paths += ["/_memory/build_engagement.json", "/campaigns/jobs.csv"]
    for actor in (None, "reader", "root"):
        with site.asking_as(actor) as client:
            for path in paths:
                run.tries += 1
                assert client.get(path).status_code == 403, (actor, path)
            for path in ("/api/campaigns", "/api/campaigns/changes", "/api/builds/1/events"):
                run.tries += 1
                assert client.get(path).status_code == (403 if actor else 401), (actor, path)
            for path in ("/", f"/-/search?q={NAME[:-1]}", "/-/charts", "/-/jump.json?q=jobs"):
                text = client.get(path).text
                run.tries += 1
                assert NAME not in text, path
                assert "jobs_by_product" not in text, path
                assert SENTINEL not in text
    with site.asking_as("worker") as client:
        assert client.get("/campaigns/job_history.json").status_code == 200
