"""How systems of this kind were broken: the cases of docs/security.md, against a real server."""

from __future__ import annotations

import itertools
import json
import os
import re
import sqlite3
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from typing import TypeVar
from urllib.parse import quote, urljoin, urlsplit

import httpx2

from dailies.api.routes import ROUTES
from drill.case import Run, case
from drill.target import NAME, SENTINEL, Target, private_target, target

Thing = TypeVar("Thing")

ODD_NAMES = ("]", '"', "'", "`", "a\n", "\0", "id]--", "oauth_refresh", '"; select 1', "é", "%")
WRITING = re.compile(
    r"/-/(alter|create|delete|drop|execute-write|insert|set-column-type|store|update|upsert)\b"
)
CROSS_SITE = ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"})
JSON = {"Content-Type": "application/json"}


@contextmanager
def attacked(run: Run) -> Iterator[Target]:
    """The shared server, while another client watches its delays."""
    site = target()
    with run.counting_delays(site), site.watched():
        yield site


def some(run: Run, things: Iterable[Thing], quick: int, full: int) -> list[Thing]:
    """Every so-manyth of them."""
    return list(things)[:: quick if run.quick else full]


def assert_secret(run: Run, text: str, where: str) -> None:
    run.tries += 1
    assert SENTINEL not in text, f"{where} reveals what is not served"


def writes() -> Iterator[tuple[str, str]]:
    """Method and path of every request that may write: of the jobs API and of Datasette."""
    for route in ROUTES:
        for name in route.resources if route.method != "GET" else ():
            parts = {"resource": name, "key": "spring", "file_type": "videos", "filename": "a"}
            yield route.method, route.path.format(**parts)
    for path in target().paths():
        if WRITING.search(path) or re.match(r"/campaigns/-/[\w-]+-\w+\Z", path):
            yield "POST", path


@case("1 odd names of columns, tables and routes in addresses")
def identifiers(run: Run) -> None:
    keys = ("_sort", "_sort_desc", "_facet", "_col", "_nocol", "_search_{}")
    with attacked(run) as site, site.asking_as(None) as client:
        for name in map(quote, ODD_NAMES):
            questions = [f"{name}{operator}=x" for operator in ("", "__contains", "__gt", "__in")]
            questions += [f"{key.format(name)}={name}" for key in keys]
            paths = [f"/campaigns/jobs.json?{question}" for question in questions]
            paths += [f"/{name}", f"/campaigns/{name}.json", f"/campaigns/jobs/{name}.json"]
            paths += [f"/api/campaigns?{questions[0]}", f"/api/campaigns/{name}"]
            for path in some(run, paths, 4, 1):
                answer = client.get(path)
                assert answer.status_code < 500, (answer.status_code, path)
                assert_secret(run, answer.text, path)


@case("2 a line feed at the end of every route")
def line_feeds(run: Run) -> None:
    with attacked(run) as site, site.asking_as("root") as client:
        paths = site.paths(database=["campaigns"], format=[""])
        paths.remove("/favicon.ico")  # Datasette's own, which is the same whatever follows
        for path in some(run, paths, 6, 1):
            # Datasette redirects to its own encoding of the line feed.
            answer = client.get(f"{path}%0A", follow_redirects=True)
            run.tries += 1
            assert answer.status_code in {400, 403, 404, 405}, (answer.status_code, path)


@case("3 secrets in tables, views, search, statistics: every route, every actor")
def leaks(run: Run) -> None:
    with attacked(run) as site:
        paths = site.paths(database=["campaigns", "_memory"])
        for actor in (None, "reader", "worker"):
            with site.asking_as(actor) as client:
                for path in some(run, paths, 20, 2):
                    assert_secret(run, client.get(path).text, path)
                for guess in (f"= '{SENTINEL}'", "notnull"):
                    question = quote(f"oauth_refresh {guess}")
                    answer = client.get(f"/campaigns/jobs.json?_where={question}")
                    assert answer.status_code == 403
        with site.asking_as("root") as client:
            for table in ("youtube_credentials", "v_credentials", "credentials_fts", "jobs"):
                for database in ("campaigns", "_memory"):
                    sql = quote(f"select * from campaigns.{table}")
                    answer = client.get(f"/{database}/-/query.json?sql={sql}")
                    assert_secret(run, answer.text, table)
            guess = f"(select '{SENTINEL}' as oauth_refresh)"
            for join in (f"join {guess} using (oauth_refresh)", f"natural join {guess}"):
                sql = quote(f"select count(*) from jobs {join}")
                assert client.get(f"/campaigns/-/query.json?sql={sql}").status_code == 400


