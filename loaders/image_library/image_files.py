"""Import a folder of image files into `image_library`: path, size, width, height and format.

Pillow detects the format from the content. Skipped are files that are no images and have no image's
suffix, and names that begin with a dot. A row is found by its path, be it absolute or relative.
Emotion and pose are taken from names such as `butcher_happy_sitting_01.png`.
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
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError

from loaders.conflicts import resolve_conflict
from loaders.connections import Connection
from loaders.image_library.images import CHARACTERS
from loaders.import_options import ImportOptions, RowProgress, import_transaction
from loaders.import_report import ImportReport, Origin
from loaders.rows import dictionaries
from loaders.times import format_instant

# Pillow's names of the formats to try, and our names of formats found.
READ = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
FORMATS = {"JPEG": "jpg", "MPO": "jpg"}
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
    *(".avif", ".heic", ".heif"),  # not among READ
)
MAX_PIXELS = 100_000_000  # a small file can declare more than fits in memory
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
    """A path in a folder; `problem` says why it cannot be read."""

    folder: Path
    path: Path
    problem: str | None = None


@dataclass(frozen=True)
class Picture:
    """An image file; `timestamp` is the time of its last modification."""

    found: Found
    file_size_bytes: int
    width: int
    height: int
    format: str
    timestamp: str

    @property
    def path(self) -> Path:
        return self.found.path


class NoImageError(ValueError):
    """The file is no image, and not named like one."""


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
    # Files are read before the transaction, so that other writers need not wait for them.
    pictures = list(read_folders(paths, report, options.progress))
    with import_transaction(db, ["image_library"], options, report) as connection:
        for picture in pictures:
            store(connection, picture, character, options.on_conflict, report)
    return report


def read_folders(
    folders: Iterable[Path], report: ImportReport, progress: RowProgress
) -> Iterator[Picture]:
    """Yield the images in the folders; count other files in the report."""
    for folder in folders:
        for found in walk(folder):
            report.found += 1
            progress(1)
            try:
                yield read_picture(found)
            except NoImageError:
                report.skipped += 1
            except ValueError as error:
                report.fail(*origin_of(found), str(error))


def origin_of(found: Found) -> Origin:
    return Origin(printable(found.folder), printable(found.path.relative_to(found.folder)))


def printable(path: Path) -> str:
    return str(path).encode(errors="replace").decode()


def walk(folder: Path) -> Iterator[Found]:
    """Yield the files below `folder`, in the order of names; links are not followed."""
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


def read_picture(found: Found) -> Picture:
    """Read an image file; NoImageError if it is none, ValueError if it cannot be imported."""
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
    stat = path.stat()
    modified = datetime.fromtimestamp(max(0, stat.st_mtime), UTC)
    return Picture(found, stat.st_size, width, height, kind, format_instant(modified))


def refuse_link(found: Found) -> None:
    """NoImageError for a link within the folder (its target is imported), else ValueError."""
    try:
        target = found.path.resolve(strict=True)
    except (OSError, RuntimeError):
        raise ValueError("is a link that leads nowhere") from None
    if not target.is_relative_to(found.folder.resolve()):
        raise ValueError("is a link that leads out of the folder")
    raise NoImageError


def read_image(path: Path) -> tuple[int, int, str]:
    """Width, height and format; the whole image is read, so that a damaged one is refused."""
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
        if width * height > MAX_PIXELS:
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
    """Insert, update or skip one image, and count it in the report."""
    spellings = spellings_of(picture.path)
    known = next(iter(dictionaries(connection.execute(FIND_IMAGE, spellings))), None)
    values = {
        **{name: getattr(picture, name) for name in MEASURED},
        "character": character,
        "timestamp": picture.timestamp,
    }
    if known is None:
        words = words_of(picture.path, character)
        connection.execute(INSERT_IMAGE, {**values, **words, "file_path": spellings["given"]})
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
    """The path as given, as it is stored, and its absolute and relative form."""
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
    """Emotion and pose from the file's name, or None."""
    first, *words = path.stem.lower().split("_")
    found: dict[str, str | None] = {"emotion": None, "pose": None}
    if first == character:
        for name, known in (("emotion", EMOTIONS), ("pose", POSES)):
            if words and words[0] in known:
                found[name] = words.pop(0)
    return found
