"""The templates of the user's own folder come before ours, which are there as `dailies:NAME`."""

from __future__ import annotations

from datasette import hookimpl
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader

from dailies.home import HOME, own_part


@hookimpl
def prepare_jinja2_environment(env: Environment) -> None:
    own = own_part("templates")
    if own and env.loader:
        ours = PrefixLoader({"dailies": FileSystemLoader(HOME / "templates")}, delimiter=":")
        env.loader = ChoiceLoader([FileSystemLoader(own), ours, env.loader])
