"""The style sheet and the script of every page."""

from __future__ import annotations

from datasette import hookimpl

from dailies.web.page import versioned

STYLE_SHEET = versioned("dailies.css")
SCRIPT = versioned("pages.js")


@hookimpl
def extra_css_urls() -> list[str]:
    return [STYLE_SHEET]


@hookimpl
def extra_js_urls() -> list[dict[str, object]]:
    return [{"url": SCRIPT, "module": True}]  # modules run after the page is parsed
