"""Who is asking: tokens, sessions, the sign-in page."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import stat
import subprocess
import sys
import threading
import time
import timeit
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

import httpx2
import pytest
from datasette.app import Datasette
from datasette.resources import TableResource
from empty_databases import create_databases
from hypothesis import example, given
from hypothesis import strategies as st
from in_process import READING, ROOT, serving

from dailies.auth import tokens
from dailies.auth.secrets import private_dir, private_path, signing_secret
from dailies.auth.sign_in import FAILURES_ALLOWED, MAX_ADDRESSES, Throttle, local_path
from dailies.auth.tokens import InvalidTokenError
from dailies.datasette_compat import signed_session

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
UNKNOWN = "This token is not known here"
EXPIRED = "This token has expired"
REVOKED = "This token has been revoked"


@pytest.fixture
def datasette(data_dir: Path) -> Iterator[Datasette]:
    create_databases(["campaigns"])
    with serving() as served:
        yield served


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Datasette]:
    """For tests after which no sign-in is refused for too many attempts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAILIES_DATA_DIR", str(tmp_path_factory.mktemp("shared")))
        create_databases(["campaigns"])
        with serving(**READING) as served:
            yield served


def error(message: str, status: int) -> dict[str, Any]:
    return {"ok": False, "error": message, "errors": [message], "status": status}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def sign_in(
    datasette: Datasette, token: str, next_path: str = "/", **options: Any
) -> httpx2.Response:
    return await datasette.client.post(
        "/-/sign-in",
        content=urlencode({"token": token, "next": next_path}),
        headers={"Content-Type": "application/x-www-form-urlencoded"} | options.pop("headers", {}),
        **options,
    )


# The store


def test_a_token_proves_its_actor(data_dir: Path) -> None:
    token_id, token = tokens.create("worker")
    assert tokens.verify(token) == {"id": "worker", "token": token_id}
    assert tokens.verify_id(token_id) == {"id": "worker", "token": token_id}


def test_a_token_limited_to_actions_says_so(data_dir: Path) -> None:
    token_id, token = tokens.create("worker", ["update-job", "view-table", "update-job"])
    limited = {"id": "worker", "token": token_id, "_r": {"a": ["update-job", "view-table"]}}
    assert tokens.verify(token) == limited


def test_only_a_hash_is_kept_in_files_of_the_owner(data_dir: Path) -> None:
    _, token = tokens.create("worker")
    secret = signing_secret()
    folder = private_dir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = [path for path in folder.iterdir() if path.is_file()]
    assert {path.name for path in files} >= {"secret", "tokens.db"}
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
        assert token.encode() not in path.read_bytes()
    with closing(sqlite3.connect(folder / "tokens.db")) as connection, connection:
        kept = connection.execute("select hash from tokens").fetchall()
    connection.close()
    assert kept == [(hashlib.sha256(token.encode()).digest(),)]
    assert signing_secret() == secret


def test_files_that_stood_open_are_closed_again(data_dir: Path) -> None:
    tokens.create("worker")
    signing_secret()
    private_dir().chmod(0o755)
    private_path("secret").chmod(0o644)
    private_path("tokens.db").chmod(0o644)
    tokens.create("worker")
    signing_secret()
    assert stat.S_IMODE(private_dir().stat().st_mode) == 0o700
    assert stat.S_IMODE(private_path("secret").stat().st_mode) == 0o600
    assert stat.S_IMODE(private_path("tokens.db").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "\n", " \t\r\n"])
def test_an_empty_secret_is_replaced(data_dir: Path, content: str) -> None:
    private_dir()
    private_path("secret").write_text(content)
    secret = signing_secret()
    assert len(secret) == 64
    assert (signing_secret(), private_path("secret").read_text()) == (secret, secret)
    assert stat.S_IMODE(private_path("secret").stat().st_mode) == 0o600


def test_a_short_secret_is_refused(data_dir: Path) -> None:
    private_dir()
    private_path("secret").write_text("changeme\n")
    with pytest.raises(ValueError, match="secret has fewer than 32 characters: delete it to get"):
        signing_secret()
    assert private_path("secret").read_text() == "changeme\n"


def test_tokens_are_never_alike(data_dir: Path) -> None:
    made = [tokens.create("worker") for _ in range(50)]
    assert len({token for _, token in made}) == 50
    assert len({token_id for token_id, _ in made}) == 50
    assert all(len(token) == len("dly_") + 43 for _, token in made)


