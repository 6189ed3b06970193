"""A folder of image files into `image_library`: path, size, width, height and format of each.

Pillow tells what a file is by its content. A file that is no image and is not named like one is
skipped, as is whatever has a name that begins with a dot. A row is known by its path, however the
folder is spelt this time. What a name such as `butcher_happy_sitting_01.png` says is believed where
its words are the character's name, an emotion and a pose that the library knows.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, UnidentifiedImageError

from loaders.conflicts import resolve_conflict
from loaders.connections import Connection
from loaders.image_library.images import CHARACTERS
from loaders.import_options import ImportOptions, RowProgress, import_transaction
from loaders.import_report import ImportReport, Origin
from loaders.rows import dictionaries
from loaders.times import format_instant

# Pillow's names for the formats that it may try, and ours for what it finds.
READ = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
FORMATS = {"JPEG": "jpg", "MPO": "jpg"}
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
    *(".avif", ".heic", ".heif"),  # which Pillow is not asked for, or cannot read
)
MOST_PIXELS = 100_000_000  # a file of few bytes can claim more than memory holds
BROKEN_IMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

EMOTIONS = ("angry", "confused", "excited", "happy", "neutral", "sad", "sarcastic", "surprised")
POSES = ("jumping", "profile", "sitting", "standing")
MEASURED = ("file_size_bytes", "width", "height", "format")

FIND_IMAGE = """
select id, character, file_size_bytes, width, height, format
from image_library
where file_path in (:given, :absolute, :relative)
order by id
limit 1
"""

INSERT_IMAGE = """
insert into image_library (
  character, emotion, pose, file_path, source,
  file_size_bytes, width, height, format, timestamp
)
values (
  :character, :emotion, :pose, :file_path, 'manual',
  :file_size_bytes, :width, :height, :format, :timestamp
)
"""

UPDATE_IMAGE = """
update image_library
set
  character = :character,
  file_size_bytes = :file_size_bytes,
  width = :width,
  height = :height,
  format = :format,
  timestamp = :timestamp
