"""Files of the earlier systems, as their own code wrote them, unpacked for a test."""

from __future__ import annotations

import lzma
import sqlite3
import tarfile
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

PACKED = Path(__file__).parent.parent / "data" / "legacy"


def unpack(name: str, folder: Path) -> Path:
    """The file called `name` in `folder`."""
    target = folder / name
    target.write_bytes(content(name))
    return target


@cache
def content(name: str) -> bytes:
    packed = PACKED / f"{name}.xz"
    return lzma.decompress(packed.read_bytes()) if packed.exists() else (PACKED / name).read_bytes()


def unpack_jobs(folder: Path) -> Path:
    """The folder `jobs` of one-job files, with `jobs_manifest.yaml` beside it."""
    with tarfile.open(PACKED / "jobs.tar.xz") as archive:
        for member in filter(tarfile.TarInfo.isfile, archive):
            (folder / member.name).parent.mkdir(exist_ok=True)
            (folder / member.name).write_bytes(read(archive, member))
    return folder / "jobs"


def read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None
    return file.read()


def rows(path: Path, sql: str) -> list[dict[str, Any]]:
    """What a query gives on a file, read as an earlier program would."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        connection.text_factory = lambda value: value.decode("utf-8", "surrogateescape")
        return [dict(row) for row in connection.execute(sql)]
