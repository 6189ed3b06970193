"""Numbers that JSON does not know, such as infinities in old rows, are null in every answer.

Datasette sees to that in rows, but neither in facets nor in what its write API returns.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from datasette import Response
from datasette.utils import CustomJSONEncoder

from dailies.api.responses import finite

Default = Callable[[Any], Any] | None


def encode(self: CustomJSONEncoder, value: Any) -> str:
    self.allow_nan = False
    try:
        return json.JSONEncoder.encode(self, value)
    except ValueError:
        return json.JSONEncoder.encode(self, finite(value))


def answer(
    cls: type[Response],
    body: Any,
    status: int = 200,
    headers: dict[str, str] | None = None,
    default: Default = None,
) -> Response:
    try:
        text = json.dumps(body, default=default, allow_nan=False)
    except ValueError:
        text = json.dumps(finite(body), default=default, allow_nan=False)
    return cls(text, status=status, headers=headers, content_type="application/json; charset=utf-8")


# No hook comes between an answer and its JSON.
setattr(CustomJSONEncoder, "encode", encode)  # noqa: B010
setattr(Response, "json", classmethod(answer))  # noqa: B010
