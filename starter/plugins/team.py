"""An example of a plugin of your own: a name for templates/_footer.html."""

from __future__ import annotations

from datasette import hookimpl


@hookimpl
def extra_template_vars() -> dict[str, str]:
    return {"team": "Our team"}
