"""CSV responses in which no spreadsheet finds a formula, unless the request says `_formulas=on`.

A cell that begins like a formula gets an apostrophe before it, as OWASP advises: spreadsheets show
it as text. `dailies export` writes every value as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any
from urllib.parse import parse_qs

from datasette import hookimpl

from dailies.datasette_compat import write_csv_cells_as

# The last four are =, +, - and @ in full width.
FORMULA_STARTS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")

formulas_allowed: ContextVar[bool] = ContextVar("formulas_allowed", default=False)


def shown(cell: Any) -> Any:
    """The cell; a text that spreadsheets would calculate as a text that they show."""
    is_formula = isinstance(cell, str) and cell.startswith(FORMULA_STARTS)
    return f"'{cell}" if is_formula and not formulas_allowed.get() else cell


write_csv_cells_as(shown)


@hookimpl
def asgi_wrapper() -> Callable[[Any], Any]:
    return with_option


def with_option(app: Any) -> Any:
    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http" and b"_formulas" in scope["query_string"]:
            values = parse_qs(scope["query_string"].decode("latin-1")).get("_formulas", [])
            formulas_allowed.set(values == ["on"])
        await app(scope, receive, send)

    return wrapped
