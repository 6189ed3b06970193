"""Times as Dailies writes them: UTC, ISO 8601 with `T`, three digits of a second and `Z`.

Such texts sort as text, and SQLite's date functions read them.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z", re.ASCII)
DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOW_SQL = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"


def now() -> str:
    """The current time, e.g. `2026-11-20T07:15:00.000Z`."""
    return format_instant(datetime.now(UTC))


def format_instant(moment: datetime) -> str:
    """`moment`, which must have a zone, as `2026-11-20T07:15:00.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(instant: str) -> int:
    """Milliseconds since 1970 of an instant such as `2026-11-20T07:15:00.000Z`."""
    return (datetime.fromisoformat(instant) - EPOCH) // timedelta(milliseconds=1)


def file_stamp() -> str:
    """The current time for a file name, e.g. `20261120T071500Z`."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


def configured_timezone() -> tzinfo:
    """The zone of times without one: `DAILIES_TIMEZONE`, or UTC. ValueError if unknown."""
    return timezone(os.environ.get("DAILIES_TIMEZONE", ""))


def timezone(name: str) -> tzinfo:
    """The zone called `name` (an IANA name such as `Europe/Berlin`; empty means UTC)."""
    if name in ("", "UTC"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f'unknown time zone "{name}": use a name such as Europe/Berlin') from error


def to_instant(text: str, zone: tzinfo) -> str:
    """Normalize an ISO 8601 time; one without a zone is taken in `zone`.

    Text that does not begin with a date (YYYY-MM-DD) is returned unchanged.
    """
    if not DATE.match(text):
        return text
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        return text
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    try:
        return format_instant(moment)
    except OverflowError:
        return text
