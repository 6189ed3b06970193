"""Templates that replace Datasette's keep what its pages, scripts and plugins rely on."""

from __future__ import annotations

import re

import pytest
from datasette.app import Datasette
from in_process import asking
from jinja2 import Environment, nodes
from markupsafe import Markup

HOOKS = re.compile(
    r"static\('[^']+'\)|data-[\w-]+|<navigation-search|class=\"(?:hd|ft)\"|details-menu|_\w+\.html"
)


@pytest.fixture(scope="module")
def datasette(shared_datasette: Datasette) -> Datasette:
    return shared_datasette


def source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def blocks(environment: Environment, name: str) -> dict[str, nodes.Block]:
    tree = environment.parse(source(environment, name))
    return {block.name: block for block in tree.find_all(nodes.Block)}


def names(tree: nodes.Node) -> set[str]:
    """The variables that a part of a template uses."""
    return {name.name for name in tree.find_all(nodes.Name) if name.ctx == "load"}


async def test_nothing_of_datasettes_page_is_left_out(datasette: Datasette) -> None:
    await datasette.invoke_startup()
    environment = datasette.get_jinja_environment(None)
    theirs, ours = "default:base.html", "base.html"
    assert source(environment, theirs) != source(environment, ours)
    for found in (
        lambda name: set(blocks(environment, name)),
        lambda name: names(environment.parse(source(environment, name))),
        lambda name: set(HOOKS.findall(source(environment, name))),
    ):
        assert len(found(theirs)) > 5
        assert found(theirs) - found(ours) - {"links"} == set()


async def test_our_table_is_datasettes_but_for_space(datasette: Datasette) -> None:
    await datasette.invoke_startup()
    environment = datasette.get_jinja_environment(None)
    columns = [
        {"name": name, "type": "TEXT", "notnull": 0, "is_pk": False} for name in ("a b", "c")
    ]
    cells = [("a b", "<i>", "str"), ("c", Markup("<b>1</b>"), "int"), ("_x", "ü", "none")]
    row = [dict(zip(("column", "value", "value_type"), cell, strict=True)) for cell in cells]
    for rows in ([], [row, row]):
        pages = [
            await environment.get_template(name).render_async(
                display_columns=columns, display_rows=rows
            )
            for name in ("default:_table.html", "_table.html")
        ]
        theirs, ours = [re.sub(r"\s*\n\s*", "\n", page).strip() for page in pages]
        assert ours == theirs
        assert ("<td" in ours) == bool(rows)


async def test_nothing_of_datasettes_row_is_left_out(datasette: Datasette) -> None:
    await datasette.invoke_startup()
    environment = datasette.get_jinja_environment(None)
    theirs = names(blocks(environment, "default:row.html")["content"])
    ours = names(blocks(environment, "record.html")["content"])
    assert len(theirs) > 8
    assert theirs - ours == {"table"}  # our heading names the record instead


async def test_a_row_without_a_page_of_its_own_is_datasettes(datasette: Datasette) -> None:
    async with asking(datasette, None) as client:
        page = (await client.get("/yt-builder/job_files/1")).text
    assert "<main" in page
    assert "kitchen_wide.mp4" in page
    assert "Stored row" not in page
