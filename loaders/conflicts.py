"""The conflict policy of all imports: what happens to a record that is stored already.

A record that is stored with the same content is skipped under every policy. If it is stored with
different content, `skip` keeps the stored one, `update` overwrites it and `fail` reports an error.
"""

from __future__ import annotations

from collections.abc import Callable

from loaders.import_report import ImportReport, Origin

POLICIES = ("skip", "update", "fail")

STORED_DIFFERENTLY = "already stored with different content"
GIVEN_TWICE = "given twice with different content"


def resolve_conflict(
    policy: str, report: ImportReport, origin: Origin, update: Callable[[], object]
) -> None:
    """Apply `policy` to a record that is stored with different content, and count it.

    `update` overwrites the stored record; its ValueError becomes an error of the report.
    """
    if policy == "skip":
        report.skipped += 1
    elif policy == "fail":
        report.fail(*origin, STORED_DIFFERENTLY)
    else:
        try:
            update()
        except ValueError as error:
            report.fail(*origin, str(error))
        else:
            report.updated += 1