@case("4 redirects to other sites after signing in")
def redirects(run: Run) -> None:
    away = ("https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example")
    away += (
        "javascript:alert(1)",
        "\\\\evil.example",
        "///evil.example",
        "/\r\nX: y",
        "/%0d%0aX:y",
    )
    with attacked(run) as site, site.client() as client:
        token = site.new_token("worker")[1]
        for next_path in away:
            answer = client.post("/-/sign-in", data={"token": token, "next": next_path})
            arrived = urlsplit(urljoin(site.url, answer.headers["location"]))
            run.tries += 1
            assert answer.status_code == 303
            assert f"{arrived.scheme}://{arrived.netloc}" == site.url, next_path
            assert "x" not in {name.lower() for name in answer.headers}


@case("5 names on the pages of a private server")
def private_names(run: Run) -> None:
    site = private_target()
    names = ("job_history", NAME, "jobs_by_product", "deleted_jobs", "youtube_uploads")
    paths = ("/api/openapi.json", "/api/docs", "/-/jump.json?q=jobs", f"/-/search?q={NAME}")
    for actor in (None, "reader"):
        with site.asking_as(actor) as client:
            for path in (*paths, *some(run, site.paths(), 40, 2)):
                text = client.get(path).text
                run.tries += 1
                assert [name for name in names if name in text and name not in path] == [], path


@case("6 scripts in values, in a browser", quick=False)
def scripts(run: Run) -> None:
    """Chromium visits every page, and no marker that a value would set is set."""
    run.tries += 1
    test = "tests/browser/test_writing.py"
    arguments = ["-q", "-p", "no:cacheprovider", test, "-k", "no_value_of_a_row_runs"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "DAILIES_REQUIRE_BROWSER": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]


@case("7 writes by other sites with a cookie; a crawler as root")
def cross_site(run: Run) -> None:
    with attacked(run) as site, site.client() as client:
        site.sign_in(client, "root")
        before = site.content()
        for (method, path), headers in itertools.product(some(run, writes(), 4, 1), CROSS_SITE):
            answer = client.request(method, path, headers={**JSON, **headers}, content="{}")
            run.tries += 1
            assert answer.status_code == 403, (answer.status_code, method, path)
        for path in some(run, site.paths(), 20, 2):
            client.get(path)
            run.tries += 1
        assert site.content() == before


def cookies_of(client: httpx2.Client) -> dict[str, str]:
    """The header that sends the cookies of a client."""
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}


@case("8 a token and a cookie of another installation")
def installations(run: Run) -> None:
    site, other = target(), private_target()
    with site.client() as client:
        site.sign_in(client, "root")
        token = site.new_token("root")[1]
        assert other.request("GET", "/-/actor.json", token=token).status_code == 401
        for path in ("/", "/campaigns/jobs.json", "/api/campaigns"):
            run.tries += 1
            answer = other.request("GET", path, headers=cookies_of(client))
            assert answer.status_code in {401, 403}, path
    secrets = [one.data_dir / ".dailies" / "secret" for one in (site, other)]
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}
    assert len({path.read_text() for path in secrets}) == 2


@case("9 tokens of others, by their ids")
def others_tokens(run: Run) -> None:
    with attacked(run) as site:
        token_id, token = site.new_token("root")
        places = ("/-/tokens", "/-/token", "/api/tokens", "/-/create-token", "/-/api/tokens")
        with site.asking_as("worker") as client:
            for place, method in itertools.product(places, ("GET", "POST", "DELETE", "PATCH")):
                for path in (place, f"{place}/{token_id}", f"{place}/{token_id}/-/update"):
                    answer = client.request(method, path, headers=JSON, content="{}")
                    run.tries += 1
                    assert answer.status_code in {400, 403, 404, 405}, (answer.status_code, path)
                    assert token_id not in answer.text.replace(path, "")
        assert site.request("GET", "/-/actor.json", token=token).status_code == 200