@pytest.mark.parametrize(
    "token", ["", "dly_", "x", "dstok_abc", "dly_" + "A" * 43, "\ud800", "é", "a" * 100_000]
)
def test_an_unknown_token_is_bad(data_dir: Path, token: str) -> None:
    with pytest.raises(InvalidTokenError, match=UNKNOWN):
        tokens.verify(token)
    tokens.create("worker")
    with pytest.raises(InvalidTokenError, match=UNKNOWN):
        tokens.verify(token)


def test_expiry(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    _, token = tokens.create("worker", expires_after=60)
    assert tokens.verify(token)["id"] == "worker"
    monkeypatch.setattr(time, "time", lambda: now + 58)
    assert tokens.verify(token)["id"] == "worker"
    monkeypatch.setattr(time, "time", lambda: now + 60)
    with pytest.raises(InvalidTokenError, match=EXPIRED):
        tokens.verify(token)


@pytest.mark.parametrize(
    "expires_at",
    [0, 1, -1, "2099-01-01T00:00:00Z", "2099-01-01 00:00:00", "2099-01-01", "", "9999999999", 9e99],
)
def test_an_expiry_that_is_past_or_no_whole_number_has_passed(
    data_dir: Path, expires_at: Any
) -> None:
    token_id, token = tokens.create("worker")
    with closing(sqlite3.connect(private_path("tokens.db"))) as connection, connection:
        sql = connection.execute("select sql from sqlite_master").fetchone()[0]
        connection.execute("alter table tokens rename to strict_tokens")
        connection.execute(sql.replace(" strict", "").replace("expires_at integer", "expires_at"))
        connection.execute("insert into tokens select * from strict_tokens")
        connection.execute("update tokens set expires_at = ? where id = ?", [expires_at, token_id])
    connection.close()
    with pytest.raises(InvalidTokenError, match=EXPIRED):
        tokens.verify(token)
    with pytest.raises(InvalidTokenError, match=EXPIRED):
        tokens.verify_id(token_id)


@pytest.mark.parametrize("seconds", [0, -1, 1.5, True, "60", 10**12])
def test_a_lifetime_that_makes_no_sense_is_refused(data_dir: Path, seconds: Any) -> None:
    with pytest.raises(ValueError, match=r"a token (expires after a whole number|lives for 100)"):
        tokens.create("worker", expires_after=seconds)
    assert tokens.list_tokens() == []


@pytest.mark.parametrize("actor", ["", " ", "a\n", "\0", "x" * 201, " worker"])
def test_an_actor_that_makes_no_sense_is_refused(data_dir: Path, actor: str) -> None:
    with pytest.raises(ValueError, match="an actor is a name of 1 to 200 printable characters"):
        tokens.create(actor)


def test_an_unknown_action_is_refused(data_dir: Path) -> None:
    with pytest.raises(ValueError, match='there is no action "fly": choose from create-job, '):
        tokens.create("worker", ["update-job", "fly"])


def test_revoking_counts_at_once_also_in_another_thread(data_dir: Path) -> None:
    token_id, token = tokens.create("worker")
    checked, revoked = threading.Event(), threading.Event()
    outcomes: list[str] = []

    def look_twice() -> None:
        outcomes.append(tokens.verify(token)["id"])
        checked.set()
        revoked.wait(10)
        try:
            tokens.verify(token)
        except InvalidTokenError as refusal:
            outcomes.append(str(refusal))

    other = threading.Thread(target=look_twice)
    other.start()
    checked.wait(10)
    tokens.revoke(token_id)
    revoked.set()
    other.join()
    assert outcomes == ["worker", REVOKED]
    with pytest.raises(InvalidTokenError, match=REVOKED):
        tokens.verify_id(token_id)
    tokens.revoke(token_id)
    with pytest.raises(ValueError, match='no token has the id "nope"'):
        tokens.revoke("nope")


def test_listing_tells_everything_but_the_token(data_dir: Path) -> None:
    assert tokens.list_tokens() == []
    assert not private_path("tokens.db").exists()
    first, _ = tokens.create("worker", ["update-job"], expires_after=60)
    second, _ = tokens.create("root")
    tokens.revoke(second)
    listed = tokens.list_tokens()
    assert [(token.id, token.actor, token.can) for token in listed] == [
        (first, "worker", ("update-job",)),
        (second, "root", ()),
    ]
    assert listed[0].expires_at == listed[0].created_at + 60
    assert (listed[0].revoked_at, listed[1].expires_at) == (None, None)
    assert listed[1].revoked_at is not None


def test_old_tokens_are_dead_after_the_store_is_wiped(data_dir: Path) -> None:
    token_id, token = tokens.create("worker")
    tokens.verify(token)
    private_path("tokens.db").unlink()
    with pytest.raises(InvalidTokenError, match=UNKNOWN):
        tokens.verify(token)
    new_id, new = tokens.create("worker")
    assert tokens.verify(new)["token"] == new_id
    with pytest.raises(InvalidTokenError, match=UNKNOWN):
        tokens.verify(token)
    with pytest.raises(InvalidTokenError, match=UNKNOWN):
        tokens.verify_id(token_id)


def test_each_installation_has_secrets_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAILIES_DATA_DIR", str(tmp_path / "a"))
    secret_of_a, (_, token_of_a) = signing_secret(), tokens.create("root")
    monkeypatch.setenv("DAILIES_DATA_DIR", str(tmp_path / "b"))
    assert signing_secret() != secret_of_a
    assert len(secret_of_a) == 64
    with pytest.raises(InvalidTokenError, match=UNKNOWN):
        tokens.verify(token_of_a)


@pytest.mark.process
def test_other_programs_leave_the_log_of_a_store_in_use(data_dir: Path) -> None:
    """Closing a file ends this process's locks on it: SQLite's own in another connection."""
    _, token = tokens.create("worker")
    tokens.verify(token)  # leaves a connection open
    tokens.create("worker")
    path = private_path("tokens.db")
    program = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('select * from tokens')"
    subprocess.run([sys.executable, "-c", program, path], check=True)
    assert Path(f"{path}-wal").exists()
    tokens.start_session(tokens.verify(token)["token"], 60)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]


