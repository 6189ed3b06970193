"""Upgrades a `metrics` file of seed 003's system: every row stays as it is."""

from __future__ import annotations

import sqlite3

from loaders.legacy.tables import rebuilding
from loaders.migrations import script
from loaders.times import configured_timezone, to_instant

# `current_timestamp`, with a blank and without a fraction, is UTC by definition, and a date has no
# time; any other time without a zone was written in the zone of its system.
SET_LOCAL_INSTANTS = """
update video_metrics
set measured_at = strftime('%Y-%m-%dT%H:%M:%fZ', to_instant(timestamp))
where (timestamp glob '[0-9]*-[0-9][0-9]T*' or timestamp glob '[0-9]*-[0-9][0-9] *.*')
  and timestamp not glob '*[Zz]'
  and substr(timestamp, 11) not glob '*[-+]*'
"""

SET_OTHER_INSTANTS = """
update video_metrics
set measured_at = calculated.measured_at
from calculated_metrics as calculated
where calculated.id = video_metrics.id
  and video_metrics.measured_at is null
"""


def upgrade(connection: sqlite3.Connection) -> None:
    zone = configured_timezone()
    connection.create_function("to_instant", 1, lambda text: to_instant(text, zone))
    with rebuilding(connection, "metrics"):
        connection.execute(SET_LOCAL_INSTANTS)
        connection.execute(SET_OTHER_INSTANTS)
    script.execute(connection, script.statements("metrics", "rebuild"))
