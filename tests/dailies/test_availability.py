"""A database whose file cannot be served: the others are, and everything says which one is not."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from datasette.app import Datasette
from in_process import ROOT, asking, paths, serving
from server_process import RunDailies

from dailies.storage.availability import reason_unavailable

MALFORMED = "is damaged (database disk image is malformed)"
BROKEN = {
    "trends": "needs an upgrade or a repair, which failed",
    "metrics": "is not a SQLite file",
    "yt-builder": "is a image_library database, not yt-builder",
    "presentation_jobs": MALFORMED,
}
SOUND = ["campaigns", "image_library"]


def damage(path: Path) -> None:
    """Overwrite a page in the middle."""
    content = bytearray(path.read_bytes())
    content[10 * 4096 : 11 * 4096] = b"\xff" * 4096
    path.write_bytes(content)


@pytest.fixture(scope="module")
def broken(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Datasette]:
    folder = tmp_path_factory.mktemp("broken") / "data"
    shutil.copytree(sample_data, folder)
    with closing(sqlite3.connect(folder / "trends.db")) as connection:
        connection.execute("drop trigger trending_topics_ai")
    (folder / "metrics.db").write_bytes(b"views,likes\n" * 1000)
    shutil.copy(folder / "image_library.db", folder / "yt-builder.db")
    damage(folder / "presentation_jobs.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAILIES_DATA_DIR", str(folder))
        with serving() as datasette:
            yield datasette


@pytest.fixture
async def client(broken: Datasette) -> Any:
    async with asking(broken, None) as anonymous:
        yield anonymous


def message(name: str) -> str:
    return f"The database {name} is not available: its file {BROKEN[name]}"


def assert_unavailable(response: httpx2.Response, *names: str) -> None:
    text = "; ".join(map(message, names))
    assert response.status_code == 503, response.text
    assert response.headers["Retry-After"] == "1"
    if response.headers["content-type"].startswith("application/json"):
        body = response.json()
        assert (body["ok"], body["error"], body["status"]) == (False, text, 503)
    else:
        assert text in response.text


@pytest.mark.parametrize("name", BROKEN)
async def test_its_pages_and_json_say_so(client: httpx2.AsyncClient, name: str) -> None:
    for path in (name, f"{name}/jobs", f"{name}/jobs/1", f"{name}/recent_jobs", f"{name}/-/schema"):
        assert_unavailable(await client.get(f"/{path}"), name)
        assert_unavailable(await client.get(f"/{path}.json"), name)
    assert_unavailable(await client.post(f"/{name}/jobs/-/insert", json={"row": {}}), name)


@pytest.mark.parametrize(
    ("resource", "name"), [("builds", "yt-builder"), ("presentations", "presentation_jobs")]
)
async def test_its_api_says_so(client: httpx2.AsyncClient, resource: str, name: str) -> None:
    for path in ("", "/1", "/1/events", "/changes"):
        assert_unavailable(await client.get(f"/api/{resource}{path}"), name)
    for method, path in (("POST", ""), ("PATCH", "/1"), ("DELETE", "/1"), ("POST", "/claim")):
        assert_unavailable(await client.request(method, f"/api/{resource}{path}", json={}), name)


async def test_the_home_page_and_health_name_it(client: httpx2.AsyncClient) -> None:
    home = (await client.get("/")).text
    for name, reason in BROKEN.items():
        assert f'aria-labelledby="unavailable-{name}"' in home
        assert f"Not available: its file {reason}" in home
    answer = await client.get("/-/health")
    expected = sorted(map(message, BROKEN))
    assert (answer.status_code, answer.json()) == (
        503,
        {
            "ok": False,
            "health": "degraded",
            "error": f"degraded: {'; '.join(expected)}",
            "errors": expected,
            "status": 503,
        },
    )


async def test_queries_across_databases_name_what_they_lack(client: httpx2.AsyncClient) -> None:
    lacking = {
        "topic_engagement": ("trends", "metrics"),
        "image_engagement": ("metrics",),
        "build_engagement": ("yt-builder", "metrics"),
        "video_lineage": ("yt-builder", "trends", "metrics"),
    }
    for query, names in lacking.items():
        assert_unavailable(await client.get(f"/_memory/{query}"), *names)
        assert_unavailable(await client.get(f"/_memory/{query}.json?video_id=x"), *names)
    assert_unavailable(await client.get("/-/charts/engagement_by_topic"), "metrics")
    assert_unavailable(await client.get("/-/videos/dly_vid_001"), "metrics")


@pytest.mark.slow
async def test_everything_else_works(broken: Datasette) -> None:
    async with asking(broken, ROOT) as client:
        assert (await client.get("/api/campaigns?_size=1")).status_code == 200
        for path in ("/campaigns/jobs_by_product.json", "/image_library/image_library.json"):
            assert len((await client.get(path)).json()["rows"]) > 0
        values = {
            "database": [*BROKEN, *SOUND, "_memory"],
            "table": ["jobs", "image_library", "topic_engagement"],
            "query": ["recent_jobs"],
            "pks": ["1"],
            "format": ["", "json"],
            "column_name": ["id"],
            "plugin_name": ["x"],
        }
        for path in paths(broken, values):
            response = await client.get(path)
            assert response.status_code in (200, 301, 302, 400, 403, 404, 405, 503), path
            if response.status_code == 503 and path != "/-/health":
                assert any(message(name) in response.text for name in BROKEN), path


async def test_a_private_instance_says_nothing(broken: Datasette) -> None:
    with serving(config={"allow": {"id": "root"}}) as private:
        async with asking(private, None) as client:
            answer = await client.get("/metrics.json")
            assert (answer.status_code, "SQLite" in answer.text) == (403, False)


@pytest.mark.parametrize("kind", ["truncated", "empty", "folder", "link", "header"])
def test_other_faults(sample_data: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "trends.db"
    content = (sample_data / "trends.db").read_bytes()
    path.write_bytes({"truncated": content[: len(content) // 2], "empty": b""}.get(kind, content))
    if kind == "folder":
        path.unlink()
        path.mkdir()
    elif kind == "link":
        path.unlink()
        path.symlink_to(tmp_path / "none")
    elif kind == "header":
        path.write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)
    reason = reason_unavailable("trends", path)
    assert reason is not None
    assert str(tmp_path) not in reason


async def test_damage_while_it_serves(samples: Path) -> None:
    """SQLite notices it when it reads the page."""
    with closing(sqlite3.connect(samples / "trends.db")) as connection:
        row = connection.execute("select rootpage from sqlite_master where name = 'search_history'")
        (root,) = row.fetchone()
    with serving() as datasette:
        async with asking(datasette, None) as client:
            with (samples / "trends.db").open("r+b") as file:
                file.seek((root - 1) * 4096)
                file.write(b"\xff" * 4096)
            for path in ("/trends/search_history", "/trends/search_history.json"):
                answer = await client.get(path)
                assert answer.status_code == 503, answer.text
                assert "database disk image is malformed" in answer.text
            assert (await client.get("/campaigns/jobs.json")).status_code == 200


def test_commands_over_the_sound_ones_go_on(samples: Path, run_dailies: RunDailies) -> None:
    (samples / "metrics.db").write_bytes(b"x" * 100)
    checked = run_dailies("check", "--json")
    assert checked.returncode == 1
    problems = json.loads(checked.stdout)["problems"]
    assert [name for name, found in problems.items() if found] == ["metrics"]
