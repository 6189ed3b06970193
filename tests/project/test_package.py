"""The wheel and the source archive, installed into empty folders; units and images for servers."""

from __future__ import annotations

import ast
import configparser
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from cli_runner import is_setting
from server_process import RunDailies, ServerProcess, environment

from dailies.home import HOME

PROJECT = tomllib.loads((HOME / "pyproject.toml").read_text())
INCLUDED = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
EVERY_VERSION = os.environ.get("EVERY_PYTHON") == "1"
VERSIONS = ("3.11", "3.12", "3.13")
UV = Path(sys.executable).with_name("uv")
DATASETTE = UV.with_name("datasette")


def run(*command: str | Path, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment(cwd / "data"),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel and the source archive, by the end of their names."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-d", folder, cwd=HOME)
    return {path.suffix: path for path in folder.iterdir()}


def tracked(*folders: str) -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", *folders], cwd=HOME, capture_output=True, text=True, check=True
    )
    return set(listed.stdout.splitlines())


@pytest.mark.process
def test_wheel_holds_all_that_runs(archives: dict[str, Path]) -> None:
    with zipfile.ZipFile(archives[".whl"]) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    moved = {f"dailies/home/{name}" for name in tracked(*INCLUDED)}
    assert held == tracked("dailies", "loaders") | moved
    assert set(INCLUDED.values()) == {f"dailies/home/{name}" for name in INCLUDED}


@pytest.mark.process
def test_source_archive_holds_all_that_is_tracked(archives: dict[str, Path]) -> None:
    with tarfile.open(archives[".gz"]) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert tracked() - held <= {".gitattributes"}


def pythons() -> dict[str, Path]:
    """This interpreter; where CI asks for it, one of each version that is on this machine."""
    found = {f"3.{sys.version_info.minor}": Path(sys.executable)}
    for folder in Path(sys.base_prefix).parent.glob("3.*") if EVERY_VERSION else ():
        found.setdefault(".".join(folder.name.split(".")[:2]), folder / "bin" / "python")
    return {version: path for version, path in sorted(found.items()) if version in VERSIONS}


@pytest.fixture(scope="module", params=pythons())
def installed(
    request: pytest.FixtureRequest,
    archives: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The commands of the wheel, installed into an environment of its own."""
    folder = tmp_path_factory.mktemp("installed")
    run(UV, "venv", "--python", pythons()[request.param], "env", cwd=folder)
    python = folder / "env" / "bin" / "python"
    run(UV, "pip", "install", "--python", python, archives[".whl"], cwd=folder)
    return python.parent


@pytest.mark.slow
@pytest.mark.process
def test_installed_package_serves_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    run(installed / "dailies", "init", "own", cwd=tmp_path)
    data = tmp_path / "own" / "data"
    with ServerProcess(data, command=(installed / "dailies", "demo")) as server:
        [job] = server.request("GET", "/campaigns/jobs.json?_size=1&_shape=array").json()
        assert job["job_name"]
        queries = server.request("GET", "/campaigns/jobs_by_brand.json?_shape=array").json()
        assert sum(row["jobs"] for row in queries) == 12
        page = server.request("GET", "/").text
        assert "<title>Dashboard · Our dailies</title>" in page
        assert "Our team" in page
        assert server.request("GET", "/static/dailies.css").status_code == 200


@pytest.mark.process
def test_plain_datasette_is_as_closed(run_dailies: RunDailies, data_dir: Path) -> None:
    run_dailies("build", "--sample")
    command = (DATASETTE, "serve", data_dir / "campaigns.db")
    with ServerProcess(data_dir, command=command) as server:
        sql = server.request("GET", "/campaigns/-/query.json?sql=select+1")
        assert sql.status_code == 403
        assert sql.json()["error"] == "execute-sql"
        assert server.request("GET", "/campaigns/write_context.json").status_code == 404
        assert server.request("GET", "/campaigns/set_aside.json").status_code == 403
        assert len(server.request("GET", "/campaigns/jobs.json").json()["rows"]) == 12


@pytest.mark.process
def test_plain_datasette_refuses_our_databases_elsewhere(
    run_dailies: RunDailies, data_dir: Path, tmp_path: Path
) -> None:
    run_dailies("build", "campaigns")
    copy = (data_dir / "campaigns.db").rename(tmp_path / "copy.db")
    refused = run(DATASETTE, copy, cwd=tmp_path, code=2)
    assert "copy.db is a campaigns database of Dailies, of which not everything" in refused.stderr


@pytest.mark.process
def test_plain_datasette_serves_other_files_as_before(tmp_path: Path) -> None:
    run(sys.executable, "-m", "sqlite_utils", "query", "a.db", "create table t (a)", cwd=tmp_path)
    found = run(DATASETTE, "a.db", "--get", "/a/-/query.json?sql=select+1+as+a", cwd=tmp_path)
    assert json.loads(found.stdout)["rows"] == [{"a": 1}]


@pytest.mark.process
def test_sqlite_utils_works_beside_a_broken_folder_of_our_name(tmp_path: Path) -> None:
    (tmp_path / "loaders").mkdir()
    (tmp_path / "loaders" / "__init__.py").write_text('raise RuntimeError("mine")')
    done = run(sys.executable, "-m", "sqlite_utils", "memory", "select 1 as a", cwd=tmp_path)
    assert json.loads(done.stdout) == [{"a": 1}]
    assert done.stderr == "Warning: there is no `sqlite-utils dailies`: mine\n"


def test_init_refuses_a_folder_that_is_not_empty(run_dailies: RunDailies, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "notes.txt").write_text("kept")
    refused = run_dailies("init", str(tmp_path / "own"))
    assert refused.returncode == 2
    assert "own is not empty: name a new folder" in refused.stderr
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["notes.txt"]


def test_declares_every_distribution_that_is_imported() -> None:
    imported = {
        name
        for path in map(HOME.joinpath, tracked("dailies", "loaders", "plugins"))
        if path.suffix == ".py"
        for name in modules_imported(path)
    } - {*sys.stdlib_module_names, "dailies", "loaders"}
    installed = packages_distributions()
    declared = {
        re.match(r"[\w-]+", line)[0].lower()  # type: ignore[index]
        for line in PROJECT["project"]["dependencies"]
    }
    assert {installed[name][0].lower().replace("_", "-") for name in imported} <= declared


def modules_imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("name", ["dailies.service", "dailies-backup.service"])
def test_units_run_commands_that_exist(name: str, run_dailies: RunDailies) -> None:
    unit = configparser.ConfigParser(delimiters="=", interpolation=None)
    unit.read(HOME / "deploy" / name)
    program, command, *options = unit["Service"]["ExecStart"].split()
    assert Path(program).name == "dailies"
    shown = run_dailies(command, "--help")
    assert shown.returncode == 0
    assert [word for word in options if word.startswith("--") and word not in shown.stdout] == []
    variable, _, _ = unit["Service"]["Environment"].partition("=")
    assert is_setting(variable)


def test_timer_starts_a_service() -> None:
    assert (HOME / "deploy" / "dailies-backup.timer").with_suffix(".service").is_file()
