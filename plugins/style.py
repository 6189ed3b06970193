"""The style sheet of every page, beside Datasette's own."""

from __future__ import annotations

from hashlib import sha256

from datasette import hookimpl

from loaders.server import HOME

# Under an address that changes with the file, so that no browser keeps an old one.
VERSION = sha256((HOME / "static" / "dailies.css").read_bytes()).hexdigest()[:12]


@hookimpl
def extra_css_urls() -> list[str]:
    return [f"/static/dailies.css?{VERSION}"]
