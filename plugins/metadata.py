"""Shows the titles and descriptions of metadata.yml.

Datasette reads them from the file that `--metadata` names, where it ignores permissions and
settings. This reads them from the file that `--config` names, so that one file is enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datasette import hookimpl
from datasette.app import Datasette

from dailies.datasette_compat import store_metadata

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
    return lambda: store_metadata(datasette, metadata_rows(datasette.config or {}))


def metadata_rows(config: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    yield from described(config)
    for database, settings in (config.get("databases") or {}).items():
        yield from described(settings, database)
        for table, details in (settings.get("tables") or {}).items():
            yield from described(details, database, table)
            for column, text in (details.get("columns") or {}).items():
                yield database, table, column, "description", text


def described(settings: dict[str, Any], *names: str) -> Iterator[tuple[str, ...]]:
    for key in KEYS:
        if settings.get(key):
            yield *names, key, str(settings[key])
