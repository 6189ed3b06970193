"""A folder of real image files is imported whole: each file accounted for, nothing added twice."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils
from legacy import rows
from PIL import Image
from server_process import RunDailies

from loaders import open_database
from loaders.image_library import image_files
from loaders.import_options import ImportOptions
from loaders.import_report import ImportReport


def load(
    db: sqlite_utils.Database, folders: list[Path], character: str | None, **options: Any
) -> ImportReport:
    return image_files.load(db, folders, ImportOptions(character=character, **options))


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite_utils.Database]:
    with closing(open_database("image_library", tmp_path / "image_library.db")) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "images"
    made.mkdir()
    return made


def draw(path: Path, size: tuple[int, int] = (4, 3), **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "red").save(path, **options)
    return path


def counts(report: ImportReport) -> dict[str, int]:
    assert report.found == report.imported + report.updated + report.skipped + report.failed
    names = ("imported", "updated", "skipped", "failed")
    return {name: getattr(report, name) for name in names if getattr(report, name)}


def reasons(report: ImportReport) -> dict[str, str]:
    return {error["position"]: error["reason"] for error in report.errors}


def stored(db: sqlite_utils.Database, columns: str) -> list[tuple[Any, ...]]:
    return db.execute(f"select {columns} from image_library order by file_path").fetchall()


def claiming(width: int, height: int) -> bytes:
    """A PNG of few bytes that claims these dimensions."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_every_format_is_measured(db: sqlite_utils.Database, folder: Path) -> None:
    files = {
        "a.png": ("png", (5, 2)),
        "b.jpeg": ("jpg", (7, 8)),
        "c.WEBP": ("webp", (3, 3)),
        "d.gif": ("gif", (1, 9)),
        "sub/deeper/e.bmp": ("bmp", (2, 2)),
        "sub/f.tiff": ("tiff", (6, 4)),
    }
    for name, (_, size) in files.items():
        draw(folder / name, size)
    report = load(db, [folder], "butcher")
    assert counts(report) == {"imported": 6}
    assert stored(db, "file_path, width, height, format, file_size_bytes, character, source") == [
        (str(folder / name), *size, kind, (folder / name).stat().st_size, "butcher", "manual")
        for name, (kind, size) in sorted(files.items())
    ]


def test_content_and_not_its_name_says_what_a_file_is(
    db: sqlite_utils.Database, folder: Path
) -> None:
    draw(folder / "a.png", format="JPEG")
    draw(folder / "photo", format="PNG")
    assert counts(load(db, [folder], "nutsy")) == {"imported": 2}
    assert stored(db, "format") == [("jpg",), ("png",)]


def test_a_second_run_adds_nothing_and_updates_what_changed(
    db: sqlite_utils.Database, folder: Path
) -> None:
    draw(folder / "a.png")
    draw(folder / "b.png")
    load(db, [folder], "nutsy")
    db.execute("update image_library set emotion = 'sad', usage_count = 3")
    assert counts(load(db, [folder], "nutsy")) == {"skipped": 2}
    draw(folder / "b.png", (40, 30))
    assert counts(load(db, [folder], "nutsy")) == {"skipped": 2}
    changed = load(db, [folder], "nutsy", on_conflict="update")
    assert counts(changed) == {"updated": 1, "skipped": 1}
    assert stored(db, "width, height, emotion, usage_count") == [
        (4, 3, "sad", 3),
        (40, 30, "sad", 3),
    ]
    assert counts(load(db, [folder], "nutsy")) == {"skipped": 2}


def test_on_conflict_says_what_becomes_of_a_known_image(
    db: sqlite_utils.Database, folder: Path
) -> None:
    draw(folder / "a.png")
    load(db, [folder], "nutsy")
    assert counts(load(db, [folder], "butcher")) == {"skipped": 1}
    assert stored(db, "character") == [("nutsy",)]
    report = load(db, [folder], "butcher", on_conflict="update")
    assert (counts(report), stored(db, "character")) == ({"updated": 1}, [("butcher",)])
    assert Path(str(report.backup)).exists()
    draw(folder / "a.png", (9, 9))
    report = load(db, [folder], "butcher", on_conflict="fail")
    assert reasons(report) == {"a.png": "already stored with different content"}
    assert stored(db, "width") == [(4,)]


