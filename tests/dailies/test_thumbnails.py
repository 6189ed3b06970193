"""Thumbnails show image files below one folder to whoever may see the library; nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from datasette.app import Datasette
from empty_databases import create_databases
from hypothesis import given
from hypothesis import strategies as st
from in_process import READER, READING, metadata, serving
from PIL import Image

from dailies.web.thumbnails import MAX_SIDE, Thumbnails, candidates
from loaders import open_database

SECRET = b"the secret of another folder"


@pytest.fixture
def images(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of images, in the working folder."""
    monkeypatch.chdir(data_dir.parent)
    folder = data_dir.parent / "images"
    (folder / "nutsy").mkdir(parents=True)
    Image.new("RGB", (1000, 500), "red").save(folder / "nutsy" / "red.png")
    return folder


@pytest.fixture
def datasette(images: Path) -> Iterator[Datasette]:
    create_databases(["image_library"])
    with serving(**READING) as served:
        yield served


def add(file_path: Any) -> int:
    """A row of the library; its number."""
    with closing(open_database("image_library")) as db:
        row = {"character": "nutsy", "file_path": file_path, "source": "photo", "format": "png"}
        return int(db["image_library"].insert(row).last_rowid or 0)


async def ask(datasette: Datasette, number: int | str, **options: Any) -> Any:
    return await datasette.client.get(f"/image_library/-/thumbnail/{number}", **options)


def assert_placeholder(answer: Any) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
    assert "No image" in answer.text
    assert answer.headers["cache-control"] == "private, no-store"


