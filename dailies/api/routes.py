"""The endpoints of /api/{resource}, by what they are about.

Each reads top to bottom: permission, body, one read or write, answer.
"""

from __future__ import annotations

from dailies.api.handlers import bulk, changes, files, jobs, queue, versions
from dailies.api.operations import Operation

# Of paths that overlap the first counts: what has a name of its own comes before any job.
OPERATIONS: tuple[Operation, ...] = (
    *queue.OPERATIONS,
    *bulk.OPERATIONS,
    *changes.OPERATIONS,
    *files.OPERATIONS,
    *versions.OPERATIONS,
    *jobs.OPERATIONS,
)
