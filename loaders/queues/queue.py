"""The queue of builds and the queue of presentations are instances of one class.

They are `BUILDS` in loaders/yt_builder.py and `PRESENTATIONS` in loaders/presentation_jobs.py.
"""

from __future__ import annotations

from loaders.queues.claims import Claims
from loaders.queues.recovery import Recovery
from loaders.queues.undo import Undo


class JobQueue(Claims, Recovery, Undo):
    """Jobs in the order in which workers claim them.

    The database enforces the life cycle, with triggers and the table `job_status_moves`.
    Errors are those of loaders/errors.py. A change of status that the life cycle forbids and a
    lost lease are a Conflict.
    """
