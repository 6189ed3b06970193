"""The Python functions of `image_library`, and plain `sqlite-utils` on its tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils
from click.testing import CliRunner
from legacy import rows
from sqlite_utils.cli import cli

from loaders import checks, image_library, open_database
from loaders.errors import DuplicateKey


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite_utils.Database]:
    with closing(open_database("image_library", tmp_path / "image_library.db")) as opened:
        yield opened


def test_an_image_is_stored_with_what_is_said_of_it(db: sqlite_utils.Database) -> None:
    image = image_library.add_image(
        db, "nutsy", "a.png", emotion="sad", width=3, tags=["é"], metadata={"seed": 1}
    )
    said = {
        "id": 1,
        "character": "nutsy",
        "emotion": "sad",
        "file_path": "a.png",
        "source": "generated",
        "width": 3,
        "tags": '["é"]',
        "metadata": '{"seed": 1}',
        "usage_count": 0,
    }
    assert image.items() >= said.items()
    assert {value for name, value in image.items() if name not in said} == {
        None,
        image["timestamp"],
        image["created_at"],
    }


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"character": "Butcher"},
            "image_library.character: must be butcher or nutsy, not 'Butcher'",
        ),
        ({"file_path": ""}, "file_path must be text and not blank, not ''"),
        ({"colour": "red"}, 'an image has no "colour": choose from character, emotion, pose, '),
        ({"tags": "happy"}, "image_library.tags: must be a JSON array, not '\"happy\"'"),
        (
            {"quality_score": 8.5},
            "image_library.quality_score: must be a number from 0 to 1, not 8.5",
        ),
    ],
)
def test_bad_input_is_a_value_error(
    db: sqlite_utils.Database, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the whole message is compared
        image_library.add_image(db, **{"character": "nutsy", "file_path": "a.png", **values})
    assert str(refused.value).startswith(message)


def test_a_path_is_stored_once(db: sqlite_utils.Database) -> None:
    image_library.add_image(db, "nutsy", "a.png")
    with pytest.raises(DuplicateKey, match=r'image "a\.png" already exists'):
        image_library.add_image(db, "butcher", "a.png")


def test_the_image_picked_is_the_least_used_then_the_best(db: sqlite_utils.Database) -> None:
    for number, score in enumerate((0.1, 0.9, None), start=1):
        image_library.add_image(db, "nutsy", f"{number}.png", emotion="Happy ", quality_score=score)
    picked = []
    for scene in range(4):
        image = image_library.pick_image(db, "nutsy", "happy")
        assert image is not None
        picked.append(image["id"])
        image_library.use_image(db, image["id"], "v", scene)
    assert picked == [2, 1, 3, 2]
    assert image_library.pick_image(db, "butcher") is None


def test_using_an_image_that_does_not_exist_is_refused(db: sqlite_utils.Database) -> None:
    with pytest.raises(ValueError, match="image 9 does not exist"):
        image_library.use_image(db, 9, "v")
    with pytest.raises(ValueError, match=r"collection_images\.image_id: must be the id of a row"):
        image_library.add_to_collection(db, "new", 9)
    assert db["image_collections"].count == 0


def test_a_collection_keeps_its_order(db: sqlite_utils.Database) -> None:
    for number in range(3):
        image_library.add_image(db, "nutsy", f"{number}.png")
    for image_id, place in ((3, None), (1, None), (2, 1), (3, None), (1, 7)):
        assert image_library.add_to_collection(db, "best", image_id, place) == 1
    entries = db.execute("select image_id, sort_order from collection_images order by 1").fetchall()
    assert entries == [(1, 7), (2, 1), (3, 1)]


def test_uses_from_many_threads_are_all_counted(tmp_path: Path) -> None:
    path = tmp_path / "image_library.db"
    with closing(open_database("image_library", path)) as db:
        image_library.add_image(db, "nutsy", "a.png")

    def use(thread: int) -> None:
        with closing(open_database("image_library", path)) as own:
            for scene in range(10):
                image_library.use_image(own, 1, f"v{thread}", scene)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(4)))
    assert rows(path, "select usage_count from image_library") == [{"usage_count": 40}]


@pytest.mark.parametrize("verb", ["upsert", "insert --replace", "insert --ignore"])
def test_sqlite_utils_keeps_every_promise(tmp_path: Path, verb: str) -> None:
    path = tmp_path / "image_library.db"
    with closing(open_database("image_library", path)) as db:
        for name in ("a.png", "b.png"):
            image_library.add_image(db, "nutsy", name)
    command, *options = verb.split()
    uses = [{"id": number, "image_id": 1 + number % 2, "video_id": "v"} for number in range(5)]
    for _ in range(2):
        done = CliRunner().invoke(
            cli,
            [command, str(path), "image_usage", "-", "--pk", "id", *options],
            input=json.dumps(uses),
        )
        assert done.exit_code == 0, done.output
    assert rows(path, "select usage_count from image_library order by id") == [
        {"usage_count": 3},
        {"usage_count": 2},
    ]
    assert checks.check("image_library", path) == []
