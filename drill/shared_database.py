"""Threads of one program that share a database."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path

from drill.case import Run, case
from loaders import campaigns, open_database

WRITERS = 3
REFUSED = [*({"job_name": "refused"} for _ in range(10)), {"id": "has no name"}]


@case("threads add jobs beside threads whose lists are refused")
def threads(run: Run) -> None:
    for folder in run.repeat(20):
        path = folder / "campaigns.db"
        acknowledged = write_from_threads(path, 10 if run.quick else 100)
        with closing(sqlite3.connect(path)) as connection:
            rows = {key for (key,) in connection.execute("select id from jobs")}
            wrong = connection.execute(
                "select 1 from job_history where job_id not like actor || '%'"
            )
            assert wrong.fetchone() is None, "a history names another thread's actor"
        run.lost += len(set(acknowledged) - rows)
        assert rows <= set(acknowledged), "rows of refused lists are left"


def write_from_threads(path: Path, rounds: int) -> list[str]:
    """Add and refuse jobs at once, in threads that share one database; the ids acknowledged."""
    acknowledged: list[str] = []
    with closing(open_database("campaigns", path)) as db:

        def add(actor: str) -> None:
            for number in range(rounds):
                job = campaigns.add_job(db, {"id": f"{actor}/{number}", "job_name": "x"}, actor)
                acknowledged.append(job["id"])

        def refuse(actor: str) -> None:
            for _ in range(rounds):
                with suppress(ValueError):
                    campaigns.bulk_add_jobs(db, REFUSED, actor)

        started = [
            threading.Thread(target=work, args=(f"{work.__name__}{number}",))
            for number in range(WRITERS)
            for work in (add, refuse)
        ]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()
    return acknowledged
