"""Imports the public "Trending YouTube Video Statistics" lists into `metrics`.

A list is a CSV file, packed with gzip or not, with one row for each video and day. The numbers of
the day become a snapshot on the platform `youtube`, and what its latest day says of a video becomes
its metadata. Columns that have none of their own here go into `metadata` as JSON: those of the day
(dislikes, switches, columns that we do not know) with the snapshot, the others with the video.

What the lists leave unsaid stays null: shares, saves, watch time, and also the likes or comments
of a video on which they are switched off, which the lists give as 0. A `trending_date` is
year.day.month and stands for the midnight in UTC with which the day begins. In the older lists
`date` is day.month, whose year the name of the file has to tell.
"""

from __future__ import annotations

import codecs
import csv
import gc
import gzip
import io
import json
import re
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, date
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from loaders.conflicts import GIVEN_TWICE, resolve_conflict
from loaders.connections import Connection, bulk_cache, count_rows, sqlite_connection
from loaders.formats import YOUTUBE_TRENDING
from loaders.import_options import (
    DEFAULT_OPTIONS,
    ImportOptions,
    RowProgress,
    import_transaction,
)
from loaders.import_report import ImportReport, Origin
from loaders.migrations.metrics import FIND_LATEST, FORGET_LATEST, PAUSE, RESUME, TABLES, bulk_load
from loaders.times import now, to_instant

PLATFORM = "youtube"
GZIP_MARK = b"\x1f\x8b"
BATCH_ROWS = 5_000

NUMBERS = ("views", "likes", "dislikes", "comment_count")
NEEDED = ("video_id", "trending_date", *NUMBERS)
SWITCHES = ("comments_disabled", "ratings_disabled", "video_error_or_removed")
OF_THE_VIDEO = (
    "title",
    "description",
    "category_id",
    "publish_time",
    "channel_title",
    "tags",
    "thumbnail_link",
)
OTHER_NAMES = {"comment_total": "comment_count", "date": "trending_date"}
SWITCH = {"true": True, "false": False, "": None}

VIDEO_ID = re.compile(r"[\w-]{11}", re.ASCII)
THUMBNAIL = re.compile(r"/vi/([\w-]{11})/", re.ASCII)
OUR_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
YEAR_DAY_MONTH = re.compile(r"(\d\d)\.(\d\d)\.(\d\d)", re.ASCII)
DAY_MONTH = re.compile(r"(\d\d?)\.(\d\d?)", re.ASCII)
YEAR = re.compile(r"(?<!\d)20\d\d(?!\d)", re.ASCII)

# YouTube's names of its categories, which are the same in every country.
CATEGORIES = {
    "1": "Film & Animation",
    "2": "Autos & Vehicles",
    "10": "Music",
    "15": "Pets & Animals",
    "17": "Sports",
    "18": "Short Movies",
    "19": "Travel & Events",
    "20": "Gaming",
    "21": "Videoblogging",
    "22": "People & Blogs",
    "23": "Comedy",
    "24": "Entertainment",
    "25": "News & Politics",
    "26": "Howto & Style",
    "27": "Education",
    "28": "Science & Technology",
    "29": "Nonprofits & Activism",
    "30": "Movies",
    "31": "Anime/Animation",
    "32": "Action/Adventure",
    "33": "Classics",
    "34": "Comedy",
    "35": "Documentary",
    "36": "Drama",
    "37": "Family",
    "38": "Foreign",
    "39": "Horror",
    "40": "Sci-Fi/Fantasy",
    "41": "Thriller",
    "42": "Shorts",
    "43": "Shows",
    "44": "Trailers",
}

INSERT_SNAPSHOT = f"""
insert into video_metrics (
  video_id, platform, views, likes, comments, shares, saves, watch_time_seconds,
  engagement_rate, timestamp, metadata, measured_at, created_at
)
values (
  ?1, '{PLATFORM}', ?3, ?4, ?5, null, null, null,
  case ?3 when 0 then 0.0 else min(1.0, (coalesce(?4, 0) + coalesce(?5, 0)) * 1.0 / ?3) end,
  ?2, ?6, ?2, ?7
)
"""  # noqa: S608