@case("10 writes by a reader and by nobody: every route")
def readers(run: Run) -> None:
    with attacked(run) as site:
        before = site.content()
        for actor, statuses in ((None, {401, 403}), ("reader", {403})):
            with site.asking_as(actor) as client:
                for method, path in some(run, writes(), 4, 1):
                    answer = client.request(method, path, headers=JSON, content="{}")
                    run.tries += 1
                    refused = statuses | ({404, 405} if "/-/" in path else set())
                    assert answer.status_code in refused, (answer.status_code, method, path)
        assert site.content() == before


@case("11 requests of the server to addresses in rows")
def addresses(run: Run) -> None:
    with attacked(run) as site, site.asking_as("root") as client:
        pages = [f"/{name}" for name in ("", "yt-builder/jobs/1", "campaigns/jobs/spring")]
        pages += ["/presentation_jobs/presentation_jobs/p", "/trends/trending_topics/1"]
        pages += ["/image_library/image_library/1", "/image_library/-/thumbnail/1"]
        pages += ["/image_library/image_library", "/yt-builder/youtube_uploads", "/api/builds/1"]
        for page in pages:
            run.tries += 1
            assert client.get(page).status_code == 200, page
        try:
            site.listener.accept()
        except BlockingIOError:
            return
        raise AssertionError("the server connected to an address that a row holds")


@case("12 sessions and tokens after revoking and after signing out")
def ended_sessions(run: Run) -> None:
    with attacked(run) as site, site.client() as client:
        for end in ("sign out", "revoke"):
            token_id = site.sign_in(client, "worker")
            cookies = cookies_of(client)
            if end == "sign out":
                assert client.post("/-/logout").status_code == 302
            else:
                assert site.dailies("token", "--revoke", token_id).returncode == 0
            client.cookies.clear()
            for method, path in (("GET", "/"), ("GET", "/api/builds"), ("POST", "/api/builds")):
                answer = site.request(method, path, headers=cookies)
                run.tries += 1
                assert answer.status_code == 401, (end, path)
                assert "Max-Age=0" in answer.headers["set-cookie"]
    if not run.quick:
        site.restart()
        assert site.request("GET", "/", headers=cookies).status_code == 401


@case("13 the same rules on every way to write")
def one_verdict(run: Run) -> None:
    """A progress of 101 and an unknown status are refused everywhere."""
    with attacked(run) as site, site.asking_as("root") as client:
        before = site.content()
        for change in ({"progress": 101}, {"status": "lost"}):
            job = {"run_id": "new", "run_dir": "new", **change}
            row = "/yt-builder/jobs"
            for method, path, body in (
                ("POST", "/api/builds", job),
                ("POST", "/api/builds", [{"run_id": "fine", "run_dir": "fine"}, job]),
                *((method, "/api/builds/1", change) for method in ("PUT", "PATCH")),
                ("POST", f"{row}/-/insert", {"row": job}),
                ("POST", f"{row}/-/upsert", {"rows": [{"job_id": 1, **job}]}),
                ("POST", f"{row}/1/-/update", {"update": change}),
            ):
                answer = client.request(method, path, json=body)
                run.tries += 1
                assert answer.status_code == 400, (answer.status_code, path, answer.text)
                assert next(iter(change)) in answer.json()["error"]
            sql = {"sql": "update jobs set progress = 101"}
            assert client.post("/yt-builder/-/execute-write", json=sql).status_code == 403
            file = run.folder / "jobs.json"
            file.write_text(json.dumps([job]))
            done = site.dailies("import", "yt-builder", file, "--format", "json")
            assert done.returncode == 1, done.stdout + done.stderr
        assert site.content() == before


