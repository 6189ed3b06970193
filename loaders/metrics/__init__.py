"""Numbers of published videos: the Python functions of the database `metrics`."""

from loaders.metrics.snapshots import (
    DERIVED,
    add_metadata,
    add_metrics,
    check,
    latest_metrics,
)

__all__ = [
    "DERIVED",
    "add_metadata",
    "add_metrics",
    "check",
    "latest_metrics",
]
