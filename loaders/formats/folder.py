"""Reads and writes a folder of YAML files with one job each, and its manifest.

The manifest, which earlier programs list jobs from, is in the folder; that of a folder `jobs` is
beside it, in the folder of the configuration.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from loaders.formats.json_form import encode_key
from loaders.formats.json_writer import json_text
from loaders.formats.record import FileRecord
from loaders.formats.yaml_reader import read_yaml_job
from loaders.formats.yaml_truncation import CommonKeys
from loaders.formats.yaml_writer import yaml_document

MANIFEST_NAME = "jobs_manifest.yaml"
JOBS = "jobs"

Summary = Callable[[dict[str, Any]], dict[str, Any]]  # of a record, for the manifest

_MAX_NAME = 150  # bytes, with room for suffixes that other tools add to a file name
_UNSAFE = re.compile(r"""[%/\\:*?"<>|\x00-\x1f\x7f]|^\.|[. ]\Z""")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?=\.|\Z)", re.IGNORECASE)


def read_folder(path: Path, text_fields: frozenset[str], list_key: str) -> Iterator[FileRecord]:
    """The jobs of a folder, and of the folder `jobs` in it, by file name; manifests are skipped."""
    common = CommonKeys()
    inner = path / JOBS
    for file in (*sorted(path.iterdir()), *(sorted(inner.iterdir()) if inner.is_dir() else ())):
        if file.suffix.lower() not in (".yaml", ".yml") or file.is_dir():
            continue
        try:
            yield from read_yaml_job(file, text_fields, list_key, common)
        except OSError as error:
            yield FileRecord(str(file), "line 1", None, f"cannot be read: {error.strerror}")


def write_folder(
    path: Path,
    records: Iterable[dict[str, Any]],
    text_fields: frozenset[str] = frozenset(),
    summary: Summary | None = None,
) -> dict[str, Any]:
    """Write each record to a file named after its id, which the record itself contains too.

    Returns the entries of the manifest: a summary of each record, with the name of its file.
    """
    path.mkdir(parents=True, exist_ok=True)
    manifest: dict[str, Any] = {}
    taken = {_normalized(Path(MANIFEST_NAME).stem)}
    for record in records:
        name = _file_name(record, taken)
        write_document(path / name, record, text_fields)
        if summary:
            manifest[encode_key(str(record.get("id")))] = {**summary(record), "file_path": name}
    return manifest


def write_document(
    path: Path, document: dict[str, Any], text_fields: frozenset[str] = frozenset()
) -> None:
    path.write_text(yaml_document(document, text_fields), encoding="utf-8", newline="")


def _file_name(record: dict[str, Any], taken: set[str]) -> str:
    """A name valid on every system; names differ in more than case and Unicode normalization."""
    key = record.get("id")
    stem = key if isinstance(key, str) else "" if key is None else json_text(key)
    name = _UNSAFE.sub(lambda match: f"%{ord(match[0]):02X}", stem)
    if _RESERVED.match(name):
        name = f"%{ord(name[0]):02X}{name[1:]}"
    if not name or len(name.encode()) > _MAX_NAME or _normalized(name) in taken:
        digest = hashlib.sha256((stem or json_text(record)).encode()).hexdigest()
        name = _with_digest(name, taken, digest)
    taken.add(_normalized(name))
    return f"{name}.yaml"


def _with_digest(name: str, taken: set[str], digest: str) -> str:
    start = name.encode()[: _MAX_NAME - 20].decode(errors="ignore")
    start = re.sub(r"%.?\Z", "", start)
    size = 8
    while _normalized(f"{start}~{digest[:size]}") in taken and size < len(digest):
        size += 8
    return f"{start}~{digest[:size]}"


def _normalized(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
