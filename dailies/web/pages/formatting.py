"""How values look to people, as HTML that is safe whatever the values hold.

Each function answers None for a value that it cannot show better than it is.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from markupsafe import Markup, escape

from loaders.times import to_instant

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
EPOCH = re.compile(r"\d{9,14}(\.\d*)?", re.ASCII)
FIRST_MILLISECONDS = 1e11  # a number below it counts seconds
WEB_ADDRESS = re.compile(r"https?://[^\s/?#]+[^\s]*", re.IGNORECASE)

RELATIVE = timedelta(days=7)
SOON = timedelta(seconds=45)
UNITS = (("day", 86400), ("hour", 3600), ("minute", 60))
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# The colour of a status; the word always stands beside it.
MOODS = {
    "waits": ("draft", "preparing", "queued"),
    "runs": ("processing", "rendered", "running"),
    "good": ("completed", "insert", "posted", "public"),
    "bad": ("delete", "failed"),
    "over": ("archived", "cancelled", "private", "unlisted", "update"),
}
MOOD_OF = {status: mood for mood, statuses in MOODS.items() for status in statuses}

SHORT_TEXT = 160
SHORT_JSON = 60
MOST_LEVELS = 60


def moment(value: Any) -> datetime | None:
    """The instant that a stored time names, in any of its spellings; UTC where it names no zone."""
    text = str(value).strip()
    try:
        if EPOCH.fullmatch(text):
            number = float(text)
            seconds = number if number < FIRST_MILLISECONDS else number / 1000
            return datetime.fromtimestamp(seconds, UTC)
        instant = to_instant(text, UTC)
        return datetime.fromisoformat(instant) if INSTANT.fullmatch(instant) else None
    except (OverflowError, OSError, ValueError):
        return None


def when(value: Any, now: datetime | None = None) -> Markup | None:
    """A time as people say it; as it is stored, on hover."""
    instant = moment(value)
    if instant is None:
        return None
    told = spoken(instant, now or datetime.now(UTC))
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        instant.isoformat(timespec="milliseconds"), exact(value, instant), told
    )


def exact(value: Any, instant: datetime) -> str:
    """The stored text; with what it means where that is not plain to see."""
    text = str(value)
    return text if INSTANT.fullmatch(text) else f"{text} ({instant:%Y-%m-%d %H:%M:%S} UTC)"


def spoken(instant: datetime, now: datetime) -> str:
    """Such as `5 minutes ago`, `in 2 hours`, or a date with its time when that is far away."""
    distance = now - instant
    if abs(distance) < SOON:
        return "just now"
    if abs(distance) > RELATIVE:
        month = MONTHS[instant.month - 1]
        return f"{instant.day} {month} {instant.year}, {instant:%H:%M}"
    seconds = abs(distance).total_seconds()
    unit, size = next((one for one in UNITS if seconds >= one[1]), UNITS[-1])
    number = max(1, round(seconds / size))
    amount = f"{number} {unit}{'' if number == 1 else 's'}"
    return f"{amount} ago" if distance > timedelta(0) else f"in {amount}"


def lasting(start: Any, end: Any) -> str | None:
    """How long it took from one stored time to another."""
    first, last = moment(start), moment(end)
    if first is None or last is None or last < first:
        return None
    minutes, seconds = divmod(round((last - first).total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (seconds, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 s"


def pill(value: Any) -> Markup | None:
    """A status as a word on its colour."""
    if not isinstance(value, str) or not value.strip():
        return None
    mood = MOOD_OF.get(value.strip().lower(), "other")
    return Markup('<span class="pill pill-{}">{}</span>').format(mood, value)


def progress(value: Any) -> Markup | None:
    """A percentage as a bar and a number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        return None
    return Markup(
        '<span class="progress"><progress max="100" value="{0}" aria-label="Progress">'
        "</progress> {0} %</span>"
    ).format(f"{value:g}")


def link(value: Any, label: str = "") -> Markup | None:
    """A link to an address on the web, and to nothing else: `javascript:` stays text."""
    text = value.strip() if isinstance(value, str) else ""
    if not WEB_ADDRESS.fullmatch(text):
        return None
    return Markup('<a href="{}" rel="noopener noreferrer nofollow">{}</a>').format(
        text, label or text
    )


def parsed(value: Any) -> Any:
    """The list or object that a text holds as JSON; None where it holds none, or too deep a one."""
    text = value.strip() if isinstance(value, str) else ""
    if not text.startswith(("{", "[")):
        return None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if levels(document) <= MOST_LEVELS else None


def levels(document: Any) -> int:
    """How deep lists and objects stand in each other; counted only as far as we show them."""
    found, layer = 0, [document]
    while layer and found <= MOST_LEVELS:
        found += 1
        lists = [one for one in layer if isinstance(one, list)]
        objects = [one for one in layer if isinstance(one, dict)]
        layer = [child for one in lists for child in one]
        layer += [child for one in objects for child in one.values()]
    return found


def folded_json(value: Any) -> Markup | None:
    """A list or object to unfold; one that is short stays as it is."""
    document = parsed(value)
    if document is None or len(value) <= SHORT_JSON:
        return None
    one, many = ("entry", "entries") if isinstance(document, list) else ("field", "fields")
    size = len(document)
    pretty = json.dumps(document, ensure_ascii=False, indent=2)
    return fold(f"{size} {one if size == 1 else many}", pretty)


def folded_text(value: Any) -> Markup | None:
    """A long text to unfold, of which the beginning shows."""
    if not isinstance(value, str) or len(value) <= SHORT_TEXT:
        return None
    return fold(f"{value[: SHORT_TEXT // 2].strip()} …", value)


def fold(summary: str, text: str) -> Markup:
    return Markup(
        '<details class="fold"><summary>{}</summary><pre tabindex="0">{}</pre></details>'
    ).format(summary, text)


def shown(value: Any) -> Markup:
    """Any value of a row: folded, linked or as it is."""
    if value is None or value == "":
        return Markup('<span class="nothing">none</span>')
    if isinstance(value, bytes):
        return escape(f"{len(value):,} bytes")
    return link(value) or folded_json(value) or folded_text(value) or escape(value)
