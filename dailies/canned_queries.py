"""Reads `canned_queries/<database>.yml`: query name -> title, description, sql, params."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from dailies.home import folders
from loaders.formats.yaml_reader import LOADER
from loaders.registry import DATABASES

CHARTS = "charts.yml"  # lies with the queries that it draws: dailies/web/charts.py
KEYS = frozenset({"title", "description", "sql", "params"})


@dataclass(frozen=True)
class CannedQuery:
    """One query; `parameters` in the order of the form's fields, empty for the order in the SQL."""

    file: str
    database: str
    name: str
    title: str
    description: str
    sql: str
    parameters: tuple[str, ...]


def all_queries() -> list[CannedQuery]:
    """The queries of Dailies and of the user's own folder, whose replace ours of the same name."""
    found = [query for folder in folders("canned_queries") for query in read_queries(folder)]
    return list({(query.database, query.name): query for query in found}.values())


def read_queries(folder: Path) -> Iterator[CannedQuery]:
    """Every query in the folder's files; ValueError naming file and query for what is wrong."""
    for path in sorted(folder.glob("*.yml")):
        if path.name != CHARTS:
            for name, query in read_named(path, "queries").items():
                yield read_query(path, name, query)


def read_named(path: Path, what: str) -> dict[str, Any]:
    """The mapping of names in a file; ValueError if it is none."""
    try:
        found = parse(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"{path.name}: is no YAML: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path.name}: must map names to {what}")
    return {str(name): value for name, value in found.items()}


@lru_cache(maxsize=32)
def parse(text: str) -> Any:
    """The content of a YAML file, which nobody changes: it is shared."""
    return yaml.load(text, Loader=LOADER)  # noqa: S506 - it is a safe loader


def needed_by(query: CannedQuery) -> tuple[str, ...]:
    """The databases that a query reads; one across databases names them before its tables."""
    if query.database != "_memory":
        return (query.database,)
    return tuple(name for name in DATABASES if names_schema(query.sql, name))


def names_schema(sql: str, name: str) -> bool:
    return re.search(rf'(?<![\w.-])["\[`]?{re.escape(name)}["\]`]?\s*\.', sql) is not None


def read_query(path: Path, name: str, query: Any) -> CannedQuery:
    where = f'{path.name}: query "{name}"'
    if not isinstance(query, dict):
        raise ValueError(f"{where}: has no title, description and sql")
    for key in sorted(query.keys() - KEYS):
        raise ValueError(f'{where}: does not know "{key}"')
    for key in ("title", "description", "sql"):
        if not isinstance(query.get(key), str) or not query[key].strip():
            raise ValueError(f"{where}: has no {key}")
    parameters = query.get("params", [])
    if not isinstance(parameters, list) or not all(isinstance(item, str) for item in parameters):
        raise ValueError(f"{where}: params must be a list of names")
    return CannedQuery(
        file=path.name,
        database=path.stem,
        name=name,
        title=query["title"].strip(),
        description=query["description"].strip(),
        sql=query["sql"].strip(),
        parameters=tuple(parameters),
    )
