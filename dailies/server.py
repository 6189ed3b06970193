"""Starts Datasette over the databases of the registry, which plugins/databases.py attaches."""

from __future__ import annotations

from pathlib import Path

from dailies.auth.secrets import signing_secret

HOME = Path(__file__).parent.parent


def serve(host: str, port: int, options: tuple[str, ...] = ()) -> None:
    """Serve until the process is told to end; `options` are Datasette's own and win over ours."""
    from datasette.cli import cli  # here: they are slow to load

    from dailies.http.server import use_limits

    use_limits()
    cli.main([*arguments(host, port), *options], prog_name="datasette")


def arguments(host: str, port: int) -> list[str]:
    """The command line of `datasette` without its name."""
    static = HOME / "static"
    return [
        "serve",
        *("--host", host),
        *("--port", str(port)),
        *("--config", str(HOME / "metadata.yml")),
        *("--plugins-dir", str(HOME / "plugins")),
        *("--template-dir", str(HOME / "templates")),
        *(("--static", f"static:{static}") if static.is_dir() else ()),
        *("--secret", signing_secret()),
        "--cors",
    ]
