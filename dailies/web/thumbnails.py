"""Small pictures of image files, which must lie below one folder.

A path comes from a row that anybody may have written, so it is believed in nothing: the file is
reached from the folder part by part, never through a link, and read by Pillow within bounds. What
cannot be shown has no thumbnail; that is no error.
"""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from io import BytesIO
from pathlib import Path
from threading import Lock, Semaphore
from typing import BinaryIO, NamedTuple

from PIL import Image, ImageOps

from loaders.image_library.image_files import BROKEN_IMAGE, MOST_PIXELS, READ

LONGEST_SIDE = 320  # pixels
MOST_BYTES = 100_000_000
AT_ONCE = 2  # a large picture takes some hundred MB of memory while it is read
KEPT = 1000  # thumbnails of some 10 kB each
FORMAT = "WEBP"
CONTENT_TYPE = "image/webp"

Version = tuple[str, int, int]  # path, time of the last change, size


class Thumbnail(NamedTuple):
    content: bytes
    etag: str


def images_dir() -> Path:
    """The folder below which image files are shown: `DAILIES_IMAGES_DIR`, or `images`."""
    return Path(os.environ.get("DAILIES_IMAGES_DIR") or "images").expanduser()


class Thumbnails:
    """Thumbnails of the files below `root`; those made last are kept, in bounded memory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._kept: OrderedDict[Version, bytes | None] = OrderedDict()
        self._lock = Lock()
        self._shrinking = Semaphore(AT_ONCE)

    def find(self, file_path: str) -> Thumbnail | None:
        """The thumbnail of a file; None if there is none to show."""
        for relative in places(self._root, file_path):
            try:
                with open_below(self._root, relative) as file:
                    found = self._thumbnail(str(relative), file)
            except OSError:
                continue
            if found:
                return found
        return None

    def _thumbnail(self, path: str, file: BinaryIO) -> Thumbnail | None:
        status = os.fstat(file.fileno())
        version = (path, status.st_mtime_ns, status.st_size)
        etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
        with self._lock:
            if version in self._kept:
                self._kept.move_to_end(version)
                content = self._kept[version]
                return Thumbnail(content, etag) if content else None
        with self._shrinking:
            content = shrunk(file, status.st_size)
        with self._lock:
            self._kept[version] = content
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return Thumbnail(content, etag) if content else None


def places(root: Path, file_path: str) -> list[Path]:
    """Where below `root` a path may lead: taken from the working folder, or from `root` itself."""
    if not file_path or "\0" in file_path:
        return []
    top = os.path.abspath(root)  # noqa: PTH100 - lexically: links are not to be followed
    bases = (os.getcwd(), top)  # noqa: PTH109
    found = dict.fromkeys(os.path.abspath(os.path.join(base, file_path)) for base in bases)  # noqa: PTH100, PTH118
    return [Path(path).relative_to(top) for path in found if path.startswith(top + os.sep)]


def open_below(root: Path, relative: Path) -> BinaryIO:
    """The regular file at `relative`; OSError if it is none, or a link is on the way."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in relative.parts[:-1]:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = below
        # A pipe would wait for its writer.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(relative.name, flags, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("no regular file")
    return os.fdopen(descriptor, "rb")


def shrunk(file: BinaryIO, size: int) -> bytes | None:
    """None for what is no picture, broken or too large, which takes as long to find out."""
    try:
        return shrink(file) if size <= MOST_BYTES else None
    except BROKEN_IMAGE:
        return None


def shrink(file: BinaryIO) -> bytes:
    """The picture, turned as its camera meant it, and without what else its file tells."""
    with Image.open(file, formats=READ) as image:
        if image.width * image.height > MOST_PIXELS:
            raise ValueError("too many pixels")
        image.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
        small = ImageOps.exif_transpose(image)
        small.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        written = BytesIO()
        small.convert("RGBA" if small.has_transparency_data else "RGB").save(written, FORMAT)
    return written.getvalue()
