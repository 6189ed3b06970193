"""Numbers of published videos: the Python functions of the database `metrics`."""

from loaders.metrics.snapshots import (
    add_metadata,
    add_metrics,
    check,
    latest_metrics,
)

__all__ = [
    "add_metadata",
    "add_metrics",
    "check",
    "latest_metrics",
]