FIND_SNAPSHOT = f"""
select id, views, likes, comments, metadata
from video_metrics
where video_id = ?
  and platform = '{PLATFORM}'
  and measured_at = ?
order by id desc
limit 1
"""  # noqa: S608

UPDATE_SNAPSHOT = """
update video_metrics
set
  views = ?1,
  likes = ?2,
  comments = ?3,
  metadata = json_patch(case when json_valid(metadata) then metadata else '{}' end, ?4),
  engagement_rate = null
where id = ?5
"""

LATEST_OF_VIDEO = {"video": ":video_id", "platform": f"'{PLATFORM}'"}
REFRESH_LATEST = (FORGET_LATEST.format(**LATEST_OF_VIDEO), FIND_LATEST.format(**LATEST_OF_VIDEO))

INSERT_VIDEO = """
insert into video_metadata (video_id, title, description, topic, posted_at, status, metadata)
values (:video_id, :title, :description, :topic, :posted_at, 'posted', :metadata)
"""

OBJECT = "case when json_valid(metadata) then metadata else '{}' end"

FIND_VIDEO = f"""
select {OBJECT} ->> '$.trending_date'
from video_metadata
where video_id = ?
"""  # noqa: S608

# The topic that others gave names the trend that they made the video for.
UPDATE_VIDEO = f"""
update video_metadata
set
  title = coalesce(:title, title),
  description = coalesce(:description, description),
  topic = case when {OBJECT} ->> '$.trending_date' is null then coalesce(topic, :topic)
    else coalesce(:topic, topic) end,
  posted_at = coalesce(:posted_at, posted_at),
  metadata = json_patch({OBJECT}, :metadata)
where video_id = :video_id
"""  # noqa: S608


class Snapshot(NamedTuple):
    """One row of a list. `day` is an instant, `metadata` JSON, `cells` the row as it was read."""

    video_id: str
    day: str
    views: int | None
    likes: int | None
    comments: int | None
    metadata: str
    number: int
    cells: list[str]


class Refused(NamedTuple):
    """A row that no snapshot can be made of."""

    video_id: str | None
    number: int
    reason: str


class Switched(NamedTuple):
    """What a row's switches say: which counts are off, and all of it as JSON members."""

    likes_off: bool
    comments_off: bool
    members: str


def rows(path: Path) -> Iterator[Snapshot | Refused]:
    """The rows of a list, in its order. ValueError for a file that is none."""
    return Listing(path).rows()


def read_bytes(path: Path) -> bytes:
    """The file, unpacked. Its lines end with a line feed.

    Carriage returns elsewhere are debris, be they in quotes or not.
    """
    data = path.read_bytes()
    if data.startswith(GZIP_MARK):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"cannot be unpacked: {error}") from error
    return data.replace(b"\r", b"") if b"\n" in data else data.replace(b"\r", b"\n")


