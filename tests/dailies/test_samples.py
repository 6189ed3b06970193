"""The sample data: recent, and with image files that exist."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from in_process import asking, serving
from PIL import Image
from server_process import RunDailies

RECENT = {
    "campaigns/jobs_created_by_day": "jobs",
    "yt-builder/builds_by_day": "created",
    "metrics/engagement_by_day": "videos",
    "metrics/fastest_growing": "views_gained",
}


@pytest.fixture
async def client(
    data_dir: Path, run_dailies: RunDailies, monkeypatch: pytest.MonkeyPatch
) -> httpx2.AsyncClient:
    assert run_dailies("build", "--sample").returncode == 0
    monkeypatch.chdir(data_dir.parent)
    with serving() as datasette:
        async with asking(datasette, None) as opened:
            yield opened


@pytest.mark.parametrize("query", RECENT)
async def test_queries_about_the_last_days_show_something(
    client: httpx2.AsyncClient, query: str
) -> None:
    rows = (await client.get(f"/{query}.json?_shape=array")).json()
    assert sum(row[RECENT[query]] or 0 for row in rows) > 0


async def test_samples_end_today_and_their_images_exist(
    client: httpx2.AsyncClient, data_dir: Path
) -> None:
    with closing(sqlite3.connect(data_dir / "metrics.db")) as connection:
        [(newest,)] = connection.execute("select max(measured_at) from video_metrics")
    age = datetime.now(UTC) - datetime.fromisoformat(newest)
    assert timedelta() <= age < timedelta(minutes=10)
    with closing(sqlite3.connect(data_dir / "image_library.db")) as connection:
        rows = connection.execute(
            "select id, file_path, file_size_bytes, width, height from image_library"
        ).fetchall()
    assert len(rows) == 12
    for image_id, file_path, size, width, height in rows:
        file = data_dir.parent / file_path
        assert file.stat().st_size == size < 10_000
        with Image.open(file) as image:
            assert image.size == (width, height)
        answer = await client.get(f"/image_library/-/thumbnail/{image_id}")
        assert answer.headers["content-type"] == "image/webp"


def test_own_images_are_kept(data_dir: Path, run_dailies: RunDailies) -> None:
    own = data_dir.parent / "pictures" / "images" / "nutsy" / "nutsy_happy_sitting.png"
    own.parent.mkdir(parents=True)
    Image.new("RGB", (3, 5)).save(own)
    before = own.read_bytes()
    done = run_dailies("build", "image_library", "--sample", DAILIES_IMAGES_DIR="pictures")
    assert (done.returncode, own.read_bytes()) == (0, before)
    with closing(sqlite3.connect(data_dir / "image_library.db")) as connection:
        [size] = connection.execute("select width, height from image_library where id = 1")
    assert size == (3, 5)
    assert not (data_dir.parent / "images").exists()
