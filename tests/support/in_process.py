"""Datasette as `dailies serve` sets it up, in this process, and every path that it answers."""

from __future__ import annotations

import importlib.util
import itertools
import re
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from datasette.app import Datasette
from datasette.plugins import pm
from jinja2.bccache import Bucket, BytecodeCache

from dailies.api.routes import views
from dailies.auth.secrets import signing_secret
from dailies.datasette_compat import routes_of
from dailies.home import HOME
from loaders.formats.yaml_reader import LOADER

ROOT = {"id": "root"}
WORKER = {"id": "worker"}
READER = {"id": "reader"}
# For tests that only read: without threads for its queries a request takes half as long.
READING: dict[str, Any] = {"settings": {"num_sql_threads": 0}}

OTHER_PARTS = {
    "path": ["app.css"],
    "rest": [""],
    "resource": ["campaigns", "builds", "presentations", "openapi.json", "docs"],
    "key": ["spring", "claim"],
    "part": ["history", "restore", "duplicate", "files"],
    "image": ["1"],
    "file_type": ["videos"],
    "filename": ["intro.mp4"],
    "chart": ["video_growth"],
    "export": ["yaml"],
    "video": ["dly_vid_001"],
}
for name in ("sniffio", *(path.stem for path in HOME.glob("plugins/*.py"))):
    # httpx2, at each request, and Datasette, for lists of plugins, would search all folders for it.
    if name not in sys.modules and importlib.util.find_spec(name) is None:
        sys.modules[name] = None  # type: ignore[assignment]

GROUP = re.compile(r"\(\?P<(\w+)>[^()]*\)\??")
FORMAT = re.compile(r"\(\\\.\(\?P<format>[^()]*\)\)\?|\(\?:\\\.\(\?P<format>[^()]*\)\)\?")
CHOICE = re.compile(r"\(\?:([^()]*)\)(\?)?")


class CompiledTemplates(BytecodeCache):
    """Compiles each template once for all instances of this process."""

    def __init__(self) -> None:
        self._compiled: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._compiled:
            bucket.bytecode_from_string(self._compiled[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._compiled[bucket.key] = bucket.bytecode_to_string()


COMPILED_TEMPLATES = CompiledTemplates()


def metadata() -> dict[str, Any]:
    return deepcopy(read_metadata())


@cache
def read_metadata() -> dict[str, Any]:
    text = (HOME / "metadata.yml").read_text(encoding="utf-8")
    config: dict[str, Any] = yaml.load(text, Loader=LOADER)  # noqa: S506 - it is a safe loader
    return config


def plugins_dir() -> str | None:
    """The folder of the plugins, unless this process has them: all instances share them."""
    return None if pm.has_plugin("metadata.py") else str(HOME / "plugins")


def own_queries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `canned_queries` in the user's own folder, which becomes the current one."""
    folder = tmp_path / "own"
    (folder / "canned_queries").mkdir(parents=True)
    (folder / "metadata.yml").touch()
    monkeypatch.chdir(folder)
    return folder / "canned_queries"


@contextmanager
def serving(**changes: Any) -> Iterator[Datasette]:
    """An instance over the data folder of the test; `changes` replace what it is made with."""
    options: dict[str, Any] = {
        "files": [],
        "config": metadata(),
        "plugins_dir": plugins_dir(),
        "template_dir": str(HOME / "templates"),
        "static_mounts": [("static", str(HOME / "static"))],
        "secret": signing_secret(),
        "cors": True,
    }
    options |= changes
    settings = options["config"].get("settings", {}) | options.pop("settings", {})
    datasette = Datasette(**options | {"config": options["config"] | {"settings": settings}})
    datasette.get_jinja_environment().bytecode_cache = COMPILED_TEMPLATES
    datasette.app = cache(datasette.app)  # `datasette.client` asks for it at each request
    try:
        yield datasette
    finally:
        datasette.close()


@asynccontextmanager
async def asking(
    datasette: Datasette, actor: dict[str, str] | None
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client for many requests of this actor."""
    await datasette.invoke_startup()
    cookies = {"ds_actor": datasette.client.actor_cookie(actor)} if actor else {}
    transport = httpx2.ASGITransport(app=datasette.app())
    async with httpx2.AsyncClient(
        transport=transport, cookies=cookies, base_url="http://localhost"
    ) as client:
        yield client


def paths(datasette: Datasette, values: dict[str, list[str]]) -> list[str]:
    """Paths for every route of the application, its named parts filled from `values`."""
    values = OTHER_PARTS | values
    found: dict[str, None] = {}
    ours = [re.compile(pattern) for pattern, _ in views()]
    for pattern in [*ours, *(pattern for pattern, _ in routes_of(datasette))]:
        filled = [path for path in fill(pattern.pattern, values) if pattern.match(path)]
        assert filled, f"no path for {pattern.pattern}"
        found.update(dict.fromkeys(filled))
    return list(found)


def fill(pattern: str, values: Mapping[str, Iterable[str]]) -> Iterator[str]:
    pattern = re.sub(r"(\$|\\Z)\Z", "", pattern)
    for suffix in values["format"] if FORMAT.search(pattern) else [""]:
        yield from fill_choices(FORMAT.sub(lambda _, text=suffix: text, pattern), values)


def fill_choices(pattern: str, values: Mapping[str, Iterable[str]]) -> Iterator[str]:
    if match := CHOICE.search(pattern):
        choices = match[1].split("|") + ([""] if match[2] else [])
        for choice in choices:
            yield from fill_choices(
                pattern[: match.start()] + choice + pattern[match.end() :], values
            )
        return
    names = GROUP.findall(pattern)
    for chosen in itertools.product(*(values[name] for name in names)):
        parts = iter(chosen)
        yield re.sub(r"\\(.)", r"\1", GROUP.sub(lambda _, parts=parts: next(parts), pattern))
