"""Read submitted forms, and assign error messages to their fields."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import parse_qsl

from datasette import Request

from dailies.api.request import read_body
from dailies.errors import RequestError

FORM = ("application/x-www-form-urlencoded",)
MAX_FIELDS = 100


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a submitted form; RequestError if the body is none."""
    body = await read_body(request, FORM)
    try:
        text = body.decode(errors="replace")
        fields = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise RequestError(400, f"The form has more than {MAX_FIELDS} fields") from error
    return {name: as_browsers_show(value) for name, value in fields}


def as_browsers_show(text: str) -> str:
    """The text as a text area shows and submits it."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")


def by_field(error: RequestError, names: Collection[str]) -> dict[str, list[str]]:
    """The messages by the field that each is about; those about none of `names` under ""."""
    found: dict[str, list[str]] = {}
    for message in error.messages:
        place, _, text = message.partition(": ")
        column = place.rpartition(".")[2]
        if column in names:
            found.setdefault(column, []).append(text)
        else:
            found.setdefault("", []).append(message)
    return found
