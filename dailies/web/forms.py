"""Forms as browsers send them, and what was wrong with one, field by field."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import parse_qsl

from datasette import Request

from dailies.api.request import read_body
from dailies.errors import RequestError

FORM = ("application/x-www-form-urlencoded",)
MOST_FIELDS = 100


async def read_form(request: Request) -> dict[str, str]:
    body = await read_body(request, FORM)
    try:
        text = body.decode(errors="replace")
        fields = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise RequestError(400, f"The form has more than {MOST_FIELDS} fields") from error
    return {name: as_browsers_show(value) for name, value in fields}


def as_browsers_show(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")


def by_field(refusal: RequestError, names: Collection[str]) -> dict[str, list[str]]:
    """The messages under the field that each is about; under "" those about none of `names`."""
    found: dict[str, list[str]] = {}
    for message in refusal.messages:
        place, _, text = message.partition(": ")
        column = place.rpartition(".")[2]
        if column in names:
            found.setdefault(column, []).append(text)
        else:
            found.setdefault("", []).append(message)
    return found
