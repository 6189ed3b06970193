"""Read submitted forms, and assign error messages to their fields.

The pages with forms are in plugins/edit_forms.py.
"""

from __future__ import annotations

from collections.abc import Collection

from datasette import Request

from dailies.api.request import check_content_type
from dailies.datasette_compat import BadRequest
from dailies.errors import RequestError

FORM = ("application/x-www-form-urlencoded",)
MAX_FIELDS = 100
MAX_BYTES = 1_000_000  # parsed in less than half a second, whatever they are


async def read_form(request: Request, max_bytes: int = MAX_BYTES) -> dict[str, str]:
    """The fields of a submitted form; RequestError if the body is none."""
    return dict(await read_fields(request, MAX_FIELDS, max_bytes))


async def read_fields(
    request: Request, max_fields: int, max_bytes: int = MAX_BYTES
) -> list[tuple[str, str]]:
    """Names and values of the fields; a name may come several times."""
    check_content_type(request.headers.get("content-type", ""), FORM)
    try:
        form = await request.form(max_request_size=max_bytes, max_fields=max(max_fields, 1_000))
    except BadRequest as error:
        raise RequestError(413, f"The form is larger than {max_bytes:,} bytes") from error
    if len(form) > max_fields:
        raise RequestError(400, f"The form has more than {max_fields:,} fields")
    return [(name, as_browsers_show(value)) for name, value in form.items()]


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