# Requests with a token


async def test_a_good_token_names_the_actor(shared: Datasette) -> None:
    token_id, token = tokens.create("worker")
    answer = await shared.client.get("/-/actor.json", headers=bearer(token))
    assert answer.json() == {"ok": True, "actor": {"id": "worker", "token": token_id}}
    anonymous = await shared.client.get("/-/actor.json")
    assert anonymous.json() == {"ok": True, "actor": None}


@pytest.mark.parametrize(
    "header",
    [
        *("Bearer", "Bearer ", "Bearer x", "bearer x", "BEARER x", "Bearer  x", "Bearer dstok_x.y"),
        *("Bearer\tx", "bearer\t", "\tBearer x", "Bearerx", "Bearer\xa0x", "Bearer:x", "bearer,x"),
    ],
)
@pytest.mark.parametrize("path", ["/", "/campaigns/jobs.json", "/nothing", "/-/sign-in"])
async def test_a_bad_token_is_401_everywhere(shared: Datasette, header: str, path: str) -> None:
    for method in ("GET", "POST"):
        answer = await shared.client.request(
            method, path, headers={"Authorization": header.encode("latin-1")}
        )
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.json()["ok"] is False
        assert answer.json()["status"] == 401


@pytest.mark.parametrize("separator", [" ", "  ", "\t", " \t "])
async def test_a_token_may_follow_any_blanks(datasette: Datasette, separator: str) -> None:
    token_id, token = tokens.create("worker")
    for scheme in ("Bearer", "bearer", "BEARER"):
        headers = {"Authorization": f"{scheme}{separator}{token}"}
        answer = await datasette.client.get("/-/actor.json", headers=headers)
        assert answer.json()["actor"] == {"id": "worker", "token": token_id}
    for header in (f"Bearer{token}", f"Bearer:{token}", f"Bearer,{token}"):
        answer = await datasette.client.get("/-/actor.json", headers={"Authorization": header})
        assert answer.status_code == 401


async def test_an_expired_and_a_revoked_token_are_401(
    datasette: Datasette, monkeypatch: pytest.MonkeyPatch
) -> None:
    token_id, token = tokens.create("worker")
    tokens.revoke(token_id)
    answer = await datasette.client.get("/campaigns/jobs.json", headers=bearer(token))
    assert (answer.status_code, answer.json()) == (401, error(REVOKED, 401))
    _, token = tokens.create("worker", expires_after=5)
    later = time.time() + 6
    monkeypatch.setattr(time, "time", lambda: later)
    answer = await datasette.client.get("/campaigns/jobs.json", headers=bearer(token))
    assert (answer.status_code, answer.json()) == (401, error(EXPIRED, 401))