def is_utf8(data: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(data)
    step = 1 << 20
    try:
        for start in range(0, len(view), step):
            decoder.decode(view[start : start + step], final=start + step >= len(view))
    except UnicodeDecodeError:
        return False
    return True


class Listing:
    """One list: where its columns are, and how its rows are read.

    It is UTF-8, or else windows-1252, which spreadsheets write.
    """

    def __init__(self, path: Path) -> None:
        data = read_bytes(path)
        encoding = "utf-8-sig" if is_utf8(data) else "cp1252"
        text = io.TextIOWrapper(io.BytesIO(data), encoding, "replace", newline="")
        self.stream = csv.reader(text)
        self.lines = data.count(b"\n") + 1
        self.is_cut = data[data.rfind(b"\n") + 1 :].count(b'"') % 2 == 1
        names = [name.strip() for name in next(self.stream, [])]
        names = [OTHER_NAMES.get(name, name) for name in names]
        for name in NEEDED[:3]:
            if name not in names:
                raise ValueError(f"is no {YOUTUBE_TRENDING} list: it has no column {name}")
        if len(set(names)) < len(names):
            raise ValueError("has two columns of one name")
        self.width = len(names)
        self.place = {name: place for place, name in enumerate(names)}
        self.dates = Dates(path)
        self.categories = read_categories(path)
        self.needed = itemgetter(*(self.place.get(name, self.width) for name in NEEDED))
        self.switch_texts = itemgetter(*(self.place.get(name, self.width) for name in SWITCHES))
        self.switched: dict[tuple[str, ...], Switched] = {}
        known = {*NEEDED, *SWITCHES, *OF_THE_VIDEO}
        self.unknown = [(name, self.place[name]) for name in names if name not in known]

    def rows(self) -> Iterator[Snapshot | Refused]:
        numbered = enumerate(self.stream, start=1)
        number = 0
        while True:
            try:
                for number, cells in numbered:
                    if cells:
                        yield self.row(number, cells)
            except csv.Error as error:
                number += 1
                yield Refused(None, number, f"cannot be read: {error}")
            else:
                return

    def row(self, number: int, cells: list[str]) -> Snapshot | Refused:
        try:
            return self.snapshot(number, cells)
        except ValueError as error:
            return Refused(self.cell(cells, "video_id"), number, str(error))

    def cell(self, cells: list[str], name: str) -> str | None:
        """The row's text in a column; None where it is blank or there is none."""
        place = self.place.get(name, self.width)
        return (cells[place] or None) if place < len(cells) else None

    def snapshot(self, number: int, cells: list[str]) -> Snapshot:
        """ValueError says what is wrong with the row."""
        if self.is_cut and self.stream.line_num == self.lines:
            raise ValueError("the file ends in the middle of this row")
        if len(cells) != self.width:
            raise ValueError(f"has {len(cells)} cells where the header has {self.width}")
        cells.append("")  # which columns that the list does not have refer to
        video_id, date_text, *numbers = self.needed(cells)
        if not VIDEO_ID.fullmatch(video_id):
            raise ValueError(self.no_video_id(video_id, cells))
        day = self.dates.known.get(date_text) or self.dates.instant(date_text)
        switches = self.switch_texts(cells)
        switched = self.switched.get(switches) or self.read_switches(switches)
        views, likes, dislikes, comments = map(whole, NUMBERS, numbers)
        if likes == 0 and switched.likes_off:
            likes = None
        if comments == 0 and switched.comments_off:
            comments = None
        return Snapshot(
            video_id,
            day,
            views,
            likes,
            comments,
            self.metadata_of_day(dislikes, switched, cells),
            number,
            cells,
        )

    def read_switches(self, texts: tuple[str, ...]) -> Switched:
        values = {name: switch(name, text) for name, text in zip(SWITCHES, texts, strict=True)}
        members = "".join(
            f', "{name}": {json.dumps(value)}'
            for name, value in values.items()
            if name in self.place
        )
        self.switched[texts] = Switched(
            bool(values["ratings_disabled"]), bool(values["comments_disabled"]), members
        )
        return self.switched[texts]

    def no_video_id(self, text: str, cells: list[str]) -> str:
        reason = f'video_id: "{text}" is no id of a YouTube video'
        found = THUMBNAIL.search(self.cell(cells, "thumbnail_link") or "")
        return f"{reason}; the thumbnail is that of {found[1]}" if found else reason

    def metadata_of_day(self, dislikes: int | None, switched: Switched, cells: list[str]) -> str:
        known = f'{{"dislikes": {"null" if dislikes is None else dislikes}{switched.members}'
        if not self.unknown:
            return known + "}"
        unknown = {name: cells[place] or None for name, place in self.unknown}
        return f"{known}, {json.dumps(unknown, ensure_ascii=False)[1:]}"

    def video(self, snapshot: Snapshot) -> dict[str, Any]:
        """What the row says of the video, by columns of `video_metadata`."""
        said = {name: self.cell(snapshot.cells, name) for name in OF_THE_VIDEO}
        description = said["description"]
        posted_at = said["publish_time"]
        category = said["category_id"]
        metadata = {
            "trending_date": snapshot.day[:10],
            "category_id": category,
            "channel_title": said["channel_title"],
            "tags": tags_of(said["tags"]),
            "thumbnail_link": said["thumbnail_link"],
        }
        present = {name: value for name, value in metadata.items() if value is not None}
        return {
            "video_id": snapshot.video_id,
            "title": said["title"],
            "description": description and description.replace("\\n", "\n"),
            "topic": self.categories.get(category or ""),
            "posted_at": posted_at and instant_of(posted_at),
            "metadata": json.dumps(present, ensure_ascii=False),
        }


def instant_of(time: str) -> str:
    """In our form, which is that of the lists."""
    return time if OUR_TIME.fullmatch(time) else to_instant(time, UTC)


def whole(name: str, text: str) -> int | None:
    if text.isdecimal() and text.isascii() and len(text) <= 18:
        return int(text)
    if text == "":
        return None
    raise ValueError(f'{name}: "{text}" is no whole number')


def switch(name: str, text: str) -> bool | None:
    try:
        return SWITCH[text.lower()]
    except KeyError:
        raise ValueError(f'{name}: "{text}" is neither True nor False') from None


def tags_of(text: str | None) -> list[str] | None:
    """`a|"b"|"c"` as a list; `[none]` is an empty one."""
    if text is None:
        return None
    return [] if text == "[none]" else [tag.strip('"') for tag in text.split("|")]


def read_categories(path: Path) -> dict[str, str]:
    """Names of categories, those of `US_category_id.json` first for a list called `USvideos...`."""
    file = path.with_name(f"{path.name[:2]}_category_id.json")
    if not file.is_file():
        return CATEGORIES
    try:
        items = json.loads(file.read_text(encoding="utf-8"))["items"]
        return CATEGORIES | {str(item["id"]): str(item["snippet"]["title"]) for item in items}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file.name} beside it is no list of categories") from error


