"""The registry of the six databases: their names, files and served tables.

A database is known by its name, not by its file's name: `CAMPAIGNS_DB_PATH` may point anywhere.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

SIDE_FILES = ("-wal", "-shm", "-journal")  # what SQLite keeps beside a database file


@dataclass(frozen=True)
class DatabaseSpec:
    """One database: its name, default file, the variable that moves it, and the tables served."""

    name: str
    variable: str
    tables: tuple[str, ...]
    resource: str | None = None

    @property
    def filename(self) -> str:
        return f"{self.name}.db"

    @property
    def main_table(self) -> str:
        """The table that imports and exports mean when none is named."""
        return self.tables[0]

    @property
    def stem(self) -> str:
        """The name of its Python modules."""
        return self.name.replace("-", "_")


DATABASES = {
    spec.name: spec
    for spec in (
        DatabaseSpec(
            "campaigns",
            "CAMPAIGNS_DB_PATH",
            ("jobs", "job_history", "deleted_jobs", "set_aside"),
            "campaigns",
        ),
        DatabaseSpec(
            "yt-builder",
            "YT_BUILDER_DB_PATH",
            ("jobs", "job_files", "youtube_uploads", "job_events", "set_aside"),
            "builds",
        ),
        DatabaseSpec(
            "presentation_jobs",
            "PRESENTATION_JOBS_DB_PATH",
            ("presentation_jobs", "job_events", "set_aside"),
            "presentations",
        ),
        DatabaseSpec(
            "trends",
            "TRENDS_DB_PATH",
            ("trending_topics", "search_history", "set_aside"),
        ),
        DatabaseSpec(
            "metrics",
            "METRICS_DB_PATH",
            ("video_metrics", "video_metadata", "latest_video_metrics", "set_aside"),
        ),
        DatabaseSpec(
            "image_library",
            "IMAGE_LIBRARY_DB_PATH",
            (
                "image_library",
                "image_usage",
                "image_collections",
                "collection_images",
                "set_aside",
            ),
        ),
    )
}


def database_spec(name: str) -> DatabaseSpec:
    """The registry's entry; ValueError naming the choices for an unknown name."""
    try:
        return DATABASES[name]
    except KeyError:
        choices = ", ".join(DATABASES)
        raise ValueError(f'no database is called "{name}": choose from {choices}') from None


def load_environment(folder: Path | None = None) -> None:
    """Read `.env` of the working folder; variables that are set already win."""
    from dotenv import dotenv_values  # here: it is slow to import

    for key, value in dotenv_values((folder or Path.cwd()) / ".env").items():
        if value is not None:
            os.environ.setdefault(key, value)


def data_dir() -> Path:
    return Path(os.environ.get("DAILIES_DATA_DIR") or "data").expanduser()


def database_path(name: str) -> Path:
    spec = database_spec(name)
    moved = os.environ.get(spec.variable)
    return Path(moved).expanduser() if moved else data_dir() / spec.filename
