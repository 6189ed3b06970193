"""The canned queries of `image_library` compared with Python, on samples and old rows."""

from __future__ import annotations

import math
import sqlite3
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from canned import ask, bare_scans, plan, queries_of, questions
from empty_databases import create_databases
from legacy import rows, unpack

from dailies.cli import build
from loaders import image_library, open_database

Row = dict[str, Any]
QUERIES = (
    "pick_image",
    "most_used_images",
    "unused_images",
    "images_by_character",
    "images_in_video",
    "collection",
    "storage_by_format",
    "search_images",
)
MAX_ROWS = 1000  # that the server gives


@pytest.fixture
def path(copy_of: Callable[[str], Path]) -> Path:
    return copy_of("image_library")


@pytest.fixture
def images(path: Path) -> list[Row]:
    return rows(path, "select * from image_library order by id")


def sound(value: Any, high: float = math.inf) -> bool:
    return isinstance(value, int | float) and 0 <= value <= high


def uses(image: Row) -> int:
    return image["usage_count"] if sound(image["usage_count"]) else 0


def quality(image: Row) -> float:
    """Unknown is below every number."""
    return image["quality_score"] if sound(image["quality_score"], 1) else -1


def ids(found: list[Row], name: str = "id") -> list[int]:
    return [row[name] for row in found]


def in_order(value: Any) -> tuple[int, Any]:
    """SQLite's order: null, numbers, texts."""
    return (0, 0) if value is None else (2, value) if isinstance(value, str) else (1, value)


def folded(text: str | None) -> str | None:
    return None if text is None else text.strip(" ").lower()


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"character": "nutsy"},
        {"emotion": " HAPPY"},
        {"character": "butcher", "emotion": "happy", "pose": "standing"},
        {"pose": "Jumping"},
        {"emotion": "bored"},
    ],
)
async def test_pick_image(path: Path, images: list[Row], wanted: dict[str, str]) -> None:
    fit = [
        image
        for image in images
        if all(folded(image[name]) == folded(text) for name, text in wanted.items())
    ]
    fit.sort(key=lambda image: (uses(image), -quality(image), image["id"]))
    found = await ask("image_library", "pick_image", **wanted)
    assert ids(found) == ids(fit[:20])
    with closing(open_database("image_library", path)) as db:
        picked = image_library.pick_image(db, **wanted)
    assert picked == (fit[0] if fit else None)


async def test_most_used_images(images: list[Row]) -> None:
    used = [image for image in images if uses(image) > 0]
    used.sort(key=lambda image: (-uses(image), image["id"]))
    found = await ask("image_library", "most_used_images")
    assert [(row["id"], row["uses"]) for row in found] == [
        (row["id"], uses(row)) for row in used[:20]
    ]


async def test_unused_images(images: list[Row]) -> None:
    unused = [image for image in images if uses(image) == 0]
    unused.sort(key=lambda image: (-quality(image), image["id"]))
    assert ids(await ask("image_library", "unused_images")) == ids(unused[:MAX_ROWS])


async def test_images_by_character(images: list[Row]) -> None:
    groups: dict[tuple[Any, Any], list[Row]] = defaultdict(list)
    for image in images:
        groups[image["character"], image["emotion"]].append(image)
    found = await ask("image_library", "images_by_character")
    assert len(found) == len(groups)
    for row in found:
        group = groups[row["character"], row["emotion"]]
        assert (row["images"], row["uses"]) == (len(group), sum(map(uses, group)))


async def test_images_in_video(path: Path) -> None:
    found_in: dict[str, list[Row]] = defaultdict(list)
    for use in rows(path, "select * from image_usage order by id"):
        found_in[use["video_id"]].append(use)
    fullest = sorted(found_in, key=lambda name: -len(found_in[name]))[:3]
    async with questions("image_library") as ask_one:
        found = {name: await ask_one("images_in_video", video_id=name) for name in fullest}
        without = await ask_one("images_in_video")
    for video_id, images in found.items():
        expected = [(use["image_id"], use["scene_number"]) for use in found_in[video_id]]
        assert {image["video_id"] for image in images} == {video_id}
        assert [(image["image_id"], image["scene_number"]) for image in images] == sorted(
            expected, key=lambda pair: in_order(pair[1])
        )
    assert len(without) == min(100, sum(map(len, found_in.values())))


async def test_collection(path: Path) -> None:
    entries = rows(
        path,
        """
        select name, sort_order, image_id
        from collection_images
        join image_collections on id = collection_id
        """,
    )
    names = sorted({entry["name"] for entry in entries})
    async with questions("image_library") as ask_one:
        of_all = await ask_one("collection")
        found = {name: await ask_one("collection", name=otherwise_spelt(name)) for name in names}
    assert ids(of_all, "collection") == sorted(entry["name"] for entry in entries)
    for name, images in found.items():
        expected = [(row["sort_order"], row["image_id"]) for row in entries if row["name"] == name]
        assert [(image["sort_order"], image["image_id"]) for image in images] == sorted(
            expected, key=lambda pair: (in_order(pair[0]), pair[1])
        )


def otherwise_spelt(name: str) -> str:
    """SQLite folds the letters of ASCII only."""
    return f" {name.upper() if name.isascii() else name} "


async def test_storage_by_format(images: list[Row]) -> None:
    groups: dict[str | None, list[Row]] = defaultdict(list)
    for image in images:
        groups[image["format"]].append(image)
    found = await ask("image_library", "storage_by_format")
    assert {row["format"]: (row["images"], row["bytes"]) for row in found} == {
        name: (
            len(group),
            sum(image["file_size_bytes"] for image in group if sound(image["file_size_bytes"])),
        )
        for name, group in groups.items()
    }


@pytest.mark.parametrize("word", ["squirrel", "dog", "014", "quirre", "café", "cafe"])
async def test_search_images(images: list[Row], word: str) -> None:
    def holds(image: Row) -> bool:
        texts = (image["generation_prompt"], image["tags"], image["file_path"])
        text = " ".join(filter(None, texts)).lower().replace("é", "e")
        return word.replace("é", "e") in text

    found = await ask("image_library", "search_images", q=word)
    expected = {image["id"] for image in images if holds(image)}
    assert len(found) == min(MAX_ROWS, len(expected))
    assert set(ids(found)) <= expected


def test_the_queries_are_those_of_the_contract() -> None:
    assert tuple(queries_of("image_library")) == QUERIES


@pytest.mark.parametrize("name", QUERIES)
def test_no_query_scans_a_table_without_an_index(data_dir: Path, name: str) -> None:
    create_databases(["image_library"])
    steps = plan("image_library", name)
    assert bare_scans(steps, "image_library_fts", "found", "uses", "picked", "(subquery-2)") == []


async def test_what_is_no_number_is_left_out(data_dir: Path) -> None:
    with closing(sqlite3.connect(unpack("image_library.db", data_dir))) as connection, connection:
        connection.execute(
            """
            update image_library
            set quality_score = 9e999, file_size_bytes = 9e999, usage_count = -9e999
            where id % 2
            """
        )
        connection.execute(
            """
            update image_library
            set quality_score = 'good', file_size_bytes = 9223372036854775807, usage_count = '3x'
            where not id % 2
            """
        )
    build.build("image_library")
    async with questions("image_library") as ask_one:
        found = {name: await ask_one(name) for name in QUERIES}
    assert {row["bytes"] for row in found["storage_by_format"]} == {0}
    assert {row["uses"] for row in found["images_by_character"]} == {0}
