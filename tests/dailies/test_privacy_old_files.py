"""Files of all six earlier systems served together: what was not theirs to show stays unseen."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from datasette.app import Datasette
from in_process import READING, ROOT, asking, paths, serving
from legacy import unpack

from loaders import upgrade
from loaders.registry import DATABASES, database_path, database_spec

PLANTED = "FAKE-"
OLD_FILES = {
    "campaigns": "campaigns_option3.db",
    "yt-builder": "yt-builder.db",
    "presentation_jobs": "presentation_jobs.db",
    "trends": "trends.db",
    "metrics": "metrics.db",
    "image_library": "image_library.db",
}
STRANGERS = {"yt-builder": "youtube_credentials", "metrics": "monitoring_metrics"}


@pytest.fixture(scope="module")
def datasette(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Datasette]:
    folder = tmp_path_factory.mktemp("old")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAILIES_DATA_DIR", str(folder))
        for name, file in OLD_FILES.items():
            unpack(file, folder).replace(database_path(name))
            upgrade.build(name, database_path(name))
        with serving(**READING) as running:
            yield running


def routes_over(name: str) -> dict[str, list[str]]:
    """What fills the routes' named parts so that they lead into the database `name`."""
    tables = [*database_spec(name).tables, *filter(None, [STRANGERS.get(name)])]
    return {
        "database": [name],
        "table": tables,
        "query": ["jobs_by_status", "top_videos"],
        "format": ["", ".json", ".csv"],
        "pks": ["1"],
        "key": ["1"],
    }


@pytest.mark.slow
@pytest.mark.parametrize("actor", [None, ROOT], ids=["anonymous", "root"])
async def test_no_route_reveals_a_secret_of_an_old_file(
    datasette: Datasette, actor: dict[str, str] | None, capfd: pytest.CaptureFixture[str]
) -> None:
    async with asking(datasette, actor) as client:
        found = [path for name in DATABASES for path in paths(datasette, routes_over(name))]
        for path in dict.fromkeys(found):
            response = await client.get(path)
            assert response.status_code < 500, path
            assert PLANTED not in response.text, path
            for stranger in STRANGERS.values():
                assert stranger in path or stranger not in response.text, path
    assert PLANTED not in "".join(capfd.readouterr())


@pytest.mark.parametrize(("name", "table"), STRANGERS.items())
async def test_a_table_of_others_stays_in_the_file_and_is_not_found(
    datasette: Datasette, name: str, table: str
) -> None:
    with closing(sqlite3.connect(database_path(name))) as connection:
        assert connection.execute(f"select count(*) from {table}").fetchone()[0] > 0
    async with asking(datasette, ROOT) as client:
        for suffix in ("", ".json", ".csv", "/1", "/1.json", "/-/schema"):
            response = await client.get(f"/{name}/{table}{suffix}")
            assert response.status_code == 404, suffix
        response = await client.get(f"/{name}/-/query.json?sql=select+*+from+{table}")
        assert response.status_code == 400
        assert "rows" not in response.json() or response.json()["rows"] == []
        across = await client.get(f'/_memory/-/query.json?sql=select+*+from+"{name}".{table}')
        assert across.status_code == 400
