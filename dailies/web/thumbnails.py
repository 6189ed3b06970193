"""Thumbnails of image files below one folder.

The paths come from rows and are not trusted: each file is opened from the folder part by part,
never through a symbolic link, and read by Pillow within limits. A file that cannot be shown has no
thumbnail; that is not an error.
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

from loaders.image_library.image_files import BROKEN_IMAGE, MAX_PIXELS, READ

MAX_SIDE = 320  # pixels
MAX_BYTES = 100_000_000
MAX_DECODED = 36_000_000  # pixels, enough for 8K; WebP takes 16 bytes of memory for each
MAX_CONCURRENT = 2
MAX_CACHED = 1000  # thumbnails, of about 10 kB each
FORMAT = "WEBP"
CONTENT_TYPE = "image/webp"

Version = tuple[str, int, int]  # path, time of the last change in nanoseconds, size


class Thumbnail(NamedTuple):
    content: bytes
    etag: str


def images_dir() -> Path:
    """The folder of the image files: `DAILIES_IMAGES_DIR`, or `images`."""
    return Path(os.environ.get("DAILIES_IMAGES_DIR") or "images").expanduser()


class Thumbnails:
    """Thumbnails of the files below `root`, with a cache of the most recently used."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._cache: OrderedDict[Version, bytes | None] = OrderedDict()
        self._lock = Lock()
        self._slots = Semaphore(MAX_CONCURRENT)

    def find(self, file_path: str) -> Thumbnail | None:
        """The thumbnail of a file; None if it cannot be shown."""
        for relative in candidates(self._root, file_path):
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
            if version in self._cache:
                self._cache.move_to_end(version)
                content = self._cache[version]
                return Thumbnail(content, etag) if content else None
        with self._slots:
            content = try_to_shrink(file, status.st_size)
        with self._lock:
            self._cache[version] = content
            while len(self._cache) > MAX_CACHED:
                self._cache.popitem(last=False)
        return Thumbnail(content, etag) if content else None


def candidates(root: Path, file_path: str) -> list[Path]:
    """The paths below `root` for a path relative to the working folder, or to `root` itself."""
    if not file_path or "\0" in file_path:
        return []
    top = os.path.abspath(root)  # noqa: PTH100 - does not follow links
    bases = (os.getcwd(), top)  # noqa: PTH109
    found = dict.fromkeys(os.path.abspath(os.path.join(base, file_path)) for base in bases)  # noqa: PTH100, PTH118
    return [Path(path).relative_to(top) for path in found if path.startswith(top + os.sep)]


def open_below(root: Path, relative: Path) -> BinaryIO:
    """Open a regular file; OSError if it is not one, or a part of its path is a symbolic link."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in relative.parts[:-1]:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = below
        # Without O_NONBLOCK, opening a pipe waits for its writer.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(relative.name, flags, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("not a regular file")
    return os.fdopen(descriptor, "rb")


def try_to_shrink(file: BinaryIO, size: int) -> bytes | None:
    """None for a file that is no image, broken or too large; this is cached too."""
    try:
        return shrink(file) if size <= MAX_BYTES else None
    except BROKEN_IMAGE:
        return None


def shrinks_as_read(image: Image.Image) -> bool:
    """True for JPEG, but for a progressive one: it is never in memory in its full size."""
    return image.format in ("JPEG", "MPO") and not image.info.get("progressive")


def shrink(file: BinaryIO) -> bytes:
    """The thumbnail, rotated as its EXIF data says, without any metadata."""
    with Image.open(file, formats=READ) as image:
        if image.width * image.height > (MAX_PIXELS if shrinks_as_read(image) else MAX_DECODED):
            raise ValueError("too many pixels")
        image.draft("RGB", (MAX_SIDE, MAX_SIDE))
        image.thumbnail((MAX_SIDE, MAX_SIDE))
        small = ImageOps.exif_transpose(image)
        written = BytesIO()
        small.convert("RGBA" if small.has_transparency_data else "RGB").save(written, FORMAT)
    return written.getvalue()
