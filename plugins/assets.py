"""The style sheet and the script of every page."""

from __future__ import annotations

from hashlib import sha256

from datasette import hookimpl

from dailies.home import HOME


def versioned(name: str) -> str:
    """The path of a static file, which changes with its content: browsers cache it."""
    content = (HOME / "static" / name).read_bytes()
    return f"/static/{name}?{sha256(content).hexdigest()[:12]}"


STYLE_SHEET = versioned("dailies.css")
SCRIPT = versioned("pages.js")


@hookimpl
def extra_css_urls() -> list[str]:
    return [STYLE_SHEET]


@hookimpl
def extra_js_urls() -> list[dict[str, object]]:
    return [{"url": SCRIPT, "module": True}]  # modules run after the page is parsed