class Dates:
    """The days of one list, each read once."""

    def __init__(self, path: Path) -> None:
        years = set(YEAR.findall(path.name))
        self.year = int(years.pop()) if len(years) == 1 else None
        self.known: dict[str, str] = {}
        self.has_padded_months = False
        self.latest_month = 1

    def instant(self, text: str) -> str:
        """The instant with which the day begins. ValueError for what is no day."""
        found = self.known.get(text)
        if found is None:
            found = self.known[text] = f"{self.day(text).isoformat()}T00:00:00.000Z"
        return found

    def day(self, text: str) -> date:
        try:
            if parts := YEAR_DAY_MONTH.fullmatch(text):
                year, day, month = map(int, parts.groups())
                return date(2000 + year, month, day)
            if parts := DAY_MONTH.fullmatch(text):
                return self.day_without_year(*parts.groups())
        except ValueError as error:
            raise ValueError(f'the date "{text}": {error}') from error
        raise ValueError(f'the date "{text}" is neither year.day.month nor day.month')

    def day_without_year(self, day: str, month: str) -> date:
        """A spreadsheet takes 13.10 for a number and writes 13.1."""
        if self.year is None:
            raise ValueError("has no year, and neither has the file's name (as USvideos_2017.csv)")
        self.has_padded_months |= month.startswith("0")
        if month == "1":
            if not self.has_padded_months:
                raise ValueError("may be in January or in October")
            month = "10"
        found = date(self.year, int(month), int(day))
        if found.month < self.latest_month:
            raise ValueError("comes after a later month, so that its year is unclear")
        self.latest_month = found.month
        return found


