"""docs/from-the-earlier-systems.md is true: its examples run, and what it names exists."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from click import Group

from dailies.api.resources import RESOURCES
from dailies.api.routes import ROUTES
from dailies.canned_queries import all_queries
from dailies.cli.main import main
from loaders.registry import DATABASES

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "from-the-earlier-systems.md").read_text(encoding="utf-8")
SEEDS = ("campaigns", "yt_builder", "presentation_jobs", "trends", "metrics", "image_library")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_its_examples_run(
    example: str, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "from-the-earlier-systems.md", "exec"), {})  # noqa: S102


@pytest.mark.parametrize("module", SEEDS)
def test_its_functions_exist(module: str) -> None:
    named = set(re.findall(rf"\b{module}\.([A-Za-z_]+)\(", PAGE))
    found = importlib.import_module(f"loaders.{module}")
    assert [name for name in named if not hasattr(found, name)] == []


def test_every_function_of_the_contract_is_there() -> None:
    for module in ("campaigns", "yt_builder", "presentation_jobs"):
        for name in CONTRACT[module].split():
            assert f"{module}.{name}(" in PAGE, name


CONTRACT = {
    "campaigns": "add_job get_job update_job delete_job list_jobs search_jobs bulk_add_jobs "
    "get_job_statistics migrate_from_yaml export_to_yaml verify_migration vacuum_database "
    "get_database_info",
    "yt_builder": "create_job update_job_status update_job_config get_next_job_id add_file "
    "get_job_files get_file_counts delete_file add_youtube_upload get_youtube_uploads "
    "cleanup_old_jobs",
    "presentation_jobs": "create get update get_all delete delete_old_jobs",
}


def test_its_requests_exist() -> None:
    known = {
        (route.method, re.sub(r"\{\w+\}", "{}", route.path.replace("{resource}", name)))
        for route in ROUTES
        for name in RESOURCES
        if name in route.resources
    }
    named = re.findall(r"`([A-Z]+) (/api/[^`]+)`", PAGE)
    assert len(named) > 8
    for method, path in named:
        assert (method, re.sub(r"\{\w+\}", "{}", path)) in known


def test_its_queries_exist() -> None:
    known = {f"{query.database}/{query.name}" for query in all_queries()}
    named = set(re.findall(r"the query `([^`]+)`", PAGE))
    assert len(named) > 5
    assert named <= known


def test_its_commands_and_options_exist() -> None:
    assert isinstance(main, Group)
    for command, rest in re.findall(r"`?dailies ([a-z]+)((?: [^\s`]+)*)", PAGE):
        assert command in main.commands, command
        known = {option for one in main.commands[command].params for option in one.opts}
        assert set(re.findall(r" (--[a-z]+)", rest)) <= known, (command, rest)


def test_it_names_every_database() -> None:
    assert [name for name in DATABASES if f"`{name}`" not in PAGE and name not in PAGE] == []