@case("14 200 health checks at once")
def health(run: Run) -> None:
    with attacked(run) as site, site.client() as client, ThreadPoolExecutor(50) as threads:
        client.get("/-/health")
        for answer in threads.map(lambda _: client.get("/-/health"), range(200)):
            run.tries += 1
            assert (answer.status_code, answer.json()["health"]) == (200, "ok")


@case("15 an identity that the client claims")
def claims(run: Run) -> None:
    headers: list[dict[str, str]] = [
        {"X-Forwarded-User": "root"},
        {"X-Remote-User": "root"},
        {"Remote-User": "root"},
        {"X-Forwarded-Email": "root@example.org"},
        {"Authorization": "Basic cm9vdDpyb290"},
        {"Cookie": 'ds_actor={"a": {"id": "root"}}'},
        {"Cookie": "ds_actor=eyJhIjp7ImlkIjoicm9vdCJ9fQ.x"},
    ]
    with attacked(run) as site, site.client() as client:
        for sent in headers:
            for path in ("/-/actor.json", "/-/actor.json?actor=root&_actor=root"):
                answer = client.get(path, headers=sent)
                run.tries += 1
                assert answer.json() == {"ok": True, "actor": None}, sent


@case("16 an error in a background task", quick=False)
def background(run: Run) -> None:
    for folder in run.repeat(1):
        with run.serving(folder) as site, site.watched():
            with closing(sqlite3.connect(site.data_dir / "yt-builder.db")) as connection:
                connection.execute("alter table job_states rename to gone")
            deadline = time.monotonic() + 30
            while (answer := site.request("GET", "/-/health")).status_code == 200:
                assert time.monotonic() < deadline, "the failed task is not reported"
            assert (answer.status_code, answer.json()["health"]) == (503, "degraded")
            assert site.request("GET", "/api/campaigns").status_code == 200


@case("17 without configuration; names like the allowed ones")
def closed_by_default(run: Run) -> None:
    with attacked(run) as site, site.asking_as("workers") as client:
        for actor in ("workers", "Root", "root2", "WORKER"):
            token = site.new_token(actor)[1]
            answer = site.request("POST", "/api/campaigns", token=token, json={"job_name": "x"})
            run.tries += 1
            assert answer.status_code == 403, actor
        for host in ("evil.example", "localhost.evil.example", "xlocalhost", "127.0.0.1.nip.io"):
            run.tries += 1
            assert client.get("/", headers={"Host": host}).status_code == 400, host


@case("18 expiry in every form of a time")
def expiry(run: Run) -> None:
    past = int(time.time()) - 60
    forms = (past, str(past), "2020-01-01T00:00:00Z", "2020-01-01 00:00:00", "2099-01-01", "", 9e99)
    site = private_target()
    token_id, token = site.new_token("root")
    with closing(sqlite3.connect(site.data_dir / ".dailies" / "tokens.db")) as store:
        [sql] = store.execute("select sql from sqlite_master where name = 'tokens'").fetchone()
        loose = sql.replace("strict", "").replace("expires_at integer", "expires_at")
        store.execute("alter table tokens rename to strict_tokens")
        store.execute(loose)
        store.execute("insert into tokens select * from strict_tokens")
        store.execute("drop table strict_tokens")
        for expires_at in (*forms, None):
            change = "update tokens set expires_at = ? where id = ?"
            store.execute(change, [expires_at, token_id])
            store.commit()
            answer = site.request("GET", "/-/actor.json", token=token)
            run.tries += 1
            assert answer.status_code == (200 if expires_at is None else 401), expires_at


@case("19 tokens: only a hash is stored, none makes another, none survives its store")
def token_store(run: Run) -> None:
    site = private_target()
    token = site.new_token("root")[1]
    private = site.data_dir / ".dailies"
    for path in private.iterdir():
        assert token.encode() not in path.read_bytes()
        assert path.stat().st_mode & 0o777 == 0o600
    for method in ("GET", "POST"):
        run.tries += 1
        assert site.request(method, "/-/create-token", token=token).status_code == 404
    for path in private.glob("tokens.db*"):
        path.unlink()
    for old in (token, token[:-1], "dly_"):
        run.tries += 1
        answer = site.request("GET", "/", headers={"Authorization": f"Bearer\t{old}"})
        assert answer.status_code == 401, old
    new = site.new_token("root")[1]
    assert site.request("GET", "/-/actor.json", token=new).status_code == 200