where id = :id
"""


class Found(NamedTuple):
    """Something in a folder; `problem` says why it is not even looked into."""

    folder: Path
    path: Path
    problem: str | None = None


@dataclass(frozen=True)
class Picture:
    """An image file as it is; `timestamp` is when it was last written."""

    found: Found
    file_size_bytes: int
    width: int
    height: int
    format: str
    timestamp: str

    @property
    def path(self) -> Path:
        return self.found.path

    def measured(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in MEASURED}


class NoImageError(ValueError):
    """A file that is no image and does not pretend to be one."""


def load(
    db: Connection,
    paths: Iterable[Path],
    options: ImportOptions,
) -> ImportReport:
    """Store the images in these folders, and below them, as images of `options.character`."""
    if options.character is None:
        raise ValueError("a folder of images needs --character")
    character = options.character.strip().lower()
    if character not in CHARACTERS:
        raise ValueError(f"character must be {' or '.join(CHARACTERS)}, not {options.character!r}")
    report = ImportReport()
    # Looked at before the transaction, which would make other writers wait for the files.
    pictures = list(read_folders(paths, report, options.progress))
    with import_transaction(db, "image_library", options, report) as connection:
        for picture in pictures:
            store(connection, picture, character, options.on_conflict, report)
    return report


def read_folders(
    folders: Iterable[Path], report: ImportReport, progress: RowProgress
) -> Iterator[Picture]:
    """The images in the folders; everything else that lies there is counted in the report."""
    for folder in folders:
        for found in walk(folder):
            report.found += 1
            progress(1)
            try:
                yield look_at(found)
            except NoImageError:
                report.skipped += 1
            except ValueError as error:
                fail(report, found, str(error))


def fail(report: ImportReport, found: Found, reason: str) -> None:
    report.fail(*origin_of(found), reason)


def origin_of(found: Found) -> Origin:
    return Origin(printable(found.folder), printable(found.path.relative_to(found.folder)))


def printable(path: Path) -> str:
    return str(path).encode(errors="replace").decode()


def walk(folder: Path) -> Iterator[Found]:
    """Everything below `folder` but folders, in the order of names; links are not followed."""
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        if path != folder and (path.name.startswith(".") or path.is_symlink() or not path.is_dir()):
            yield Found(folder, path)
            continue
        try:
            waiting += sorted(path.iterdir(), reverse=True)
        except OSError as error:
            yield Found(folder, path, f"cannot be read: {error.strerror}")


def look_at(found: Found) -> Picture:
    """The image; NoImageError where there is none, ValueError where it cannot be told or taken."""
    path = found.path
    if found.problem:
        raise ValueError(found.problem)
    if path.name.startswith("."):
        raise NoImageError
    if path.is_symlink():
        refuse_link(found)
    if not path.is_file():
        raise ValueError("is no regular file")
    if printable(path) != str(path):
        raise ValueError("has a name that is no text")
    width, height, kind = read_image(path)
    facts = path.stat()
    written = datetime.fromtimestamp(max(0, facts.st_mtime), UTC)
    return Picture(found, facts.st_size, width, height, kind, format_instant(written))


def refuse_link(found: Found) -> None:
    """A link within the folder leads to what is met where it lies."""
    try:
        target = found.path.resolve(strict=True)
    except (OSError, RuntimeError):
        raise ValueError("is a link that leads nowhere") from None
    if not target.is_relative_to(found.folder.resolve()):
        raise ValueError("is a link that leads out of the folder")
    raise NoImageError


def read_image(path: Path) -> tuple[int, int, str]:
    """Width, height and format, after the whole image was read."""
    try:
        return measure(path)
    except BROKEN_IMAGE as error:
        if path.suffix.lower() not in SUFFIXES:
            raise NoImageError from None
        if isinstance(error, UnidentifiedImageError):
            raise ValueError("is no image that can be read") from None
        raise ValueError(f"cannot be read as an image: {error}") from error


def measure(path: Path) -> tuple[int, int, str]:
    with warnings.catch_warnings(action="ignore"), Image.open(path, formats=READ) as image:
        width, height = image.size
        if width * height > MOST_PIXELS:
            raise ValueError(f"it claims {width} x {height} pixels, which are too many")
        kind = str(image.format)
        image.load()
    return width, height, FORMATS.get(kind, kind.lower())


def store(
    connection: sqlite3.Connection,
    picture: Picture,
    character: str,
    on_conflict: str,
    report: ImportReport,
) -> None:
    """Write one image, or leave it as it is; the report says which."""
    spellings = spellings_of(picture.path)
    known = next(iter(dictionaries(connection.execute(FIND_IMAGE, spellings))), None)
    values = {
        **picture.measured(),
        "character": character,
        "timestamp": picture.timestamp,
    }
    if known is None:
        said = words_of(picture.path, character)
        connection.execute(INSERT_IMAGE, {**values, **said, "file_path": spellings["given"]})
        report.imported += 1
        return
    if all(known[name] == values[name] for name in ("character", *MEASURED)):
        report.skipped += 1
        return
    changes = {**values, "id": known["id"]}
    resolve_conflict(
        on_conflict,
        report,
        origin_of(picture.found),
        lambda: connection.execute(UPDATE_IMAGE, changes),
    )


def spellings_of(path: Path) -> dict[str, str]:
    """The path as it is stored, which is as it was given, and what else may mean the same file."""
    given = os.path.normpath(path)
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - unlike resolve, it keeps links
    working = Path.cwd()
    inside = absolute.is_relative_to(working)
    return {
        "given": absolute.as_posix() if given.startswith("..") else Path(given).as_posix(),
        "absolute": absolute.as_posix(),
        "relative": (absolute.relative_to(working) if inside else absolute).as_posix(),
    }


def words_of(path: Path, character: str) -> dict[str, str | None]:
    """Emotion and pose as the file's name says them."""
    first, *words = path.stem.lower().split("_")
    said: dict[str, str | None] = {"emotion": None, "pose": None}
    if first == character:
        for name, known in (("emotion", EMOTIONS), ("pose", POSES)):
            if words and words[0] in known:
                said[name] = words.pop(0)
    return said
