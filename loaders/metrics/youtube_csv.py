"""Reads the public "Trending YouTube Video Statistics" lists.

A list is a CSV file, packed with gzip or not, with one row for each video and day. Counts that a
list does not have are null, and so are the likes or comments of a video for which they are switched
off, which the lists give as 0. A `trending_date` is year.day.month and means the midnight in UTC
with which the day begins. In the older lists `date` is day.month, whose year is taken from the name
of the file.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from datetime import UTC, date
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from loaders.formats import YOUTUBE_TRENDING
from loaders.metrics.list_file import ListFile
from loaders.times import to_instant

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


class InvalidRow(NamedTuple):
    """A row that cannot be read as a snapshot, and why."""

    video_id: str | None
    number: int
    reason: str


class Switches(NamedTuple):
    """Which counts of a row are switched off, and all its switches as JSON members."""

    likes_off: bool
    comments_off: bool
    members: str


class TrendingList:
    """One list; ValueError if the file is none."""

    def __init__(self, path: Path) -> None:
        file = ListFile(path)
        self.stream = csv.reader(iter(file))
        self.lines = file.lines
        self.is_cut = file.has_open_quote
        names = [name.strip() for name in next(self.stream, [])]
        names = [OTHER_NAMES.get(name, name) for name in names]
        for name in NEEDED[:3]:
            if name not in names:
                raise ValueError(f"is no {YOUTUBE_TRENDING} list: it has no column {name}")
        if len(set(names)) < len(names):
            raise ValueError("has two columns of one name")
        self.width = len(names)
        self.index = {name: index for index, name in enumerate(names)}
        self.dates = Dates(path)
        self.categories = read_categories(path)
        self.needed = itemgetter(*(self.index.get(name, self.width) for name in NEEDED))
        self.switch_texts = itemgetter(*(self.index.get(name, self.width) for name in SWITCHES))
        self.switches: dict[tuple[str, ...], Switches] = {}
        known = {*NEEDED, *SWITCHES, *OF_THE_VIDEO}
        self.unknown = [(name, self.index[name]) for name in names if name not in known]

    def rows(self) -> Iterator[Snapshot | InvalidRow]:
        """The rows of the list, in its order."""
        numbered = enumerate(self.stream, start=1)
        number = 0
        while True:
            try:
                for number, cells in numbered:
                    if cells:
                        yield self.row(number, cells)
            except csv.Error as error:  # the reader goes on with the next line
                number += 1
                yield InvalidRow(None, number, f"cannot be read: {error}")
            except ValueError as error:  # of the file: nothing more can be read
                yield InvalidRow(None, number + 1, str(error))
                return
            else:
                return

    def row(self, number: int, cells: list[str]) -> Snapshot | InvalidRow:
        try:
            return self.snapshot(number, cells)
        except ValueError as error:
            return InvalidRow(self.cell(cells, "video_id"), number, str(error))

    def cell(self, cells: list[str], name: str) -> str | None:
        """The row's text in a column; None where it is blank or there is none."""
        index = self.index.get(name, self.width)
        return (cells[index] or None) if index < len(cells) else None

    def snapshot(self, number: int, cells: list[str]) -> Snapshot:
        """ValueError says what is wrong with the row."""
        if self.is_cut and self.stream.line_num == self.lines:
            raise ValueError("the file ends in the middle of this row")
        if len(cells) != self.width:
            raise ValueError(f"has {len(cells)} cells where the header has {self.width}")
        cells.append("")  # read for columns that the list does not have
        video_id, date_text, *numbers = self.needed(cells)
        if not VIDEO_ID.fullmatch(video_id):
            raise ValueError(self.no_video_id(video_id, cells))
        day = self.dates.known.get(date_text) or self.dates.instant(date_text)
        texts = self.switch_texts(cells)
        switches = self.switches.get(texts) or self.read_switches(texts)
        views, likes, dislikes, comments = map(whole, NUMBERS, numbers)
        if likes == 0 and switches.likes_off:
            likes = None
        if comments == 0 and switches.comments_off:
            comments = None
        return Snapshot(
            video_id,
            day,
            views,
            likes,
            comments,
            self.metadata_of_day(dislikes, switches, cells),
            number,
            cells,
        )

    def read_switches(self, texts: tuple[str, ...]) -> Switches:
        values = {name: switch(name, text) for name, text in zip(SWITCHES, texts, strict=True)}
        members = "".join(
            f', "{name}": {json.dumps(value)}'
            for name, value in values.items()
            if name in self.index
        )
        self.switches[texts] = Switches(
            bool(values["ratings_disabled"]), bool(values["comments_disabled"]), members
        )
        return self.switches[texts]

    def no_video_id(self, text: str, cells: list[str]) -> str:
        reason = f'video_id: "{text}" is no id of a YouTube video'
        found = THUMBNAIL.search(self.cell(cells, "thumbnail_link") or "")
        return f"{reason}; the thumbnail is that of {found[1]}" if found else reason

    def metadata_of_day(self, dislikes: int | None, switches: Switches, cells: list[str]) -> str:
        known = f'{{"dislikes": {"null" if dislikes is None else dislikes}{switches.members}'
        if not self.unknown:
            return known + "}"
        unknown = {name: cells[index] or None for name, index in self.unknown}
        return f"{known}, {json.dumps(unknown, ensure_ascii=False)[1:]}"

    def video(self, snapshot: Snapshot) -> dict[str, Any]:
        """The row of `video_metadata` that a snapshot's cells describe."""
        texts = {name: self.cell(snapshot.cells, name) for name in OF_THE_VIDEO}
        description = texts["description"]
        posted_at = texts["publish_time"]
        category = texts["category_id"]
        metadata = {
            "trending_date": snapshot.day[:10],
            "category_id": category,
            "channel_title": texts["channel_title"],
            "tags": tags_of(texts["tags"]),
            "thumbnail_link": texts["thumbnail_link"],
        }
        present = {name: value for name, value in metadata.items() if value is not None}
        return {
            "video_id": snapshot.video_id,
            "title": texts["title"],
            "description": description and description.replace("\\n", "\n"),
            "topic": self.categories.get(category or ""),
            "posted_at": posted_at and to_instant(posted_at, UTC),
            "metadata": json.dumps(present, ensure_ascii=False),
        }


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
    """Names of categories; `US_category_id.json` beside a list `USvideos...` adds to them."""
    file = path.with_name(f"{path.name[:2]}_category_id.json")
    if not file.is_file():
        return CATEGORIES
    try:
        items = json.loads(file.read_text(encoding="utf-8"))["items"]
        return CATEGORIES | {str(item["id"]): str(item["snippet"]["title"]) for item in items}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file.name} beside it is no list of categories") from error


class Dates:
    """Reads the dates of one list, each once."""

    def __init__(self, path: Path) -> None:
        years = set(YEAR.findall(path.name))
        self.year = int(years.pop()) if len(years) == 1 else None
        self.known: dict[str, str] = {}
        self.has_padded_months = False
        self.latest_month = 1

    def instant(self, text: str) -> str:
        """The instant with which the day begins; ValueError if the text is no date."""
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
