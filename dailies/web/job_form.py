"""The form of a campaign: the values of its fields, and the job that a submitted form makes.

plugins/edit_forms.py shows and stores it.

Browsers normalize line ends and drop NULs, so a submitted text can differ from the stored one
although nobody changed it. A field that comes back as it was shown leaves the job's value as it is.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping
from typing import Any, NamedTuple

from dailies.api.request import check_object, parse_json
from dailies.errors import RequestError
from dailies.web import forms
from dailies.web.forms import as_browsers_show
from loaders.errors import Invalid

Job = dict[str, Any]

ENABLED = "enabled"
OTHERS = "others"
KEPT = ("id", "created_at", "updated_at")
LINE = re.compile(r"\bline ([0-9]{1,9}) ", re.ASCII)
MAX_LINE = 80  # characters of a line in a message
TRUE_TEXTS = ("true", "yes", "on", "1")


CONTENT, MEDIA = "Content", "Voice, avatar and script"  # groups of fields


class Field(NamedTuple):
    """A text field: its column, label, hint, and other spellings of its key in a job.

    Existing values are suggested if `suggested`; there is space for several lines if `long`.
    """

    name: str
    label: str
    hint: str = ""
    spellings: tuple[str, ...] = ()
    group: str = CONTENT
    suggested: bool = False
    long: bool = False

    def key_in(self, job: Mapping[str, Any]) -> str:
        """The spelling that `job` uses; one with a value is preferred."""
        keys = [key for key in (self.name, *self.spellings) if key in job]
        with_value = [key for key in keys if job[key] is not None]
        return next(iter([*with_value, *keys]), self.name)

    def is_shown(self, job: Mapping[str, Any]) -> bool:
        """False if the value is no text: it is then shown as JSON with the other values."""
        return isinstance(job.get(self.key_in(job)), str | None)


FIELDS = (
    Field("job_name", "Job name"),
    Field("product", "Product", suggested=True),
    Field("persona", "Persona", "Speaker and audience", suggested=True),
    Field("language", "Language", "Default: English", suggested=True),
    Field("hook", "Hook", "First words of the video", long=True),
    Field("setting", "Setting", "Location of the scene", long=True),
    Field("emotion", "Emotion"),
    Field("brand_name", "Brand name", "As pronounced"),
    Field("campaign_type", "Campaign type", spellings=("campaignType",)),
    Field("elevenlabs_voice_id", "Voice", "Its id at ElevenLabs", group=MEDIA),
    Field("avatar_id", "Avatar", spellings=("avatarId",), group=MEDIA),
    Field("avatar_video_path", "Avatar video", spellings=("avatarVideo",), group=MEDIA),
    Field("script_id", "Script", spellings=("scriptId",), group=MEDIA),
    Field(
        "script_file",
        "Script file",
        spellings=("scriptFile", "example_script_file"),
        group=MEDIA,
    ),
)
SUGGESTED = tuple(field.name for field in FIELDS if field.suggested)
MAX_SUGGESTIONS = 200

SUGGESTIONS = """
select {column} as value
from job_counts
where jobs > 0
  and {column} is not null
group by {column}
order by sum(jobs) desc, {column}
limit :most
"""


class FormError(RequestError):
    """Messages about a submitted form by field; those about no field under ""."""

    def __init__(self, status: int, messages: Mapping[str, list[str]]) -> None:
        self.by_field = dict(messages)
        super().__init__(status, [message for some in messages.values() for message in some])


def shown(job: Job) -> dict[str, str]:
    """The value of each field; that of the check box is "1" or empty."""
    values = {
        field.name: as_browsers_show(job.get(field.key_in(job)) or "")
        for field in FIELDS
        if field.is_shown(job)
    }
    others = other_values(job)
    text = json.dumps(others, ensure_ascii=False, indent=2) if others else ""
    return {**values, ENABLED: "1" if is_enabled(job) else "", OTHERS: as_browsers_show(text)}


def is_enabled(job: Job) -> bool:
    value = job.get(ENABLED)
    if isinstance(value, str) and value.strip():
        return value.strip().lower() in TRUE_TEXTS
    return value in (None, "") or value == 1


def other_values(job: Job) -> Job:
    """The values without a field of their own, which are edited as JSON."""
    own = {*KEPT, ENABLED, *(field.key_in(job) for field in FIELDS if field.is_shown(job))}
    return {key: value for key, value in job.items() if key not in own}


def changed(job: Job, submitted: Mapping[str, str]) -> Job:
    """The job with the changes of a submitted form, its keys in their old order."""
    before = shown(job)
    after = {name: as_browsers_show(submitted.get(name, "")) for name in before}
    old_others = others = other_values(job)
    if after[OTHERS] != before[OTHERS]:
        others = parse_others(job, after[OTHERS])
    result = {key: value for key, value in job.items() if key in others or key not in old_others}
    result.update(others)
    if bool(after[ENABLED]) != bool(before[ENABLED]) or not job:
        result[ENABLED] = bool(after[ENABLED])
    for field in FIELDS:
        if after.get(field.name) != before.get(field.name):
            result[field.key_in(job)] = after[field.name] or None
    return result


def parse_others(job: Job, text: str) -> Job:
    try:
        others = parse_json(text.encode(errors="surrogatepass")) if text.strip() else {}
        check_object(others)
    except (RequestError, Invalid) as error:
        messages = [with_line(message, text) for message in error.messages]
        raise FormError(400, {OTHERS: messages}) from error
    fields = {*KEPT, ENABLED, *(key for field in FIELDS for key in (field.name, *field.spellings))}
    misplaced = [key for key in others if key in fields - set(other_values(job))]
    if misplaced:
        messages = [f'"{key}" has a field of its own' for key in misplaced]
        raise FormError(400, {OTHERS: messages})
    return dict(others)


def with_line(message: str, text: str) -> str:
    """The message about JSON, followed by the line that it names."""
    found = LINE.search(message)
    lines = text.split("\n")
    if found is None or not 0 < int(found[1]) <= len(lines):
        return message
    return f"{message}. Line {found[1]} is: {lines[int(found[1]) - 1].strip()[:MAX_LINE]}"


def suggestions(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """The most frequent values of the fields that have suggestions."""
    found = {}
    for column in SUGGESTED:
        rows = connection.execute(
            SUGGESTIONS.format(column=column), {"most": MAX_SUGGESTIONS}
        ).fetchall()
        found[column] = [text for (text,) in rows if isinstance(text, str) and len(text) <= 200]
    return found


def by_field(error: RequestError) -> dict[str, list[str]]:
    """The messages of an error by the field that each is about."""
    if isinstance(error, FormError):
        return error.by_field
    return forms.by_field(error, {field.name for field in FIELDS} | {ENABLED})
