"""The sample rows that `dailies build --sample` adds to a database that never had any."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from loaders import campaigns_files

SAMPLES = Path(__file__).parent.parent / "samples"


def add(name: str, connection: sqlite3.Connection) -> int:
    """Rows added: none where there are rows, or were."""
    return ADDERS[name](connection)


def add_campaigns(connection: sqlite3.Connection) -> int:
    if connection.execute("select 1 from job_history limit 1").fetchone():
        return 0
    source = SAMPLES / "campaigns.yaml"
    return campaigns_files.import_jobs(connection, [source], actor="sample").imported


ADDERS = {"campaigns": add_campaigns}
