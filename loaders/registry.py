"""The six databases: their names, files and served tables.

A file may have any name: `CAMPAIGNS_DB_PATH` may point anywhere.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

SIDE_FILES = ("-wal", "-shm", "-journal")  # what SQLite keeps beside a database file


@dataclass(frozen=True)
class DatabaseSpec:
    """One database: its name, the tables served, and columns that identify its main table.

    `parts` are tables about rows of the main table, which nobody sees who may not see that.
    """

    name: str
    tables: tuple[str, ...]
    signature: tuple[str, ...]
    resource: str | None = None
    parts: tuple[str, ...] = ()

    @property
    def variable(self) -> str:
        """The environment variable that moves the file."""
        return f"{self.stem.upper()}_DB_PATH"

    @property
    def filename(self) -> str:
        return f"{self.name}.db"

    @property
    def main_table(self) -> str:
        """The default table of imports and exports."""
        return self.tables[0]

    @property
    def stem(self) -> str:
        """The name of its Python modules and its folder of migrations."""
        return self.name.replace("-", "_")


DATABASES = {
    spec.name: spec
    for spec in (
        DatabaseSpec(
            "campaigns",
            ("jobs", "job_history", "job_versions", "deleted_jobs", "set_aside"),
            signature=("id", "job_name"),
            resource="campaigns",
            parts=("job_history",),
        ),
        DatabaseSpec(
            "yt-builder",
            ("jobs", "job_files", "youtube_uploads", "job_events", "job_attempts", "set_aside"),
            signature=("job_id", "run_id"),
            resource="builds",
            parts=("job_files", "youtube_uploads", "job_events", "job_attempts"),
        ),
        DatabaseSpec(
            "presentation_jobs",
            ("presentation_jobs", "job_events", "job_attempts", "set_aside"),
            signature=("job_id", "status"),
            resource="presentations",
            parts=("job_events", "job_attempts"),
        ),
        DatabaseSpec(
            "trends",
            ("trending_topics", "search_history", "set_aside"),
            signature=("topic",),
        ),
        DatabaseSpec(
            "metrics",
            ("video_metrics", "video_metadata", "latest_video_metrics", "set_aside"),
            signature=("video_id", "platform"),
        ),
        DatabaseSpec(
            "image_library",
            (
                "image_library",
                "image_usage",
                "image_collections",
                "collection_images",
                "set_aside",
            ),
            signature=("file_path",),
            parts=("image_usage", "collection_images"),
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
    """Read `.env` of the working folder, without changing variables that are set."""
    from dotenv import dotenv_values  # here: it is slow to import

    for key, value in dotenv_values((folder or Path.cwd()) / ".env").items():
        if value is not None:
            os.environ.setdefault(key, value)


def data_dir() -> Path:
    return expanded(os.environ.get("DAILIES_DATA_DIR") or "data")


@lru_cache(100)
def expanded(path: str) -> Path:
    """The path, kept since each request needs it."""
    return Path(path).expanduser()


def database_path(name: str) -> Path:
    spec = database_spec(name)
    moved = os.environ.get(spec.variable)
    return Path(moved).expanduser() if moved else data_dir() / spec.filename
