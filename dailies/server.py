"""Starts Datasette over the databases of the registry, which plugins/databases.py attaches."""

from __future__ import annotations

import inspect
import io
import json
from collections.abc import Iterable, Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import yaml

from dailies.auth.secrets import signing_secret
from dailies.home import HOME, own_folder, own_part
from loaders.formats.yaml_reader import LOADER

# Options of Datasette that would replace what Dailies relies on.
REFUSED = {
    "plugins_dir": "the plugins of Dailies check permissions",
    "reload": "Dailies does not restart itself",
    "template_dir": "the pages of Dailies need its templates",
}


class Arguments(dict[str, Any]):
    """The parameters of Datasette's command `serve`, checked before anything is changed."""


def parse(host: str, port: int, configs: Iterable[Path], options: Iterable[str]) -> Arguments:
    """UsageError for a wrong option, and for files that cannot be served."""
    from datasette.cli import cli  # here: it is slow to load

    given = cli.commands["serve"].make_context("dailies serve", list(options)).params
    return complete({**given, "host": host, "port": port}, configs)


def complete(given: Mapping[str, Any], configs: Iterable[Path]) -> Arguments:
    """The parameters with which Datasette serves as Dailies has it. UsageError as `parse`."""
    from dailies.http.clients import trusted_proxies
    from dailies.storage.job_size import max_job_bytes

    try:
        trusted_proxies()
        max_job_bytes()
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    for name, reason in REFUSED.items():
        if given[name]:
            option = name.replace("_", "-")
            raise click.UsageError(f"--{option} cannot be used here: {reason}")
    for file in (*given["files"], *given["immutable"]):
        check_file(Path(file), create=given["create"])
    static = HOME / "static"
    ours = {
        "config": io.StringIO(json.dumps(configuration(configs))),
        "plugins_dir": str(HOME / "plugins"),
        "template_dir": str(HOME / "templates"),
        "static": (("static", str(static)), *given["static"]),
        "secret": given["secret"] or secret(),
        "cors": True,
    }
    return Arguments({**given, **ours})


def secret() -> str:
    """The secret of this installation; ClickException if its file cannot be used."""
    try:
        return signing_secret()
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def serve(arguments: Arguments) -> None:
    """Serve until the process is told to end."""
    from datasette.cli import cli

    from dailies import background, shutdown
    from dailies.http import hosts
    from dailies.http.server import use_limits

    hosts.served.add(arguments["host"].lower())
    try:
        hosts.names_in(hosts.setting())
        use_limits()
    except ValueError as error:  # of a setting
        raise click.UsageError(str(error)) from error
    shutdown.use()
    background.enabled.set()
    load_own_plugins()
    # Without what dailies/datasette_plugin.py put around it.
    inspect.unwrap(cli.commands["serve"].callback)(**arguments)


def load_own_plugins() -> None:
    """Load the plugins of the user's own folder, under names that none of ours has."""
    from datasette.plugins import pm

    folder = own_part("plugins")
    for path in sorted(folder.glob("*.py")) if folder else ():
        loader = SourceFileLoader(f"own {path.name}", str(path))
        plugin = ModuleType(loader.name)
        loader.exec_module(plugin)
        pm.register(plugin)


def check_file(path: Path, *, create: bool) -> None:
    """UsageError unless the file can be served beside the databases of Dailies."""
    from dailies.storage.extra import kind_of
    from loaders.checks import SQLITE_HEADER
    from loaders.registry import DATABASES, database_path

    if path.is_dir():
        raise click.UsageError(f"{path} is a folder: name the database files in it")
    if not path.exists():
        if create:
            return
        raise click.UsageError(f"{path} does not exist")
    with path.open("rb") as file:
        if file.read(len(SQLITE_HEADER)) not in (SQLITE_HEADER, b""):
            raise click.UsageError(f"{path} is not a SQLite file")
    ours = [database_path(name) for name in DATABASES]
    if any(file.exists() and path.samefile(file) for file in ours):
        return
    if kind := kind_of(path):
        raise click.UsageError(
            f"{path} is a {kind} database of Dailies, of which not everything may be read: "
            f"set {DATABASES[kind].variable} to serve it"
        )


def configuration(paths: Iterable[Path] = ()) -> dict[str, Any]:
    """Our metadata.yml, with that of the user's own folder and the files merged over it."""
    merged: dict[str, Any] = {}
    own = own_folder()
    for path in (HOME / "metadata.yml", *([own / "metadata.yml"] if own else []), *paths):
        merged = merge(merged, read_configuration(path))
    return merged


def read_configuration(path: Path) -> dict[str, Any]:
    """A YAML or JSON file; UsageError if it holds no mapping."""
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{path} is no YAML or JSON: {error}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise click.UsageError(f"{path} must hold a mapping, such as `title: ...`")
    return found


def merge(ours: Mapping[str, Any], own: Mapping[str, Any], within: Any = "") -> dict[str, Any]:
    """`own` over `ours`, key by key; rules of permissions are replaced whole, by nothing kept."""
    merged = dict(ours)
    for key, value in own.items():
        before = ours.get(key)
        if value is None and before is not None:
            continue
        if isinstance(before, dict) and not is_rule(key, within):
            if not isinstance(value, dict):
                raise click.UsageError(f'the configuration has no mapping under "{key}"')
            value = merge(before, value, key)
        merged[key] = value
    return merged


def is_rule(key: Any, within: Any) -> bool:
    """True for what says who may do something: keys added to it would allow more."""
    return key in ("allow", "allow_sql") or within == "permissions"