@pytest.mark.parametrize("path", ["images/nutsy/red.png", "nutsy/red.png", "{}/nutsy/red.png"])
async def test_a_picture_is_shrunk(datasette: Datasette, images: Path, path: str) -> None:
    number = add(path.format(images))
    answer = await ask(datasette, number)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    with Image.open(BytesIO(answer.content)) as picture:
        assert picture.size == (MAX_SIDE, MAX_SIDE // 2)
        assert picture.convert("RGB").getpixel((5, 5))[0] > 240
    known = {"If-None-Match": answer.headers["etag"]}
    assert (await ask(datasette, number, headers=known)).status_code == 304


async def test_a_changed_file_gets_a_new_thumbnail(datasette: Datasette, images: Path) -> None:
    number = add("images/nutsy/red.png")
    before = await ask(datasette, number)
    Image.new("RGB", (50, 50), "blue").save(images / "nutsy" / "red.png")
    after = await ask(datasette, number, headers={"If-None-Match": before.headers["etag"]})
    with Image.open(BytesIO(after.content)) as picture:
        assert picture.size == (50, 50)


def outside(images: Path) -> dict[str, Callable[[], Any]]:
    """Paths of files that must not be shown, each with a function that creates the file."""
    stranger = images.parent / "private.png"
    Image.new("RGB", (9, 9)).save(stranger)

    def linked(name: str, target: Path) -> str:
        (images / name).symlink_to(target)
        return f"images/{name}"

    def written(name: str, content: bytes) -> str:
        (images / name).write_bytes(content)
        return f"images/{name}"

    def pipe() -> str:
        os.mkfifo(images / "pipe.png")
        return "images/pipe.png"

    return {
        "outside": lambda: str(stranger),
        "above": lambda: "images/../private.png",
        "above from the root": lambda: "../private.png",
        "beside with the same beginning": lambda: "images-private/x.png",
        "link to a file": lambda: linked("link.png", stranger),
        "link inside": lambda: linked("again.png", images / "nutsy" / "red.png"),
        "linked folder": lambda: linked("folder", images.parent) + "/private.png",
        "folder": lambda: "images/nutsy",
        "root": lambda: "images",
        "pipe": pipe,
        "device": lambda: "/dev/zero",
        "missing": lambda: "images/none.png",
        "no image": lambda: written("secret.png", SECRET),
        "cut off": lambda: written("cut.png", (images / "nutsy/red.png").read_bytes()[:60]),
        "svg": lambda: written("x.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        "through a file": lambda: "images/nutsy/red.png/x.png",
        "NUL": lambda: "images/nutsy/red.png\0.png",
        "long": lambda: "images/" + "x" * 5000,
        "address": lambda: "http://127.0.0.1/x.png",
        "empty": lambda: "",
    }


CASES = (
    "outside", "above", "above from the root", "beside with the same beginning", "link to a file",
    "link inside", "linked folder", "folder", "root", "pipe", "device", "missing", "no image",
    "cut off", "svg", "through a file", "NUL", "long", "address", "empty",
)  # fmt: skip


@pytest.mark.parametrize("case", CASES)
async def test_files_that_cannot_be_shown_have_a_placeholder(
    datasette: Datasette, images: Path, case: str
) -> None:
    answer = await ask(datasette, add(outside(images)[case]()))
    assert_placeholder(answer)
    assert SECRET not in answer.content


async def test_every_case_is_tested(images: Path) -> None:
    assert tuple(outside(images)) == CASES


async def test_without_the_folder(datasette: Datasette, images: Path) -> None:
    (images / "nutsy" / "red.png").unlink()
    (images / "nutsy").rmdir()
    images.rmdir()
    assert_placeholder(await ask(datasette, add("images/nutsy/red.png")))


@pytest.mark.parametrize("path", ["image_library", "pick_image", "unused_images"])
async def test_lists_of_images_show_them(datasette: Datasette, path: str) -> None:
    number = add("images/nutsy/<b>.png")
    page = await datasette.client.get(f"/image_library/{path}")
    assert f'src="/image_library/-/thumbnail/{number}"> images/nutsy/&lt;b&gt;.png' in page.text


async def test_a_row_that_is_not_there(datasette: Datasette) -> None:
    for number in (7, "x", "1~0A", "9" * 18):
        assert (await ask(datasette, number)).status_code == 404


async def test_only_reading(datasette: Datasette) -> None:
    number = add("images/nutsy/red.png")
    answer = await datasette.client.post(f"/image_library/-/thumbnail/{number}")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert answer.json()["errors"] == ["POST is not allowed here"]


async def test_actors_without_permission_see_no_thumbnail(images: Path) -> None:
    number = add("images/nutsy/red.png")
    config = metadata()
    library = config["databases"]["image_library"]["tables"]["image_library"]
    library.setdefault("permissions", {})["view-table"] = {"id": "reader"}
    with serving(config=config) as datasette:
        assert (await ask(datasette, number)).status_code == 403
        assert (await ask(datasette, number, actor=READER)).status_code == 200


@given(st.text(max_size=30) | st.from_regex(r"(images|\.\.|/|\.|x){0,6}", fullmatch=True))
def test_no_path_leaves_the_folder(path: str) -> None:
    for place in candidates(Path("/srv/images"), path):
        assert ".." not in place.parts
        assert not place.is_absolute()
        assert place.parts


def test_a_broken_image_is_read_once(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (images / "broken.png").write_bytes((images / "nutsy" / "red.png").read_bytes()[:60])
    store = Thumbnails(images)
    assert store.find("broken.png") is None
    monkeypatch.setattr("dailies.web.thumbnails.shrink", lambda _: pytest.fail("read again"))
    assert store.find("broken.png") is None


def test_the_cache_is_bounded(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dailies.web.thumbnails.MAX_CACHED", 2)
    store = Thumbnails(images)
    for number in range(4):
        Image.new("RGB", (4, 4)).save(images / f"{number}.png")
        assert store.find(f"{number}.png")
    assert len(store._cache) == 2


def test_an_image_too_large_for_memory_has_no_thumbnail(images: Path) -> None:
    """But a JPEG that is shrunk as it is read has one."""
    Image.new("L", (6001, 6000)).save(images / "large.png")
    Image.new("L", (6000, 6000)).save(images / "fits.png")
    Image.new("L", (6001, 6000)).save(images / "large.jpg")
    Image.new("L", (6001, 6000)).save(images / "progressive.jpg", progressive=True)
    store = Thumbnails(images)
    found = {path.name: store.find(path.name) is not None for path in images.glob("*.*g")}
    assert found == {
        "large.png": False,
        "fits.png": True,
        "large.jpg": True,
        "progressive.jpg": False,
    }
