"""Every fault and attack of `just drill`, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from drill.case import Case, all_cases

pytestmark = pytest.mark.process


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.title) for case in all_cases() if case.in_quick]
)
def test_drill(case: Case, tmp_path: Path) -> None:
    assert case.run(tmp_path, quick=True, timed=False).tries
