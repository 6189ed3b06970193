"""That tests/axe.py sees what is wrong, so that its silence means something."""

from __future__ import annotations

import pytest
from axe import violations
from playwright.sync_api import Page

GOOD = """
    <!doctype html>
    <html lang="en">
    <title>Good</title>
    <main><h1>Good</h1><label>Name <input></label><p>Text</p></main>
    </html>
    """


@pytest.mark.parametrize(
    ("part", "instead", "rule"),
    [
        ('lang="en"', "", "html-has-lang"),
        ("<label>Name <input></label>", "Name <input>", "label"),
        ("<p>", '<p style="color: #bbb; background: #fff">', "color-contrast"),
        ("<p>", '<p><img src="data:,">', "image-alt"),
    ],
)
def test_a_broken_page_is_told(page: Page, part: str, instead: str, rule: str) -> None:
    page.set_content(GOOD.replace(part, instead))
    assert [line.partition(":")[0] for line in violations(page)] == [rule]


def test_a_good_page_has_no_violations(page: Page) -> None:
    page.set_content(GOOD)
    assert violations(page) == []
