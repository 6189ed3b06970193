"""A campaign job as a form: what its fields show, and what a submitted form says of the job.

A browser cannot give every text back as it was. A field that comes back as it was shown has
therefore not been touched, and the job keeps what it had there, to the letter.
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

Document = dict[str, Any]

ENABLED = "enabled"
OTHERS = "others"
KEPT = ("id", "created_at", "updated_at")
TRUTHS = ("true", "yes", "on", "1")


class Field(NamedTuple):
    """A text of the job: its column, its label, and other spellings of its key."""

    name: str
    label: str
    hint: str = ""
    spellings: tuple[str, ...] = ()

    def key_in(self, document: Mapping[str, Any]) -> str:
        """The spelling that `document` uses."""
        spellings = (self.name, *self.spellings)
        said = [key for key in spellings if document.get(key) is not None]
        return next(iter(said + [key for key in spellings if key in document]), self.name)

    def is_shown(self, document: Mapping[str, Any]) -> bool:
        """Whether this field can show what the job says; a list, say, stands with the others."""
        return isinstance(document.get(self.key_in(document)), str | None)


FIELDS = (
    Field("job_name", "Job name"),
    Field("product", "Product"),
    Field("persona", "Persona", "Who speaks to whom"),
    Field("setting", "Setting", "Where the scene plays"),
    Field("emotion", "Emotion"),
    Field("hook", "Hook", "The first words"),
    Field("language", "Language", "English, unless said otherwise"),
    Field("brand_name", "Brand name", "As it is spoken"),
    Field("campaign_type", "Campaign type", spellings=("campaignType",)),
)


class FormError(RequestError):
    """What is wrong with a submitted form: messages by field, those about the whole under ""."""

    def __init__(self, status: int, messages: Mapping[str, list[str]]) -> None:
        self.by_field = dict(messages)
        super().__init__(status, [one for several in messages.values() for one in several])


def shown(document: Document) -> dict[str, str]:
    """The content of each field; `enabled` is "1" or empty, as a check box is."""
    values = {
        field.name: as_browsers_show(document.get(field.key_in(document)) or "")
        for field in FIELDS
        if field.is_shown(document)
    }
    others = others_of(document)
    text = json.dumps(others, ensure_ascii=False, indent=2) if others else ""
    return {**values, ENABLED: "1" if is_enabled(document) else "", OTHERS: as_browsers_show(text)}


def is_enabled(document: Document) -> bool:
    value = document.get(ENABLED)
    if isinstance(value, str) and value.strip():
        return value.strip().lower() in TRUTHS
    return True if value in (None, "") else value == 1


def others_of(document: Document) -> Document:
    """What the form shows as JSON: everything that has no field of its own."""
    own = {
        *KEPT,
        ENABLED,
        *(field.key_in(document) for field in FIELDS if field.is_shown(document)),
    }
    return {key: value for key, value in document.items() if key not in own}


def changed(document: Document, submitted: Mapping[str, str]) -> Document:
    """The job as the submitted form wants it, its keys in their old order."""
    before = shown(document)
    given = {name: as_browsers_show(submitted.get(name, "")) for name in (*before, OTHERS)}
    others = others_before = others_of(document)
    if given[OTHERS] != before[OTHERS]:
        others = parse_others(document, given[OTHERS])
    result = {
        key: value for key, value in document.items() if key in others or key not in others_before
    }
    result.update(others)
    if bool(given[ENABLED]) != bool(before[ENABLED]) or not document:
        result[ENABLED] = bool(given[ENABLED])
    for field in FIELDS:
        if given.get(field.name, "") != before.get(field.name, ""):
            result[field.key_in(document)] = given[field.name] or None
    return result


def parse_others(document: Document, text: str) -> Document:
    try:
        others = parse_json(text.encode(errors="surrogatepass")) if text.strip() else {}
        check_object(others)
    except (RequestError, Invalid) as error:
        raise FormError(400, {OTHERS: error.messages}) from error
    fields = {*KEPT, ENABLED, *(key for field in FIELDS for key in (field.name, *field.spellings))}
    taken = [key for key in others if key in fields - set(others_of(document))]
    if taken:
        messages = [f'"{key}" does not belong here' for key in taken]
        raise FormError(400, {OTHERS: messages})
    return dict(others)


def by_field(refusal: RequestError) -> dict[str, list[str]]:
    """The messages of a refusal under the field that each is about."""
    if isinstance(refusal, FormError):
        return refusal.by_field
    return forms.by_field(refusal, {field.name for field in FIELDS} | {ENABLED})
