from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import canned
import pytest
from empty_databases import create_databases
from legacy import unpack

from dailies.cli import build
from loaders.registry import DATABASES, database_path


@pytest.fixture(scope="session", autouse=True)
def _shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with canned.sharing(tmp_path_factory.mktemp("queries")):
        yield


@pytest.fixture(scope="session")
def old_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with upgraded files of the earlier systems, to copy from."""
    folder = tmp_path_factory.mktemp("old")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAILIES_DATA_DIR", str(folder))
        for name in ("trends", "metrics", "image_library", "yt-builder"):
            unpack(f"{name}.db", folder)
            assert build.build(name).ok
        create_databases()
    return folder


@pytest.fixture(params=["sample", "old"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def copy_of(kind: str, request: pytest.FixtureRequest, data_dir: Path) -> Callable[[str], Path]:
    """Copies a database, with the sample rows or with those of the earlier system, for the test."""
    folder: Path = request.getfixturevalue(f"{kind}_data")

    def copy(name: str) -> Path:
        return shutil.copyfile(folder / DATABASES[name].filename, database_path(name))

    return copy
