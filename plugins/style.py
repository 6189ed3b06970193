"""The style sheet and the script of every page, beside Datasette's own."""

from __future__ import annotations

from hashlib import sha256

from datasette import hookimpl

from dailies.server import HOME


def address(name: str) -> str:
    """One that changes with the file, so that no browser keeps an old one."""
    content = (HOME / "static" / name).read_bytes()
    return f"/static/{name}?{sha256(content).hexdigest()[:12]}"


SHEET = address("dailies.css")
SCRIPT = address("pages.js")


@hookimpl
def extra_css_urls() -> list[str]:
    return [SHEET]


@hookimpl
def extra_js_urls() -> list[dict[str, object]]:
    return [{"url": SCRIPT, "module": True}]  # a module runs once the page is there
