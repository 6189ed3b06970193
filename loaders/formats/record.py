"""What all readers share: the records they return, and how a file is decoded to text."""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

INCOMPLETE = "the file ends in the middle of this job"
MANIFEST = "is a manifest of job files: import their folder"
MAX_LINE = 1 << 26  # characters
NOT_TEXT = "contains bytes that are not valid UTF-8 (or UTF-16 with a byte order mark)"


class FileRecord(NamedTuple):
    """One record of a file; exactly one of `value` and `error` is None."""

    source: str
    position: str
    value: dict[str, Any] | None
    error: str | None


def is_manifest(value: dict[str, Any]) -> bool:
    """True for the manifest beside a folder of job files: id -> summary with `file_path`."""
    return bool(value) and all(
        isinstance(entry, dict) and "file_path" in entry for entry in value.values()
    )


def lists_of_rows(value: dict[str, Any]) -> list[str]:
    """The keys under which a file with several tables holds rows."""
    return [
        key
        for key, items in value.items()
        if isinstance(items, list) and any(isinstance(item, dict) for item in items)
    ]


def is_file_of_tables(value: dict[str, Any]) -> bool:
    """True for a mapping of nothing but lists of rows."""
    return bool(value) and all(
        isinstance(items, list) and all(isinstance(item, dict) for item in items)
        for items in value.values()
    )


def detect_encoding(head: bytes) -> str:
    """The encoding of a file by its first bytes."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8-sig"


def _replace_with_surrogate(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\udcff", error.end


codecs.register_error("dailies-surrogate", _replace_with_surrogate)


def lines(file: IO[str]) -> Iterator[str]:
    """The lines of a file. One that is too long comes in parts, which readers refuse."""
    while line := file.readline(MAX_LINE):
        yield line


def open_text(path: Path, newline: str = "") -> IO[str]:
    """Open a text file; invalid bytes become lone surrogates, which readers refuse."""
    with path.open("rb") as file:
        encoding = detect_encoding(file.read(2))
    return path.open(encoding=encoding, errors="dailies-surrogate", newline=newline)
