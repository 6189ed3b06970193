"""What axe-core finds wrong with a page for people with disabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

SOURCE = (Path(__file__).parent.parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
FIND = "() => axe.run(document, {resultTypes: ['violations']})"


def violations(page: Page) -> list[str]:
    """One line for each broken rule and element of the page as it is shown now: [] is good."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(SOURCE)
    found = page.evaluate(FIND)["violations"]
    return [told(rule, node) for rule in found for node in rule["nodes"]]


def told(rule: dict[str, Any], node: dict[str, Any]) -> str:
    place = " ".join(map(str, node["target"]))
    return f"{rule['id']}: {place}: {node['html'][:200]}: {node['failureSummary']}"