@case("20 guessing tokens; the cookie; images outside of their folder")
def guessing(run: Run) -> None:
    with attacked(run) as site:
        token_id, token = site.new_token("worker")
        answer = site.request("POST", "/-/sign-in", data={"token": token})
        flags = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")}
        assert {"httponly", "samesite=lax", "max-age=1209600"} <= flags
        check_images(run, site)
        site.revoke(token_id)
        check_times(run, site, token, f"dly_{'A' * 43}")
        bad = [site.request("POST", "/-/sign-in", data={"token": "x"}) for _ in range(6)]
        run.tries += 6
        assert [answer.status_code for answer in bad] == [401] * 5 + [429]


def check_images(run: Run, site: Target) -> None:
    """No path in a row leads out of the folder of images."""
    secret = site.images.parent / "secret.png"
    secret.write_text(SENTINEL)
    (site.images / "link.png").symlink_to(secret)
    outside = (f"{site.images}/../secret.png", "../secret.png", "/etc/passwd", "link.png", "images")
    outside += ("images/../../secret.png", " ", "\0", "x" * 5000, "file:///etc/passwd")
    rows = [{"character": "nutsy", "source": "photo", "file_path": path} for path in outside]
    with site.asking_as("root") as client:
        insert = "/image_library/image_library/-/insert"
        added = client.post(insert, json={"rows": rows, "return": True})
        assert added.status_code == 201, added.text
        for row in added.json()["rows"]:
            answer = client.get(f"/image_library/-/thumbnail/{row['id']}")
            run.tries += 1
            assert (answer.status_code, "No image" in answer.text) == (200, True), row


def check_times(run: Run, site: Target, *refused: str) -> None:
    """A revoked token is not told from an unknown one by the time that its refusal takes."""
    spent: dict[str, list[float]] = {token: [] for token in refused}
    with site.client() as client:
        for token in refused * (20 if run.quick else 300):
            start = time.perf_counter()
            answer = client.get("/-/actor.json", headers={"Authorization": f"Bearer {token}"})
            spent[token].append(time.perf_counter() - start)
            assert answer.status_code == 401
    known, unknown = map(median, spent.values())
    run.notes.append(f"revoked/unknown {known / unknown:.2f}")
    assert run.quick or 1 / 1.5 < known / unknown < 1.5


@case("21 archives to restore; a backup during a storm of writes")
def backups(run: Run) -> None:
    for folder in run.repeat(3):
        with run.serving(folder) as site:
            with site.writing() as acknowledged:
                while len(acknowledged) < 20:
                    pass
                known = list(acknowledged)
                done = site.dailies("backup", "campaigns", "--to", folder / "backups")
            assert done.returncode == 0, done.stderr
            [copy] = [path for path in (folder / "backups").iterdir() if path.suffix == ".db"]
            with closing(sqlite3.connect(copy)) as connection:
                assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
                assert connection.execute("pragma foreign_key_check").fetchall() == []
            run.lost += site.missing(known, copy)
        for wrong in archives(folder, copy):
            done = site.dailies("restore", "campaigns", wrong)
            run.tries += 1
            assert done.returncode in {1, 2}, wrong.name
            assert done.stderr.strip(), wrong.name
        run.lost += site.missing(acknowledged)


def archives(folder: Path, copy: Path) -> Iterator[Path]:
    """Files that are no database: an archive with a link, a folder, a link to nothing."""
    with tarfile.open(folder / "evil.tar", "w") as archive:
        link = tarfile.TarInfo("campaigns.db")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        archive.add(copy, "../../campaigns.db")
    yield folder / "evil.tar"
    (folder / "link.db").symlink_to(folder / "nothing.db")
    yield folder / "link.db"
    yield folder / "backups"