def test_a_folder_spelt_otherwise_holds_the_same_images(
    db: sqlite_utils.Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(folder / "a.png")
    monkeypatch.chdir(folder.parent)
    load(db, [Path("images")], "nutsy")
    spellings = (
        folder,
        Path("./images"),
        Path("images/../images"),
        Path("../") / folder.parent.name / "images",
    )
    for spelling in spellings:
        assert counts(load(db, [spelling], "nutsy")) == {"skipped": 1}
    assert stored(db, "file_path") == [("images/a.png",)]


def test_what_is_no_image_is_skipped_and_what_cannot_be_read_is_reported(
    db: sqlite_utils.Database, folder: Path
) -> None:
    good = draw(folder / "good.png", (64, 64)).read_bytes()
    (folder / "cut.png").write_bytes(good[: len(good) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (folder / "text.png").write_text("no image")
    (folder / "huge.png").write_bytes(claiming(50_000, 50_000))
    (folder / "big.png").write_bytes(claiming(10_001, 10_000))
    (folder / "notes.txt").write_text("BMW, begins like a bitmap")
    (folder / ".DS_Store").write_bytes(b"\0")
    (folder / "._good.png").write_bytes(b"\0\5\x16\7")
    (folder / ".thumbnails").mkdir()
    draw(folder / ".thumbnails" / "good.png")
    os.mkfifo(folder / "pipe.png")
    report = load(db, [folder], "nutsy")
    assert counts(report) == {"imported": 1, "skipped": 4, "failed": 7}
    found = reasons(report)
    assert list(found) == sorted(found)
    assert found["text.png"] == found["empty.jpg"] == "is no image that can be read"
    assert found["phone.heic"] == "is no image that can be read"
    assert found["pipe.png"] == "is no regular file"
    assert found["big.png"] == (
        "cannot be read as an image: it claims 10001 x 10000 pixels, which are too many"
    )
    assert found["huge.png"].startswith(
        "cannot be read as an image: Image size (2500000000 pixels)"
    )
    assert found["cut.png"].startswith("cannot be read as an image: ")


def test_links_are_not_followed(db: sqlite_utils.Database, folder: Path, tmp_path: Path) -> None:
    draw(folder / "a.png")
    draw(tmp_path / "outside" / "secret.png")
    (folder / "b.png").symlink_to(folder / "a.png")
    (folder / "c.png").symlink_to(tmp_path / "outside" / "secret.png")
    (folder / "d").symlink_to(tmp_path / "outside")
    (folder / "e").symlink_to(folder)
    (folder / "f.png").symlink_to(folder / "gone.png")
    (folder / "g.png").symlink_to(folder / "g.png")
    report = load(db, [folder], "nutsy")
    assert counts(report) == {"imported": 1, "skipped": 2, "failed": 4}
    assert reasons(report) == {
        "c.png": "is a link that leads out of the folder",
        "d": "is a link that leads out of the folder",
        "f.png": "is a link that leads nowhere",
        "g.png": "is a link that leads nowhere",
    }


def test_a_name_that_is_no_text_is_reported(db: sqlite_utils.Database, folder: Path) -> None:
    draw(folder / "a.png").rename(os.fsdecode(os.fsencode(folder) + b"/\xff.png"))
    report = load(db, [folder], "nutsy")
    assert reasons(report) == {"?.png": "has a name that is no text"}
    json.dumps(report.as_dict(), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("name", "emotion", "pose"),
    [
        ("butcher_happy_sitting_01.png", "happy", "sitting"),
        ("Butcher_HAPPY_014.png", "happy", None),
        ("butcher_standing.png", None, "standing"),
        ("butcher_IMG_2034.png", None, None),
        ("nutsy_happy_sitting.png", None, None),
        ("happy_sitting.png", None, None),
        ("butcher.png", None, None),
    ],
)
def test_a_name_says_emotion_and_pose_where_its_words_are_known(
    db: sqlite_utils.Database, folder: Path, name: str, emotion: str | None, pose: str | None
) -> None:
    draw(folder / name)
    load(db, [folder], "butcher")
    assert stored(db, "emotion, pose") == [(emotion, pose)]


def test_a_dry_run_changes_nothing(db: sqlite_utils.Database, folder: Path) -> None:
    draw(folder / "a.png")
    seen: list[int] = []
    report = load(db, [folder], "nutsy", dry_run=True, progress=seen.append)
    assert (counts(report), seen) == ({"imported": 1}, [1])
    assert stored(db, "id") == []


def test_the_character_must_be_one_of_ours(db: sqlite_utils.Database, folder: Path) -> None:
    with pytest.raises(ValueError, match="character must be butcher or nutsy, not 'bob'"):
        load(db, [folder], "bob")


def test_the_command_reads_a_folder(run_dailies: RunDailies, data_dir: Path, folder: Path) -> None:
    draw(folder / "nutsy_happy_jumping.png", (12, 34))
    (folder / "broken.png").write_bytes(b"")
    done = run_dailies("import", "image_library", folder, "--character", "Nutsy", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {
        "ok": False,
        "found": 2,
        "imported": 1,
        "updated": 0,
        "skipped": 0,
        "failed": 1,
        "errors": [
            {
                "source": str(folder),
                "position": "broken.png",
                "id": None,
                "reason": "is no image that can be read",
            }
        ],
        "backup": None,
    }
    columns = "character, emotion, pose, width, height, format"
    assert rows(data_dir / "image_library.db", f"select {columns} from image_library") == [
        {
            "character": "nutsy",
            "emotion": "happy",
            "pose": "jumping",
            "width": 12,
            "height": 34,
            "format": "png",
        }
    ]
