"""Find what is wrong with a page for people with disabilities, with axe-core."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

SOURCE = (Path(__file__).parent.parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
FIND = "rules => axe.run(document, {resultTypes: ['violations'], ...rules})"
CONTRAST = {"runOnly": ["color-contrast"]}
TOO_WIDE = "document.documentElement.scrollWidth > window.innerWidth"
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}


def violations(page: Page, rules: dict[str, Any] | None = None) -> list[str]:
    """One line for each broken rule and element of the page in its present state."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(SOURCE)
    found = page.evaluate(FIND, rules or {})["violations"]
    return [line(rule, node) for rule in found for node in rule["nodes"]]


def violations_in_all_modes(page: Page) -> list[str]:
    """Check the page in light, in dark (where only contrast can differ) and on a phone."""
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.set_viewport_size(DESKTOP)
    found = [f"light: {text}" for text in [*violations(page), *too_wide(page)]]
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    found += [f"dark: {text}" for text in violations(page, CONTRAST)]
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.set_viewport_size(PHONE)
    return found + [f"phone: {text}" for text in [*violations(page), *too_wide(page)]]


def too_wide(page: Page) -> list[str]:
    return ["is wider than the window"] if page.evaluate(TOO_WIDE) else []


def line(rule: dict[str, Any], node: dict[str, Any]) -> str:
    place = " ".join(map(str, node["target"]))
    return f"{rule['id']}: {place}: {node['html'][:200]}: {node['failureSummary']}"
