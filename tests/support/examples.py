"""How many examples Hypothesis makes for a test."""

from __future__ import annotations

from hypothesis import settings

USUAL = 100


def examples(count: int) -> settings:
    """Make `count` examples, or fewer with a profile that makes fewer than usual of all tests."""
    return settings(max_examples=max(10, count * settings.default.max_examples // USUAL))
