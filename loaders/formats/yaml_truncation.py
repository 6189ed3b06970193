"""Detects YAML files that were cut off, though what is left of them may be valid YAML.

The last job of a file is incomplete

- if the parser finds the end of the file unexpectedly;
- if the file does not end in a line break and the job lacks a top-level key that all earlier jobs
  (at least two) have;
- if all earlier jobs (or the only job) share 20 keys or more, so that a program wrote them, and the
  file does not end in a line break or, after two jobs or more, the job lacks one of these keys.

Everything else is accepted: people often leave out the last line break. One-job files of a folder
are compared with the files before them, and only if they do not end in a line break.
"""

from typing import Any

MACHINE_WRITTEN_KEYS = 20


class CommonKeys:
    """The top-level keys that all jobs so far have."""

    def __init__(self) -> None:
        self._jobs = 0
        self._keys: set[str] = set()

    def add(self, value: dict[str, Any]) -> None:
        if not self._jobs:
            self._keys = set(value)
        elif not self._keys <= value.keys():
            self._keys &= value.keys()
        self._jobs += 1

    def is_cut_off(self, value: dict[str, Any], *, ends_in_line_break: bool) -> bool:
        machine_written = len(self._keys if self._jobs else value) >= MACHINE_WRITTEN_KEYS
        if machine_written and not ends_in_line_break:
            return True
        if self._jobs < 2 or (ends_in_line_break and not machine_written):
            return False
        return not self._keys <= value.keys()