async def test_other_schemes_are_anonymous(shared: Datasette) -> None:
    answer = await shared.client.get("/-/actor.json", headers={"Authorization": "Basic YTpi"})
    assert answer.json() == {"ok": True, "actor": None}


@pytest.mark.parametrize(
    "cookie",
    ["a,b=1", "ds_actor=x; a(b)=1", "ds_actor=", 'ds_actor="', "ds_actor=x.y", "\x01", "é"],
)
async def test_odd_cookies_are_anonymous(shared: Datasette, cookie: str) -> None:
    headers = {"Cookie": cookie.encode()}
    answer = await shared.client.get("/-/actor.json", headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"ok": True, "actor": None})


async def test_a_token_only_narrows(shared: Datasette) -> None:
    jobs = TableResource("campaigns", "jobs")
    _, unlimited = tokens.create("worker")
    _, narrow = tokens.create("worker", ["update-row"])
    _, reader = tokens.create("reader", ["update-row", "execute-sql"])
    await shared.invoke_startup()

    async def may(token: str, action: str) -> bool:
        return bool(await shared.allowed(action=action, resource=jobs, actor=tokens.verify(token)))

    assert [await may(unlimited, action) for action in ("update-row", "delete-row")] == [True, True]
    assert [await may(narrow, action) for action in ("update-row", "delete-row")] == [True, False]
    assert not await may(narrow, "view-table")
    assert not await may(reader, "update-row")
    sql = await shared.client.get("/campaigns/-/query.json?sql=select+1", headers=bearer(reader))
    assert sql.status_code == 403
    assert sql.json()["error"] == "execute-sql"


async def test_a_token_cannot_make_tokens(shared: Datasette) -> None:
    _, token = tokens.create("root")
    before = tokens.list_tokens()
    for actor in ({"actor": ROOT}, {"headers": bearer(token)}, {}):
        for method in ("GET", "POST"):
            answer = await shared.client.request(method, "/-/create-token", **actor)
            assert answer.status_code == 404
            assert "Page not found" in answer.text
    await shared.invoke_startup()
    with pytest.raises(ValueError, match="Tokens are created by the command `dailies token`"):
        await shared.create_token("root")
    with pytest.raises(ValueError, match="Signed tokens are not enabled"):
        await shared.create_token("root", handler="signed")
    assert tokens.list_tokens() == before


async def test_no_link_makes_anyone_root(datasette: Datasette) -> None:
    await datasette.invoke_startup()
    answer = await datasette.client.get(f"/-/auth-token?token={datasette._root_token}")
    assert answer.status_code == 404
    assert "set-cookie" not in answer.headers


def test_looking_a_token_up_is_quick(data_dir: Path) -> None:
    _, token = tokens.create("worker")
    fastest = min(timeit.repeat(lambda: tokens.verify(token), number=200, repeat=5)) / 200
    assert fastest < 0.0002


# Signing in


async def test_signing_in_and_out(shared: Datasette) -> None:
    token_id, token = tokens.create("worker")
    page = await shared.client.get("/-/sign-in?next=/campaigns/jobs")
    assert page.status_code == 200
    assert 'name="next" value="/campaigns/jobs"' in page.text
    assert 'href="/-/sign-in?next=%2Fcampaigns"' in (await shared.client.get("/campaigns")).text
    answer = await sign_in(shared, f" {token}\n", "/campaigns/jobs?_sort=id")
    assert (answer.status_code, answer.headers["location"]) == (303, "/campaigns/jobs?_sort=id")
    cookies = {"ds_actor": answer.cookies["ds_actor"]}
    actor = (await shared.client.get("/-/actor.json", cookies=cookies)).json()["actor"]
    assert actor == {"id": "worker", "token": token_id}
    home = (await shared.client.get("/", cookies=cookies)).text
    assert 'action="/-/logout"' in home
    assert "/-/sign-in" not in home
    out = await shared.client.post("/-/logout", cookies=cookies)
    assert (out.status_code, out.headers["location"]) == (302, "/")
    assert "ds_actor" not in out.cookies


