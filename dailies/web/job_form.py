"""The form of a campaign: the values of its fields, and the job that a submitted form makes.

plugins/edit_forms.py shows and stores it.

Browsers normalize line ends and drop NULs, so a submitted text can differ from the stored one
although nobody changed it. A field that comes back as it was shown leaves the job's value as it is.
"""

from __future__ import annotations

import json
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
TRUE_TEXTS = ("true", "yes", "on", "1")


class Field(NamedTuple):
    """A text field: its column, label, hint, and other spellings of its key in a job."""

    name: str
    label: str
    hint: str = ""
    spellings: tuple[str, ...] = ()

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
    Field("product", "Product"),
    Field("persona", "Persona", "Speaker and audience"),
    Field("setting", "Setting", "Location of the scene"),
    Field("emotion", "Emotion"),
    Field("hook", "Hook", "First words of the video"),
    Field("language", "Language", "Default: English"),
    Field("brand_name", "Brand name", "As pronounced"),
    Field("campaign_type", "Campaign type", spellings=("campaignType",)),
)


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
        raise FormError(400, {OTHERS: error.messages}) from error
    fields = {*KEPT, ENABLED, *(key for field in FIELDS for key in (field.name, *field.spellings))}
    misplaced = [key for key in others if key in fields - set(other_values(job))]
    if misplaced:
        messages = [f'"{key}" has a field of its own' for key in misplaced]
        raise FormError(400, {OTHERS: messages})
    return dict(others)


def by_field(error: RequestError) -> dict[str, list[str]]:
    """The messages of an error by the field that each is about."""
    if isinstance(error, FormError):
        return error.by_field
    return forms.by_field(error, {field.name for field in FIELDS} | {ENABLED})
