"""Import campaigns in the browser: files are uploaded, previewed by a dry run, then imported.

The pages are in plugins/campaign_import.py. Uploads are kept in a temporary folder, a few of them.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from datasette import Request
from datasette.app import Datasette

from dailies.datasette_compat import BadRequest
from dailies.errors import FAILURES, RequestError, request_error
from dailies.storage.databases import write_to_database
from dailies.web.pages.campaigns import Change, change
from loaders.campaigns.batches import BatchImport, FileImport, RolledBack
from loaders.campaigns.diff import compare
from loaders.campaigns.files import Entry
from loaders.formats.files import SUFFIXES
from loaders.import_report import ImportReport

MAX_BYTES = 20_000_000
MAX_PASTED = 1_000_000
MAX_UPLOADS = 10
MAX_SHOWN = 50  # of new, changed and broken campaigns each
MAX_CHANGES = 20  # of one campaign
MAX_TEXT = 500  # characters of a value or a reason
CHUNK = 1 << 16
FORMATS = ("yaml", "json", "ndjson", "csv")
SECONDS_TO_WAIT = 2.0  # for the end, before the page of progress is shown

READING, READY, IMPORTING, DONE, FAILED = "reading", "ready", "importing", "done", "failed"


class Shown(NamedTuple):
    """A campaign of a preview: what the import would change in it."""

    position: str
    id: str
    name: str
    changes: list[Change]
    more: bool


@dataclass
class Preview:
    """What an import would do. `report` counts all campaigns; the lists have the first ones."""

    report: ImportReport
    new: list[Shown] = field(default_factory=list)
    changed: list[Shown] = field(default_factory=list)
    broken: list[dict[str, Any]] = field(default_factory=list)

    def add(self, entry: Entry, before: dict[str, Any] | None) -> None:
        shown = self.new if before is None else self.changed
        if len(shown) < MAX_SHOWN:
            shown.append(described(entry, before))


@dataclass(eq=False)
class Upload:
    """An uploaded file of `actor`, and how far its preview or import is."""

    id: str
    actor: str
    name: str
    folder: tempfile.TemporaryDirectory[str]
    path: Path
    format: str | None
    state: str = READING
    found: int = 0
    preview: Preview | None = None
    report: ImportReport | None = None
    broken: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""
    task: asyncio.Task[None] | None = None

    @property
    def is_busy(self) -> bool:
        return self.state in (READING, IMPORTING)


@dataclass
class Uploads:
    """The uploads of one server, oldest first; one at a time is read."""

    kept: dict[str, Upload] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def add(self, upload: Upload) -> None:
        self.kept[upload.id] = upload
        idle = (one.id for one in list(self.kept.values()) if not one.is_busy)
        for key in islice(idle, max(0, len(self.kept) - MAX_UPLOADS)):
            self.kept.pop(key).folder.cleanup()


_uploads: WeakKeyDictionary[Datasette, Uploads] = WeakKeyDictionary()


def uploads_of(datasette: Datasette) -> Uploads:
    return _uploads.setdefault(datasette, Uploads())


def find(datasette: Datasette, key: str, actor: str) -> Upload | None:
    """The upload, if this actor made it."""
    upload = uploads_of(datasette).kept.get(key)
    return upload if upload and upload.actor == actor else None


async def receive(datasette: Datasette, request: Request, actor: str) -> Upload:
    """Store the submitted file or text. RequestError if there is none, or it is too large."""
    if sum(one.is_busy for one in uploads_of(datasette).kept.values()) >= MAX_UPLOADS:
        raise RequestError(503, "Other imports are running: try again later", {"Retry-After": "60"})
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > MAX_BYTES + MAX_PASTED:
        raise RequestError(413, f"The file is larger than {MAX_BYTES:,} bytes")
    folder = tempfile.TemporaryDirectory(prefix="dailies-import-")
    try:
        return await stored(request, actor, folder)
    except BaseException:
        folder.cleanup()
        raise


async def stored(request: Request, actor: str, folder: tempfile.TemporaryDirectory[str]) -> Upload:
    try:
        form = await request.form(
            files=True,
            max_file_size=MAX_BYTES,
            max_request_size=MAX_BYTES + MAX_PASTED,
            max_fields=10,
            max_files=1,
            max_field_size=MAX_PASTED,
            max_memory_file_size=CHUNK,
        )
    except BadRequest as error:
        raise RequestError(400, f"{error}. A file may have {MAX_BYTES:,} bytes") from error
    async with form:
        file, text, kind = form.get("file"), form.get("text") or "", form.get("format") or ""
        if kind and kind not in FORMATS:
            raise RequestError(400, f"format: must be one of {', '.join(FORMATS)}")
        name = getattr(file, "filename", "") or "pasted text"
        path = Path(folder.name) / f"upload{suffix_of(name)}"
        if name != "pasted text":
            await save(file, path)
        elif isinstance(text, str) and text.strip():
            path.write_text(text, encoding="utf-8", errors="replace", newline="")
        else:
            raise RequestError(400, "Choose a file or paste text")
    return Upload(secrets.token_urlsafe(16), actor, name[:200], folder, path, kind or None)


def suffix_of(name: str) -> str:
    suffix = Path(name).suffix.lower()
    return suffix if suffix in SUFFIXES else ""


async def save(file: Any, path: Path) -> None:
    with path.open("wb") as target:
        while chunk := await file.read(CHUNK):
            await asyncio.to_thread(target.write, chunk)


async def start_preview(datasette: Datasette, upload: Upload) -> None:
    uploads_of(datasette).add(upload)
    await start(datasette, upload, READING, READY, "update")


async def start_import(datasette: Datasette, upload: Upload, on_conflict: str) -> None:
    """Import a file that was previewed, once."""
    if upload.state == READY:
        await start(datasette, upload, IMPORTING, DONE, on_conflict)


async def start(
    datasette: Datasette, upload: Upload, state: str, then: str, on_conflict: str
) -> None:
    """Begin, and wait for a short time, in which most files are done."""
    upload.state, upload.found = state, 0
    upload.task = asyncio.create_task(work(datasette, upload, then, on_conflict))
    await asyncio.wait([upload.task], timeout=SECONDS_TO_WAIT)


async def work(datasette: Datasette, upload: Upload, then: str, on_conflict: str) -> None:
    importer = FileImport(
        upload.path, upload.format, on_conflict, upload.actor, dry_run=then == READY
    )
    preview = Preview(importer.report)
    try:
        async with uploads_of(datasette).lock:
            await run(datasette, upload, importer, preview)
        upload.state = then
    except (*FAILURES, OSError) as error:
        upload.error = cleaned(upload, "; ".join(request_error(error).messages))
        upload.state = FAILED
    finally:
        if upload.is_busy:
            upload.error, upload.state = "The server could not finish this", FAILED
        preview.broken = broken(upload, importer.report)
        if importer.dry_run:
            upload.preview = preview
        else:
            upload.report, upload.broken = importer.report, preview.broken


async def run(datasette: Datasette, upload: Upload, importer: FileImport, preview: Preview) -> None:
    while entries := await asyncio.to_thread(importer.take):
        while entries:
            batch, number = await store(datasette, importer, entries)
            for entry, before in importer.finish(batch, entries, number):
                preview.add(entry, before)
            upload.found = importer.report.found


async def store(
    datasette: Datasette, importer: FileImport, entries: deque[Entry]
) -> tuple[BatchImport, int]:
    try:
        return await write_to_database(
            datasette, "campaigns", lambda connection: importer.store(connection, entries)
        )
    except RolledBack as rolled_back:
        batch, number = rolled_back.args
        return batch, number


def described(entry: Entry, before: dict[str, Any] | None) -> Shown:
    differences = [] if before is None else list(changes_in(before, entry.job))
    name = entry.job.get("job_name")
    return Shown(
        entry.origin.position,
        entry.job_id,
        name[:MAX_TEXT] if isinstance(name, str) and name else entry.job_id,
        differences[:MAX_CHANGES],
        len(differences) > MAX_CHANGES,
    )


def changes_in(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
    for one in islice(map(change, compare(before, after, "")), MAX_CHANGES + 1):
        yield Change(one.path[:MAX_TEXT], *(text and text[:MAX_TEXT] for text in one[1:]))


def broken(upload: Upload, report: ImportReport) -> list[dict[str, Any]]:
    return [
        {**error, "reason": cleaned(upload, error["reason"])} for error in report.errors[:MAX_SHOWN]
    ]


def cleaned(upload: Upload, message: str) -> str:
    """A message without the path of the temporary file."""
    return message.replace(str(upload.path), upload.name)[:MAX_TEXT]
