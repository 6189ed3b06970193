"""The README is true: what it names exists, what exists it names, and its examples run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from server_process import COMMAND, RunDailies, ServerProcess, environment

from loaders.registry import DATABASES, DatabaseSpec

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()
ADDRESS = "http://127.0.0.1:8001"


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def settings_in(text: str) -> set[str]:
    return set(re.findall(r"\b(?:DAILIES_[A-Z_]+|CAMPAIGNS_[A-Z_]+|[A-Z_]+_DB_PATH)\b", text))


def test_first_screen_has_the_two_commands_and_the_address() -> None:
    first_screen = "\n".join(README.splitlines()[:32])
    assert blocks("bash")[0].count("\n") == 2
    assert blocks("bash")[0] in first_screen
    assert f"<{ADDRESS}>" in first_screen


def test_is_under_200_lines() -> None:
    assert len(README.splitlines()) < 200


def test_names_every_command_and_no_other(run_dailies: RunDailies) -> None:
    shown = run_dailies("--help").stdout.partition("Commands:\n")[2]
    commands = set(re.findall(r"^  ([a-z]+)\b", shown, re.MULTILINE))
    named = set(re.findall(r"(?:^|[`(])dailies ([a-z]+)", README, re.MULTILINE))
    assert commands
    assert named == commands


def test_names_every_recipe_and_no_other() -> None:
    just = Path(sys.executable).with_name("just")
    dump = subprocess.run(
        [just, "--dump", "--dump-format", "json"], cwd=ROOT, capture_output=True, check=True
    )
    recipes = json.loads(dump.stdout)["recipes"]
    public = {name for name, recipe in recipes.items() if not recipe["private"]}
    named = set(re.findall(r"(?:`|/bin/)just ([a-z-]+)", README))
    assert named == public - {"default"}
    assert all(recipes[name]["doc"] for name in public)


def test_names_every_database_and_what_of_it_is_in_the_api(server: ServerProcess) -> None:
    rows = re.findall(
        r"^\| `([\w-]+)` \| `(.+?\.db)` \| `(\w+)` .*?`?([\w/]*)`? \|$", README, re.MULTILINE
    )
    assert rows == [
        (spec.name, spec.filename, spec.variable, api_address(spec, server))
        for spec in DATABASES.values()
    ]


def api_address(spec: DatabaseSpec, server: ServerProcess) -> str:
    """Where the server answers for its jobs; empty if nowhere."""
    address = f"/api/{spec.resource}"
    return address if server.request("GET", address).status_code == 200 else ""


def test_names_every_setting_and_no_other() -> None:
    folders = ("loaders", "dailies", "plugins")
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    read = settings_in("".join(re.findall(r'"[A-Z_]+"', "".join(map(Path.read_text, sources)))))
    read |= {spec.variable for spec in DATABASES.values()}
    operations = (ROOT / "docs" / "operations.md").read_text()
    assert settings_in(README + operations) == read
    assert settings_in((ROOT / ".env.example").read_text()) == read


def test_links_lead_to_files() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert [link for link in links if not (ROOT / link).is_file()] == []


def run_as_shown(server: ServerProcess, examples: list[str]) -> subprocess.CompletedProcess[str]:
    folder = server.data_dir.parent
    shutil.copytree(ROOT / "samples", folder / "samples")
    script = "\n".join(examples).replace(ADDRESS, server.url)
    return subprocess.run(
        ["bash", "-euc", f'curl() {{ command curl --fail-with-body -sS "$@"; }}\n{script}'],
        cwd=folder,
        env=environment(server.data_dir, PATH=f"{COMMAND.parent}:{os.environ['PATH']}"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
def test_examples_run(server: ServerProcess) -> None:
    done = run_as_shown(server, blocks("bash")[1:])
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"Autumn launch"' in done.stdout
    assert "autumn-1" in (server.data_dir.parent / "campaigns-backup.yaml").read_text()


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
def test_examples_of_the_jobs_api_run(server: ServerProcess) -> None:
    text = (ROOT / "docs" / "jobs-api.md").read_text()
    done = run_as_shown(server, blocks("bash", text))
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"Rain sounds"' in done.stdout


@pytest.mark.process
def test_python_examples_run(data_dir: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(blocks("python"))],
        cwd=data_dir.parent,
        env=environment(data_dir),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Autumn, second cut" in done.stdout
