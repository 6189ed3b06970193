set shell := ["bash", "-euo", "pipefail", "-c"]

export PATH := justfile_directory() / ".venv/bin:" + env("PATH")
# Compiling all modules again takes each process of the tests three seconds.
export PYTHONDONTWRITEBYTECODE := ""

# Lint and test
default: lint test

# Install every requirement and the project itself into .venv
setup:
    test -d .venv || python3 -m venv .venv
    .venv/bin/pip install --quiet --requirement requirements-dev.txt
    {{ install }}

# Serve ./data on http://127.0.0.1:8001
serve *options: _install
    dailies serve {{ options }}

# Add the sample rows to ./data, unless it had rows before, and serve it on http://127.0.0.1:8001
demo *options: _install
    dailies demo {{ options }}

# Run the tests on all cores, with their files in memory where there is room
test *options: _install
    TMPDIR={{ test_files }} pytest --quiet --numprocesses $((2 * {{ num_cpus() }})) --dist worksteal {{ options }}

# Run the tests that start no server, browser or command and do not ask every route, with fewer examples
test-fast *options: _install
    TMPDIR={{ test_files }} pytest --quiet --numprocesses {{ num_cpus() }} --dist worksteal -m "not process and not slow" \
        --hypothesis-profile=fast {{ options }}

# Check style, types and the direction of imports
lint:
    ruff check
    ruff format --check
    mypy
    lint-imports --no-logo

# Put every file into the project's style
format:
    ruff check --fix
    ruff format

# Run every fault and attack against real servers and files, and print what was lost (nothing)
drill *options: _install
    TMPDIR={{ test_files }} python -m drill {{ options }}

# Measure speed and memory beside other programs, and write the tables of README and docs/performance.md
bench *options: _install
    python -m benchmarks.run {{ options }}

# Take the pictures of the README again, from the sample data
screenshots: _install
    python docs/screenshots.py

# Build, import, serve, write, kill, restart, export and compare in a temporary folder
smoke: _install
    python tests/smoke.py

# Build the wheel and the source archive of the package into ./dist
package: _install
    python -m hatchling build

# Pin every requirement again (`just lock --upgrade` for newer ones)
lock *options:
    uv pip compile {{ lock_options }} {{ options }} pyproject.toml --output-file requirements.txt
    uv pip compile {{ lock_options }} {{ options }} pyproject.toml --group dev --output-file requirements-dev.txt

lock_options := "--quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links"

test_files := ```
    free=$(df --output=avail /dev/shm 2> /dev/null | tail -n 1 || true)
    if [ "${free:-0}" -gt 4000000 ]; then echo /dev/shm; else echo "${TMPDIR:-/tmp}"; fi
```

install := ".venv/bin/pip install -qq --no-deps --no-build-isolation --editable ."

_install:
    @test -x .venv/bin/dailies || {{ install }}