async def test_the_cookie_is_for_this_server_alone(shared: Datasette) -> None:
    _, token = tokens.create("worker")
    plain = (await sign_in(shared, token)).headers["set-cookie"]
    flags = {part.strip().lower() for part in plain.split(";")[1:]}
    assert {"httponly", "samesite=lax", "path=/", "max-age=1209600"} == flags
    assert token not in plain
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=shared.app()), base_url="https://dailies.test"
    ) as client:
        answer = await client.post("/-/sign-in", data={"token": token})
    assert "secure" in {part.strip().lower() for part in answer.headers["set-cookie"].split(";")}


async def test_a_session_ends_with_its_token(datasette: Datasette) -> None:
    token_id, token = tokens.create("worker")
    cookies = {"ds_actor": (await sign_in(datasette, token)).cookies["ds_actor"]}
    tokens.revoke(token_id)
    for path in ("/", "/campaigns/jobs.json", "/-/actor.json", "/nothing", "/-/sign-in"):
        answer = await datasette.client.get(path, cookies=cookies)
        assert (answer.status_code, answer.json()) == (401, error(REVOKED, 401)), path
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert 'ds_actor="";' in answer.headers["set-cookie"]
        assert "Max-Age=0" in answer.headers["set-cookie"]
    page = await datasette.client.get(
        "/campaigns", cookies=cookies, headers={"Accept": "text/html"}
    )
    assert page.status_code == 401
    assert REVOKED in page.text
    assert 'name="next" value="/campaigns"' in page.text
    written = await datasette.client.post("/-/sign-in", cookies=cookies, json={})
    assert (written.status_code, written.json()) == (401, error(REVOKED, 401))


ENDED = "This session has ended: sign in again"


async def test_signing_out_ends_the_session(datasette: Datasette) -> None:
    _, token = tokens.create("worker")
    first, second = [
        {"ds_actor": (await sign_in(datasette, token)).cookies["ds_actor"]} for _ in range(2)
    ]
    await datasette.client.get("/-/logout", cookies=first)
    asked = await datasette.client.get("/-/actor.json", cookies=first)
    assert asked.json()["actor"]["id"] == "worker"
    await datasette.client.post("/-/logout", cookies=first)
    job = {"job_name": "Tea"}
    for method, path in (
        *(("GET", path) for path in ("/", "/campaigns/jobs.json", "/-/actor.json", "/-/logout")),
        *(("POST", path) for path in ("/api/campaigns", "/campaigns/jobs/-/insert", "/-/logout")),
    ):
        options = {"json": job} if method == "POST" else {}
        answer = await datasette.client.request(method, path, cookies=first, **options)
        assert (answer.status_code, answer.json()) == (401, error(ENDED, 401)), path
        assert "Max-Age=0" in answer.headers["set-cookie"]
    with serving() as restarted:
        for instance in (datasette, restarted):
            for cookies, status in ((first, 401), (second, 200)):
                answer = await instance.client.get("/-/actor.json", cookies=cookies)
                assert answer.status_code == status


async def test_signing_in_again_ends_the_session_before(datasette: Datasette) -> None:
    _, token = tokens.create("worker")
    cookies = {"ds_actor": (await sign_in(datasette, token)).cookies["ds_actor"]}
    again = await sign_in(datasette, token, cookies=cookies)
    assert (await datasette.client.get("/", cookies=cookies)).status_code == 401
    new = {"ds_actor": again.cookies["ds_actor"]}
    assert (await datasette.client.get("/", cookies=new)).status_code == 200


async def test_a_cookie_without_a_stored_session_is_401(datasette: Datasette) -> None:
    """As from before sessions were stored, or of a store that was deleted."""
    token_id, token = tokens.create("worker")
    kept = (await sign_in(datasette, token)).cookies["ds_actor"]
    actor = {"id": "worker", "token": token_id}
    old = datasette.client.actor_cookie(actor)
    other = signed_session(datasette, actor, "f" * 32, 60)
    for cookie in (old, other):
        answer = await datasette.client.get("/-/actor.json", cookies={"ds_actor": cookie})
        assert (answer.status_code, answer.json()) == (401, error(ENDED, 401))
    private_path("tokens.db").unlink()
    answer = await datasette.client.get("/-/actor.json", cookies={"ds_actor": kept})
    assert (answer.status_code, answer.json()) == (401, error(UNKNOWN, 401))