def load(
    db: Connection,
    paths: Iterable[Path],
    options: ImportOptions = DEFAULT_OPTIONS,
) -> ImportReport:
    """Store the rows of lists in one transaction; a row's key is its video and day."""
    report = ImportReport()
    with (
        bulk_cache(sqlite_connection(db)),
        without_garbage_collection(),
        import_transaction(db, "video_metrics", options, report) as connection,
    ):
        for path in paths:
            try:
                loading = Loading(connection, path, options.on_conflict, report)
            except (ValueError, OSError) as error:
                report.found += 1
                report.fail(str(path), "line 1", None, str(error))
            else:
                loading.run(options.progress)
    return report


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Rows hold no cycles, and looking for some among so many takes a tenth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class Loading:
    """One list at work. Into empty tables it goes past triggers and indexes."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path, on_conflict: str, report: ImportReport
    ) -> None:
        self.connection = connection
        self.source = str(path)
        self.listing = Listing(path)
        self.on_conflict = on_conflict
        self.report = report
        self.moment = now()
        self.fresh = not any(count_rows(connection, table) for table in TABLES)
        self.met: dict[tuple[str, str], int] = {}
        self.batch: list[tuple[Any, ...]] = []
        self.grown: set[str] = set()  # videos with new snapshots
        self.latest: dict[str, Snapshot] = {}

    def run(self, progress: RowProgress) -> None:
        with bulk_load(self.connection) if self.fresh else nullcontext():
            for row in self.listing.rows():
                self.report.found += 1
                progress(1)
                if isinstance(row, Refused):
                    self.fail(row, row.reason)
                else:
                    self.meet(row)
                    if len(self.batch) == BATCH_ROWS:
                        self.insert_batch()
            self.insert_batch()
            self.describe_videos()
        if not self.fresh:
            for statement in REFRESH_LATEST:
                self.connection.executemany(statement, [{"video_id": one} for one in self.grown])

    def meet(self, row: Snapshot) -> None:
        key, content = row[:2], hash("\0".join(row.cells))
        if key in self.met:
            self.meet_again(row, self.met[key] == content)
            return
        self.met[key] = content
        stored = None if self.fresh else self.find(key)
        if stored is None:
            self.batch.append((*row[:6], self.moment))
            self.remember(row)
        elif says_nothing_else(row, stored):
            self.report.skipped += 1
            self.remember(row)
        else:
            resolve_conflict(
                self.on_conflict, self.report, self.origin(row), lambda: self.update(row, stored[0])
            )

    def meet_again(self, row: Snapshot, is_same: bool) -> None:
        if is_same:
            self.report.skipped += 1
        else:
            self.fail(row, GIVEN_TWICE)

    def find(self, key: tuple[str, str]) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self.connection.execute(FIND_SNAPSHOT, key).fetchone()
        return row

    def insert_batch(self) -> None:
        self.connection.execute(PAUSE)
        self.connection.executemany(INSERT_SNAPSHOT, self.batch)
        self.connection.execute(RESUME)
        self.report.imported += len(self.batch)
        if not self.fresh:
            self.grown.update(video_id for video_id, *_ in self.batch)
        self.batch.clear()

    def remember(self, row: Snapshot) -> None:
        """The latest day's row describes the video."""
        video_id, day = row[:2]
        before = self.latest.get(video_id)
        if before is None or day >= before[1]:
            self.latest[video_id] = row

    def update(self, row: Snapshot, stored_id: int) -> None:
        changes = (row.views, row.likes, row.comments, row.metadata, stored_id)
        self.connection.execute(UPDATE_SNAPSHOT, changes)
        self.remember(row)

    def describe_videos(self) -> None:
        if self.fresh:
            self.connection.executemany(INSERT_VIDEO, map(self.listing.video, self.latest.values()))
            return
        for row in self.latest.values():
            known = self.connection.execute(FIND_VIDEO, row[:1]).fetchone()
            if known is None:
                self.connection.execute(INSERT_VIDEO, self.listing.video(row))
            elif self.knows_better(row, known[0]):
                self.connection.execute(UPDATE_VIDEO, self.listing.video(row))

    def knows_better(self, row: Snapshot, listed_on: str | None) -> bool:
        """A later day's list does; what others say of a video only gives way to an update."""
        if self.on_conflict == "update":
            return row.day[:10] >= (listed_on or "")
        return listed_on is not None and row.day[:10] > listed_on

    def fail(self, row: Snapshot | Refused, reason: str) -> None:
        self.report.fail(*self.origin(row), reason)

    def origin(self, row: Snapshot | Refused) -> Origin:
        return Origin(self.source, f"row {row.number}", row.video_id)


def says_nothing_else(row: Snapshot, stored: tuple[Any, ...]) -> bool:
    """Does the stored snapshot hold whatever the row says?"""
    _, *counts, metadata = stored
    if counts != [row.views, row.likes, row.comments]:
        return False
    if metadata == row.metadata:
        return True
    try:
        held = json.loads(metadata or "{}")
    except ValueError:
        return False
    return isinstance(held, dict) and json.loads(row.metadata).items() <= held.items()
