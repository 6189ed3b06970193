"""What every reader of documents shares: the record it gives and the text it takes."""

import codecs
from pathlib import Path
from typing import IO, Any, NamedTuple

INCOMPLETE = "the file ends in the middle of this job"
MANIFEST = "is a manifest of job files: import their folder"
NOT_TEXT = "holds bytes that are no valid text (UTF-8, or UTF-16 with its mark)"


class Record(NamedTuple):
    """One record of a document; exactly one of `value` and `error` is None."""

    source: str
    position: str
    value: dict[str, Any] | None
    error: str | None


def is_manifest(value: dict[str, Any]) -> bool:
    """Is it what stands beside a folder of job files: id -> summary with `file_path`?"""
    return bool(value) and all(
        isinstance(entry, dict) and "file_path" in entry for entry in value.values()
    )


def encoding_of(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8-sig"


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\udcff", error.end


codecs.register_error("dailies-mark", _mark)


def open_text(path: Path, newline: str = "") -> IO[str]:
    """What is no text comes as a lone surrogate, which no record may hold."""
    with path.open("rb") as file:
        encoding = encoding_of(file.read(2))
    return path.open(encoding=encoding, errors="dailies-mark", newline=newline)
