"""What may and may not be in the repository."""

from __future__ import annotations

import hashlib
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PINNED_FILES = ["requirements.txt", "requirements-dev.txt"]
PINNED = re.compile(
    r"(?P<name>[a-z0-9-]+)==(?P<version>[\w.]+)(?: ; [^\\]+?)?(?: +--hash=sha256:[0-9a-f]{64})+",
)

# Written so that this file does not hold what it looks for.
REGISTRIES = [
    "pypi" + r"\.org",
    "python" + r"hosted\.org",
    "registry" + r"\.npmjs",
    "debian" + r"\.org",
]
VENDORED = re.compile(r"\| `(?P<file>[\w.-]+\.js)` \|.*`(?P<sha256>[0-9a-f]{64})` \|")
MACHINE_PATH = r"(?<![\w./-])/(?:work|farm|home|root)" + "/"


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


@pytest.mark.parametrize("pattern", [*REGISTRIES, MACHINE_PATH])
def test_no_file_names_a_registry_or_a_path_of_a_machine(tracked: list[Path], pattern: str) -> None:
    found = re.compile(pattern.encode())
    assert [path.name for path in tracked if found.search(path.read_bytes())] == []


def test_is_small(tracked: list[Path]) -> None:
    sizes = {path.name: path.stat().st_size for path in tracked}
    assert {name: size for name, size in sizes.items() if size > 2_000_000} == {}
    assert sum(sizes.values()) < 20_000_000


@pytest.mark.parametrize("folder", ["static/vendor", "tests/vendor"])
def test_vendored_scripts_are_what_their_readme_says(folder: str) -> None:
    text = (ROOT / folder / "README.md").read_text()
    told = {match["file"]: match["sha256"] for match in VENDORED.finditer(text)}
    present = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (ROOT / folder).glob("*.js")
    }
    assert told == present


def requirements(name: str) -> list[str]:
    """Each requirement of a file on one line, its hashes included."""
    return (ROOT / name).read_text().replace("\\\n", "").splitlines()


@pytest.mark.parametrize("name", PINNED_FILES)
def test_requirements_are_pinned_with_hashes_and_name_no_address(name: str) -> None:
    assert [line for line in requirements(name) if not PINNED.fullmatch(line)] == []


def test_requirements_hold_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    runtime, develop = map(pins, PINNED_FILES)
    assert names(project["project"]["dependencies"]) <= runtime.keys()
    assert names(project["dependency-groups"]["dev"]) <= develop.keys()
    assert runtime.items() <= develop.items()


def pins(name: str) -> dict[str, str]:
    """Each requirement of a file with its version."""
    found = filter(None, map(PINNED.fullmatch, requirements(name)))
    return {pin["name"]: pin["version"] for pin in found}


def names(dependencies: list[str]) -> set[str]:
    found = filter(None, (re.match(r"[\w-]+", dependency) for dependency in dependencies))
    return {name[0].lower() for name in found}
