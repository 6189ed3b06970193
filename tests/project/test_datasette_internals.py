"""Only dailies/datasette_compat.py touches what Datasette does not document."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from dailies.home import HOME

COMPAT = HOME / "dailies" / "datasette_compat.py"
SOURCES = [
    path
    for folder in ("dailies", "plugins")
    for path in sorted((HOME / folder).rglob("*.py"))
    if path != COMPAT
]
DOCUMENTED = {
    "datasette": {"Forbidden", "NotFound", "Request", "Response", "hookimpl"},
    "datasette.app": {"Datasette"},
    "datasette.cli": {"cli"},
    "datasette.database": {"Database", "QueryInterrupted", "Results"},
    "datasette.permissions": {"Action", "PermissionSQL"},
    "datasette.plugins": {"pm"},
    "datasette.resources": {"DatabaseResource", "QueryResource", "TableResource"},
    "datasette.tokens": {"TokenHandler", "TokenInvalid"},
    "datasette.utils": {
        "StartupError",
        "await_me_maybe",
        "named_parameters",
        "tilde_decode",
        "tilde_encode",
    },
}
PRIVATE_BUT_PUBLIC = {"_asdict", "_fields", "_replace"}  # of named tuples


def undocumented(tree: ast.AST) -> Iterator[str]:
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("datasette"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("datasette"):
            names = {name.name for name in node.names}
            imported |= names
            yield from names - DOCUMENTED.get(node.module or "", set())
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value)
            if owner not in ("self", "cls") and is_private(node.attr):
                yield ast.unparse(node)
            if isinstance(node.ctx, ast.Store) and owner in imported:
                yield f"{ast.unparse(node)} = ..."
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "setattr":
            yield ast.unparse(node)


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PRIVATE_BUT_PUBLIC


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(HOME)))
def test_nothing_undocumented_is_used(path: Path) -> None:
    assert list(undocumented(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import datasette.views",
        "from datasette.utils import escape_fts",
        "datasette._routes()",
        "from datasette import Response\nResponse.json = None",
        "setattr(x, 'y', 1)",
    ],
)
def test_what_is_undocumented_is_noticed(source: str) -> None:
    assert list(undocumented(ast.parse(source)))
