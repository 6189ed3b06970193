"""Find what is wrong with a page for people with disabilities, with axe-core."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Page

SOURCE = (Path(__file__).parent.parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
FIND = "rules => axe.run(document, {resultTypes: ['violations'], ...rules})"
CONTRAST = {"runOnly": ["color-contrast"]}
DRAWN = """
    async () => {
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      await Promise.allSettled(document.getAnimations().map((one) => one.finished));
    }
    """
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
    """Check the page in light, on a phone and in dark, where only contrast can differ."""
    set_scheme(page, "light")
    page.set_viewport_size(DESKTOP)
    found = [f"light: {text}" for text in [*violations(page), *too_wide(page)]]
    page.set_viewport_size(PHONE)
    found += [f"phone: {text}" for text in [*violations(page), *too_wide(page)]]
    set_scheme(page, "dark")
    return found + [f"dark: {text}" for text in violations(page, CONTRAST)]


def set_scheme(page: Page, scheme: Literal["light", "dark"]) -> None:
    """Change the colours, without motion, and wait until they are drawn."""
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.evaluate(DRAWN)


def too_wide(page: Page) -> list[str]:
    return ["is wider than the window"] if page.evaluate(TOO_WIDE) else []


def line(rule: dict[str, Any], node: dict[str, Any]) -> str:
    place = " ".join(map(str, node["target"]))
    return f"{rule['id']}: {place}: {node['html'][:200]}: {node['failureSummary']}"
