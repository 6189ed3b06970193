"""The columns of `jobs`, and the normal form of a job's booleans and times.

The columns themselves follow `data` by triggers, which are in
loaders/migrations/campaigns/m002_parts_of_words.sql, and by the views of m001_create.sql there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, NamedTuple

from loaders.times import INSTANT, configured_timezone, format_instant, to_instant


class Field(NamedTuple):
    """A column, the keys of `data` that it is taken from (first wins), and its kind."""

    column: str
    keys: tuple[str, ...]
    kind: str = "text"  # text, boolean or time


FIELDS = (
    Field("job_name", ("job_name",)),
    Field("product", ("product",)),
    Field("persona", ("persona",)),
    Field("setting", ("setting",)),
    Field("emotion", ("emotion",)),
    Field("hook", ("hook",)),
    Field("elevenlabs_voice_id", ("elevenlabs_voice_id",)),
    Field("language", ("language",)),
    Field("brand_name", ("brand_name",)),
    Field("enabled", ("enabled",), "boolean"),
    Field("created_at", ("created_at",), "time"),
    Field("updated_at", ("updated_at",), "time"),
    Field("campaign_type", ("campaign_type", "campaignType")),
    Field("avatar_id", ("avatar_id", "avatarId")),
    Field("script_id", ("script_id", "scriptId")),
    Field("avatar_video_path", ("avatar_video_path", "avatarVideo")),
    Field("script_file", ("script_file", "scriptFile", "example_script_file")),
    Field("use_overlay", ("use_overlay", "useOverlay"), "boolean"),
    Field("automated_video_editing_enabled", ("automated_video_editing_enabled",), "boolean"),
    Field("useExactScript", ("useExactScript",), "boolean"),
)

COLUMNS = tuple(field.column for field in FIELDS)
TIMES = tuple(field.column for field in FIELDS if field.kind == "time")
BOOLEAN_KEYS = tuple(key for field in FIELDS if field.kind == "boolean" for key in field.keys)
SEARCHED = ("job_name", "product", "persona", "setting", "emotion", "hook", "brand_name")

# The times are those of `instants`; None leaves a time to the triggers.
INSERT_JOB = """
insert into jobs (id, data, created_at, updated_at)
values (:id, :data, :created_at, :updated_at)
"""

UPDATE_JOB = """
update jobs
set
  data = :data,
  created_at = coalesce(:created_at, created_at),
  updated_at = coalesce(:updated_at, updated_at)
where id = :id
"""

WORDS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
    "": None,
}
EPOCH = re.compile(r"\d{10}(?:\.\d+)?", re.ASCII)


def normalized(job: Mapping[str, Any]) -> dict[str, Any]:
    """The job as `data` is to hold it: true, false or null in place of words for them."""
    document = dict(job)
    for key in BOOLEAN_KEYS:
        if key in document:
            document[key] = to_boolean(document[key])
    return document


def instants(job: Mapping[str, Any], zone: tzinfo | None = None) -> dict[str, str | None]:
    """The values of the time columns: the instants that the job names, None where it names none.

    `data` keeps the times as they were written; without a zone they are in `zone`, by default the
    configured one.
    """
    zone = zone or configured_timezone()
    return {column: instant_of(job.get(column), zone) for column in TIMES}


def to_boolean(value: Any) -> Any:
    """True, false or null for a word; anything else as it is."""
    return WORDS.get(value.strip(" ").lower(), value) if isinstance(value, str) else value


def instant_of(value: Any, zone: tzinfo) -> str | None:
    """A time in Dailies' form; ten digits are seconds of the epoch. None if it is no time."""
    if value is None or isinstance(value, bool):
        return None
    text = str(value)
    if INSTANT.fullmatch(text):
        return text
    if EPOCH.fullmatch(text):
        return format_instant(datetime.fromtimestamp(float(text), UTC))
    instant = to_instant(text, zone)
    return instant if INSTANT.fullmatch(instant) else None
