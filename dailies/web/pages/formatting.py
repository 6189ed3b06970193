"""Format values for people, as HTML that is safe for every value.

Functions return None for a value that they cannot format.
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
MIN_MILLISECONDS = 1e11  # smaller numbers are seconds
WEB_ADDRESS = re.compile(r"https?://[^\s/?#]\S*", re.IGNORECASE)

MAX_RELATIVE = timedelta(days=7)
JUST_NOW = timedelta(seconds=45)
UNITS = (("day", 86400), ("hour", 3600), ("minute", 60))
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# CSS classes of statuses; the word is always shown beside the colour.
STATUS_CLASSES = {
    "waiting": ("draft", "preparing", "queued"),
    "active": ("processing", "rendered", "running"),
    "good": ("completed", "insert", "posted", "public"),
    "bad": ("delete", "failed"),
    "ended": ("archived", "cancelled", "private", "unlisted", "update"),
}
CLASS_OF = {status: name for name, statuses in STATUS_CLASSES.items() for status in statuses}

MAX_TEXT = 160  # characters; longer texts and JSON are folded
MAX_JSON = 60
MAX_DEPTH = 60


def parse_time(value: Any) -> datetime | None:
    """The time that a stored value represents, in any of its spellings; UTC if it has no zone."""
    text = str(value).strip()
    try:
        if EPOCH.fullmatch(text):
            number = float(text)
            seconds = number if number < MIN_MILLISECONDS else number / 1000
            return datetime.fromtimestamp(seconds, UTC)
        instant = to_instant(text, UTC)
        return datetime.fromisoformat(instant) if INSTANT.fullmatch(instant) else None
    except (OverflowError, OSError, ValueError):
        return None


def time_html(value: Any, now: datetime | None = None) -> Markup | None:
    """A relative time or a date; the stored text is its title."""
    time = parse_time(value)
    if time is None:
        return None
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        time.isoformat(timespec="milliseconds"),
        stored_time(value, time),
        relative_time(time, now or datetime.now(UTC)),
    )


def stored_time(value: Any, time: datetime) -> str:
    """The stored text; if it is not in our own form, followed by the time in UTC."""
    text = str(value)
    return text if INSTANT.fullmatch(text) else f"{text} ({time:%Y-%m-%d %H:%M:%S} UTC)"


def relative_time(time: datetime, now: datetime) -> str:
    """Such as `5 minutes ago`, `in 2 hours`, or the date and time if more than a week away."""
    distance = now - time
    if abs(distance) < JUST_NOW:
        return "just now"
    if abs(distance) > MAX_RELATIVE:
        return f"{time.day} {MONTHS[time.month - 1]} {time.year}, {time:%H:%M}"
    seconds = abs(distance).total_seconds()
    unit, size = next((unit for unit in UNITS if seconds >= unit[1]), UNITS[-1])
    number = max(1, round(seconds / size))
    amount = f"{number} {unit}{'' if number == 1 else 's'}"
    return f"{amount} ago" if distance > timedelta(0) else f"in {amount}"


def duration(start: Any, end: Any) -> str | None:
    """The time between two stored times, such as `1 h 2 min 3 s`."""
    first, last = parse_time(start), parse_time(end)
    if first is None or last is None or last < first:
        return None
    minutes, seconds = divmod(round((last - first).total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (seconds, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 s"


def status_pill(value: Any) -> Markup | None:
    """A status as a word on its colour."""
    if not isinstance(value, str) or not value.strip():
        return None
    name = CLASS_OF.get(value.strip().lower(), "other")
    return Markup('<span class="pill pill-{}">{}</span>').format(name, value)


def progress_bar(value: Any) -> Markup | None:
    """A percentage as a bar and a number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        return None
    return Markup(
        '<span class="progress"><progress max="100" value="{0}" aria-label="Progress">'
        "</progress> {0} %</span>"
    ).format(f"{value:g}")


def web_link(value: Any, label: str = "") -> Markup | None:
    """A link to an http or https address; everything else, such as `javascript:`, is no link."""
    text = value.strip() if isinstance(value, str) else ""
    if not WEB_ADDRESS.fullmatch(text):
        return None
    return Markup('<a href="{}" rel="noopener noreferrer nofollow">{}</a>').format(
        text, label or text
    )


def parse_json(value: Any) -> Any:
    """The list or object in a text of JSON; None if there is none, or it is too deep."""
    text = value.strip() if isinstance(value, str) else ""
    if not text.startswith(("{", "[")):
        return None
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return parsed if depth(parsed) <= MAX_DEPTH else None


def depth(value: Any) -> int:
    """The levels of lists and objects, counted up to one more than `MAX_DEPTH`."""
    found, layer = 0, [value]
    while layer and found <= MAX_DEPTH:
        found += 1
        layer = [
            child
            for parent in layer
            if isinstance(parent, list | dict)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
    return found


def folded_json(value: Any) -> Markup | None:
    """A list or object to unfold; None if it is short."""
    parsed = parse_json(value)
    if parsed is None or len(value) <= MAX_JSON:
        return None
    one, many = ("entry", "entries") if isinstance(parsed, list) else ("field", "fields")
    pretty = json.dumps(parsed, ensure_ascii=False, indent=2)
    return fold(f"{len(parsed)} {one if len(parsed) == 1 else many}", pretty)


def folded_text(value: Any) -> Markup | None:
    """A long text to unfold, with its beginning as the summary; None if it is short."""
    if not isinstance(value, str) or len(value) <= MAX_TEXT:
        return None
    return fold(f"{value[: MAX_TEXT // 2].strip()} …", value)


def fold(summary: str, text: str) -> Markup:
    return Markup(
        '<details class="fold"><summary>{}</summary><pre tabindex="0">{}</pre></details>'
    ).format(summary, text)


def display(value: Any) -> Markup:
    """Any value of a row: folded, linked or unchanged."""
    if value is None or value == "":
        return Markup('<span class="empty">none</span>')
    if isinstance(value, bytes):
        return escape(f"{len(value):,} bytes")
    return web_link(value) or folded_json(value) or folded_text(value) or escape(value)


# The filters of our templates: unlike the functions above they show any value.
FILTERS = {
    "display": display,
    "duration": duration,
    "progress": lambda value: progress_bar(value) or "",
    "status": lambda value: status_pill(value) or display(value),
    "text": lambda value: folded_text(value) or value,
    "time": lambda value: time_html(value) or display(value),
    "watch_link": lambda value: web_link(value, "Watch") or display(value),
}