def test_sessions_that_are_over_are_deleted(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token_id, _ = tokens.create("worker")
    first = tokens.start_session(token_id, 60)
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(InvalidTokenError, match=ENDED):
        tokens.verify_session(first, token_id)
    second = tokens.start_session(token_id, 60)
    with closing(sqlite3.connect(private_path("tokens.db"))) as connection:
        assert connection.execute("select id from sessions").fetchall() == [(second,)]


async def test_a_session_lasts_two_weeks(
    datasette: Datasette, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, token = tokens.create("worker")
    cookies = {"ds_actor": (await sign_in(datasette, token)).cookies["ds_actor"]}
    started = time.time()
    for days, expected in ((13, "worker"), (15, None)):
        monkeypatch.setattr(time, "time", lambda days=days: started + days * 86_400)
        actor = (await datasette.client.get("/-/actor.json", cookies=cookies)).json()["actor"]
        assert (actor and actor["id"]) == expected


async def test_a_session_of_a_narrowed_token_is_as_narrow(shared: Datasette) -> None:
    _, token = tokens.create("root", ["view-table"])
    cookies = {"ds_actor": (await sign_in(shared, token)).cookies["ds_actor"]}
    answer = await shared.client.get("/campaigns/-/query.json?sql=select+1", cookies=cookies)
    assert answer.status_code == 403
    assert answer.json()["error"] == "execute-sql"


async def test_a_cookie_of_another_installation_is_no_session(
    datasette: Datasette, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, token = tokens.create("root")
    cookies = {"ds_actor": (await sign_in(datasette, token)).cookies["ds_actor"]}
    monkeypatch.setenv("DAILIES_DATA_DIR", str(tmp_path / "other"))
    with serving() as other:
        answer = await other.client.get("/-/actor.json", cookies=cookies)
        assert answer.json() == {"ok": True, "actor": None}
        refused = await other.client.get("/-/actor.json", headers=bearer(token))
        assert refused.status_code == 401
        assert refused.json() == error(UNKNOWN, 401)


async def test_a_bad_token_does_not_sign_in(datasette: Datasette) -> None:
    tokens.create("worker")
    answer = await sign_in(datasette, "dly_wrong", "/campaigns")
    assert answer.status_code == 401
    assert UNKNOWN in answer.text
    assert 'value="/campaigns"' in answer.text
    assert "dly_wrong" not in answer.text
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "set-cookie" not in answer.headers


async def test_the_sixth_failure_within_a_minute_is_429(datasette: Datasette) -> None:
    _, token = tokens.create("worker")
    statuses = [(await sign_in(datasette, f"bad{number}")).status_code for number in range(5)]
    assert statuses == [401] * 5
    answer = await sign_in(datasette, "bad")
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert "Too many attempts: wait a minute" in answer.text
    assert "set-cookie" not in answer.headers
    # Others send from the same address, as behind a proxy.
    assert (await sign_in(datasette, token)).status_code == 303


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"token", b"token=%FF%00", b"{}", b"&" * 9000])
async def test_odd_forms_do_not_sign_in(datasette: Datasette, body: bytes) -> None:
    answer = await datasette.client.post("/-/sign-in", content=body, headers=FORM)
    assert answer.status_code == 401
    assert UNKNOWN in answer.text


async def test_forms_that_cannot_be_read_are_refused(datasette: Datasette) -> None:
    for body, headers, status, message in (
        (b"token=" + b"x" * 20_000, FORM, 413, "The form is larger than 10,000 bytes"),
        (b"&a=" * 101, FORM, 400, "The form has more than 100 fields"),
        (b"{}", {"Content-Type": "application/json"}, 415, "The Content-Type must be"),
    ):
        answer = await datasette.client.post("/-/sign-in", content=body, headers=headers)
        assert answer.status_code == status
        assert message in answer.text


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods_are_405(shared: Datasette, method: str) -> None:
    answer = await shared.client.request(method, "/-/sign-in")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, POST")
    assert answer.json() == error(f"{method} is not allowed here", 405)


@pytest.mark.parametrize("path", ["/-/sign-in%0A", "/-/sign-in/x", "/-/sign-in.json"])
async def test_other_paths_are_no_sign_in(shared: Datasette, path: str) -> None:
    answer = await shared.client.get(path, follow_redirects=True)
    assert answer.status_code == 404


async def test_signing_in_from_another_site_is_403(shared: Datasette) -> None:
    _, token = tokens.create("worker")
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        answer = await sign_in(shared, token, headers=headers)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


# Where the sign-in page may lead

AWAY = (
    "https://evil.example",
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "\t//evil.example",
    " //evil.example",
    "javascript:alert(1)",
    "evil.example",
    "",
    "/\\/evil.example",
    "/ok\r\nSet-Cookie: a=b",
    "///evil.example",
    "/\x00/evil.example",
)


@pytest.mark.parametrize("target", AWAY)
async def test_sign_in_leads_nowhere_else(shared: Datasette, target: str) -> None:
    _, token = tokens.create("worker")
    answer = await sign_in(shared, token, target)
    # Forms hold U+FFFD in place of NUL.
    home = "/%EF%BF%BD/evil.example" if "\0" in target else "/"
    assert (answer.status_code, answer.headers["location"]) == (303, home)
    page = await shared.client.get(f"/-/sign-in?next={quote(target)}")
    assert 'name="next" value="/"' in page.text


FRAGMENTS = st.sampled_from(
    [
        *("/", "//", "\\", "evil.example", "@", ":", "?", "#", "%2f", "%5c", "..", ".", "http:"),
        *("\u2044", "é", "a", ";", "[", "]", "\ufeff", "\t", "\r\n", "\x00", " ", "\u3000"),
    ]
)


@given(st.one_of(st.text(), st.lists(FRAGMENTS, max_size=8).map("".join)))
@example("/%0d%0aSet-Cookie:x")
@example("/..//evil.example")
@example("/[")
def test_a_local_path_stays_on_this_server(target: str) -> None:
    path = local_path(target)
    path.encode("ascii")
    assert path.isprintable()
    assert " " not in path
    home = "http://dailies.test:8001/-/sign-in"
    try:
        arrived = urlsplit(urljoin(home, path))
    except ValueError:
        pytest.fail(f"{path!r} is no address")
    assert (arrived.scheme, arrived.netloc) == ("http", "dailies.test:8001")
    assert not path.startswith(("//", "/\\"))


@given(st.lists(st.sampled_from(["campaigns", "jobs", "a~2Fb", "x.json"]), max_size=4))
def test_a_plain_path_is_kept(parts: list[str]) -> None:
    path = "/" + "/".join(parts) + "?_sort=id&q=a%20b#top"
    assert local_path(path) == path


# The throttle


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_throttle_forgets_after_a_minute() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(FAILURES_ALLOWED):
        assert throttle.seconds_to_wait("1.2.3.4") == 0
        throttle.failed("1.2.3.4")
        clock.now += 1
    assert throttle.seconds_to_wait("1.2.3.4") == 56
    assert throttle.seconds_to_wait("5.6.7.8") == 0
    clock.now += 54.5
    assert throttle.seconds_to_wait("1.2.3.4") == 1
    clock.now += 0.5
    assert throttle.seconds_to_wait("1.2.3.4") == 0


def test_the_throttle_remembers_no_more_than_it_must() -> None:
    throttle = Throttle(Clock())
    for number in range(MAX_ADDRESSES + 100):
        throttle.failed(str(number))
    assert len(throttle._failures) == MAX_ADDRESSES
    assert throttle._failures["100"].maxlen == FAILURES_ALLOWED


@given(st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=40))
def test_never_more_than_five_failures_in_any_minute(steps: list[tuple[float, bool]]) -> None:
    clock = Clock()
    throttle = Throttle(clock)
    failures: list[float] = []
    for pause, tries in steps:
        clock.now += pause
        if tries and not throttle.seconds_to_wait("a"):
            throttle.failed("a")
            failures.append(clock.now)
    for first, sixth in zip(failures, failures[FAILURES_ALLOWED:], strict=False):
        assert sixth - first >= 60


# A real server


def test_a_token_made_and_revoked_while_the_server_runs(server: Any) -> None:
    token = server.token("worker", "update-job")
    answer = server.request("GET", "/-/actor.json", token=token)
    actor = answer.json()["actor"]
    assert actor == {"id": "worker", "token": actor["token"], "_r": {"a": ["update-job"]}}
    server.restart()
    assert server.request("GET", "/-/actor.json", token=token).json()["actor"] == actor
    tokens.revoke(actor["token"])
    refused = server.request("GET", "/-/actor.json", token=token)
    assert (refused.status_code, refused.json()) == (401, error(REVOKED, 401))
    assert token not in server.log.read_text()
    assert json.dumps(token) not in server.log.read_text()
