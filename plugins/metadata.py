"""Shows the titles and descriptions of metadata.yml.

Datasette takes permissions and settings from the file that `--config` names, but descriptions only
from one that `--metadata` names, where it ignores permissions. One file is enough.
"""

from __future__ import annotations

from typing import Any

from datasette import hookimpl
from datasette.app import Datasette

KEYS = (
    "title",
    "description",
    "license",
    "license_url",
    "source",
    "source_url",
    "about",
    "about_url",
)


@hookimpl
def startup(datasette: Datasette) -> Any:
    async def describe() -> None:
        config = datasette.config or {}
        for key, text in texts(config):
            await datasette.set_instance_metadata(key, text)
        for database, settings in (config.get("databases") or {}).items():
            for key, text in texts(settings):
                await datasette.set_database_metadata(database, key, text)
            for table, described in (settings.get("tables") or {}).items():
                await describe_table(datasette, database, table, described)

    return describe


async def describe_table(
    datasette: Datasette, database: str, table: str, described: dict[str, Any]
) -> None:
    for key, text in texts(described):
        await datasette.set_resource_metadata(database, table, key, text)
    for column, text in (described.get("columns") or {}).items():
        await datasette.set_column_metadata(database, table, column, "description", text)


def texts(settings: dict[str, Any]) -> list[tuple[str, str]]:
    return [(key, str(settings[key])) for key in KEYS if settings.get(key)]
